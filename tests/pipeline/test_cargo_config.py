"""A person's own configuration of cargo: compiler flags in it reach no result, and the rest of it is in the key."""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path

import pytest

from stages import cargo_config, crates, paths
from stages.graph import Stage
from stages.graph.declare.stage import expand_placeholders

NATIVE = (
    '[build]\nrustflags = ["-Ctarget-cpu=native"]\n[target.wasm32-unknown-unknown]\nrustflags = ["-Copt-level=0"]\n'
)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "matters"),
    [
        ("", "none"),
        ('[source.crates-io]\nreplace-with = "near"\n[net]\nretry = 3\n[term]\nquiet = true\n', "none"),
        (NATIVE, "none"),
        ('[build]\njobs = 1\ntarget-dir = "/x"\nrustc-wrapper = "sccache"\n', "none"),
        ('[build]\nrustc = "/opt/rustc"\n', '[{"build": {"rustc": "/opt/rustc"}}]'),
        ("[profile.release]\nopt-level = 0\n", '[{"profile": {"release": {"opt-level": 0}}}]'),
        (
            '[target.x86_64-unknown-linux-gnu]\nlinker = "mold"\nrustflags = ["-Cx"]\n',
            '[{"target": {"x86_64-unknown-linux-gnu": {"linker": "mold"}}}]',
        ),
    ],
)
def test_what_matters(tmp_path: Path, text: str, matters: str) -> None:
    file = write(tmp_path / "config.toml", text)
    assert cargo_config.what_matters([str(file), str(tmp_path / "absent")]) == matters


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "config.toml", "[build\n")
    with pytest.raises(ValueError, match=f"{file} is not TOML"):
        cargo_config.what_matters([str(file)])


def test_files_are_those_that_cargo_reads() -> None:
    found = cargo_config.files("/home/a/p/build/run", "/home/a/p", {"CARGO_HOME": "/cargo"})
    assert found[:4] == ("/cargo/config.toml", "/cargo/config", "/home/a/p/build/run/.cargo/config.toml", found[3])
    assert "/home/a/.cargo/config.toml" in found and "/.cargo/config" in found
    assert "/home/a/p/.cargo/config.toml" not in found  # a source of the stages


def test_the_flag_of_the_stage_is_that_of_the_project() -> None:
    own = tomllib.loads((paths.ROOT / ".cargo/config.toml").read_text())
    assert own["target"]["wasm32-unknown-unknown"]["rustflags"] == [crates.SIMD128]


def flags_given(stage: Stage, tmp_path: Path, works: str = "false") -> list[str]:
    """The compiler flags of a stage's command, which runs on programs that only print them, and work or not."""
    write(tmp_path / "build/tools/wasm-path", "")
    for name in ("cargo", "wasm-pack", "python"):
        program = write(
            tmp_path / "bin" / name, f"#!/bin/sh\nprintf '%s' \"$CARGO_ENCODED_RUSTFLAGS\" > flags\n{works}\n"
        )
        program.chmod(0o755)
    write(tmp_path / "rust/a/Cargo.toml", "")
    values = {"root": str(tmp_path), "out": str(tmp_path / "out"), "python": str(tmp_path / "bin/python")}
    env = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "HOME": "/home/a b", **stage.set_env}
    argv = [expand_placeholders(word, values) for word in stage.run]
    assert subprocess.run(argv, cwd=tmp_path, env=env).returncode == 1
    text = (tmp_path / "flags").read_text()
    return text.split("\037") if text else []


def test_the_flags_of_each_stage(tmp_path: Path) -> None:
    """Paths with spaces stay whole."""
    remap = ["--remap-path-prefix=/home/a b/.cargo=/cargo", f"--remap-path-prefix={tmp_path}=/pocketlm"]
    assert flags_given(crates.wheel_stage(), tmp_path) == remap
    assert flags_given(crates.wasm_stage(), tmp_path) == [*remap, crates.SIMD128]
    assert flags_given(crates.wasm_stage(), tmp_path, "true") == [*remap, crates.RELAXED_SIMD]
    assert flags_given(crates.cli_stage(), tmp_path) == []


@pytest.mark.parametrize("flags", ["", "-Cdebuginfo=0"])
def test_cargo_leaves_out_the_flags_of_files(tmp_path: Path, flags: str) -> None:
    """With the variable, empty or not, neither the home's flags nor those of a folder above are given to rustc."""
    write(tmp_path / ".cargo/config.toml", NATIVE)
    write(tmp_path / "p/Cargo.toml", '[package]\nname = "a"\nversion = "0.1.0"\nedition = "2021"\n')
    write(tmp_path / "p/src/lib.rs", "")

    def command_line(**env: str) -> str:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("CARGO_", "RUSTFLAGS"))}
        own |= {"CARGO_TARGET_DIR": str(tmp_path / f"target{len(env)}"), **env}
        done = subprocess.run(["cargo", "build", "-v", "--offline"], cwd=tmp_path / "p", env=own, capture_output=True)
        assert done.returncode == 0, done.stderr
        return done.stderr.decode()

    assert "target-cpu=native" in command_line()
    assert "target-cpu=native" not in command_line(CARGO_ENCODED_RUSTFLAGS=flags)
