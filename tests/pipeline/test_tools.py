"""Setups: what is installed when, and what a person reads where it cannot be."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

from stages import crates, paths, tools, wasm_target
from stages.graph.declare.stage import expand_placeholders


def no_run(*_: object, **__: object) -> NoReturn:
    """What an install runs commands with, where it must not come to that."""
    raise AssertionError("nothing should be installed here")


@pytest.mark.alone
def test_export_needs_neither_cargo_nor_node(tmp_path: Path) -> None:
    """With node, npm, cargo, rustc and wasm-pack absent from PATH, `doit export` still finds its results fresh."""
    kept = tmp_path / "bin"
    kept.mkdir()
    for name in ("sh", "env", "cp", "rm", "cat", "git"):
        found = next(
            (Path(folder) / name for folder in os.environ["PATH"].split(os.pathsep) if (Path(folder) / name).exists()),
            None,
        )
        if found:
            (kept / name).symlink_to(found)
    env = {**os.environ, "PATH": str(kept)}
    done = subprocess.run(
        [paths.VENV / "bin" / "python", "-P", paths.VENV / "bin" / "doit", "export", "preset=tiny"],
        cwd=paths.ROOT,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed" not in done.stdout


def test_apt_without_root_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(tools.sys, "platform", "linux")
    monkeypatch.setattr(tools.os, "geteuid", lambda: 1000)
    with pytest.raises(tools.SetupError, match="sudo apt-get install -y --no-install-recommends chromium"):
        tools.apt_install(no_run, "chromium")


def test_a_missing_linker_is_installed_as_root_and_named_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """cargo runs without one, and would fail minutes later at the first crate that it links."""
    there = ("cargo", "apt-get")
    monkeypatch.setattr(tools.shutil, "which", lambda name: f"/usr/bin/{name}" if name in there else None)
    monkeypatch.setattr(tools.sys, "platform", "linux")
    typed: list[str] = []

    class Done:
        status = 0

    def run(words: list[str], **_: object) -> Done:
        typed.append(" ".join(words))
        return Done()

    assert not tools.CARGO.is_ready()
    monkeypatch.setattr(tools.os, "geteuid", lambda: 0)
    tools.CARGO.install(run)
    assert typed[-1].endswith("install -y --no-install-recommends gcc libc6-dev")
    monkeypatch.setattr(tools.os, "geteuid", lambda: 1000)
    with pytest.raises(tools.SetupError, match=r"Rust needs a C linker\. Type: sudo apt-get install .* gcc libc6-dev"):
        tools.CARGO.install(no_run)


def test_an_old_node_and_a_missing_one_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for said, expected in (("v18.1.0", "node is v18.1.0, older than 20"), (None, "node is not on PATH")):
        monkeypatch.setattr(tools, "output_of", lambda *argv, said=said: said)
        with pytest.raises(tools.SetupError, match=expected):
            tools.NODE_PACKAGES.install(no_run)


def test_locked_versions_are_those_of_the_manifests() -> None:
    assert f"torch=={tools.locked_version('torch')}" in (paths.ROOT / "pyproject.toml").read_text()
    assert f'"binaryen": "{tools.npm_version("binaryen")}"' in (paths.WEB / "package.json").read_text()


def test_forcing_the_distribution_is_not_satisfied_by_another_way(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(paths, "WASM_TARGET_STAMP", tmp_path / "wasm-target.json")
    assert not wasm_target.is_ready()  # no stamp yet
    sysroot = tmp_path / "sysroot"
    for target in wasm_target.TARGETS:
        (sysroot / "lib/rustlib" / target / "lib").mkdir(parents=True)
    monkeypatch.setattr(wasm_target, "_sysroot", lambda: str(sysroot))
    monkeypatch.setattr(paths, "TOOLS", tmp_path)
    monkeypatch.delenv(wasm_target.FORCE, raising=False)
    wasm_target.install(no_run)
    assert wasm_target.wasm_target()["way"] == "sysroot" and wasm_target.is_ready()
    monkeypatch.setenv(wasm_target.FORCE, "distro")
    assert not wasm_target.is_ready()


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("prefix", ["", "/usr/bin:"])
def test_the_pinned_wasm_opt_is_the_one_that_runs(tmp_path: Path, prefix: str) -> None:
    """The key has the pinned version, whatever the system has; the compiler is that of the prepared target."""
    pinned = tmp_path / "build/tools"
    script(pinned / "bin/wasm-pack", "command -v wasm-opt; command -v wasm-bindgen")
    script(pinned / "bin/wasm-bindgen", "")
    script(pinned / "node/node_modules/.bin/wasm-opt", "")
    (pinned / "wasm-path").write_text(f"{tmp_path}/system:" if prefix else "")
    for name in ("wasm-opt", "wasm-bindgen", "wasm-pack"):
        script(tmp_path / "system" / name, "echo the wrong one")
    (tmp_path / "rust/a/src").mkdir(parents=True)
    (tmp_path / "rust/a/Cargo.toml").touch()
    values = {"root": str(tmp_path), "out": str(tmp_path / "out")}
    argv = [expand_placeholders(word, values) for word in crates.wasm_stage().run]
    env = {"PATH": f"{tmp_path}/system:{os.environ['PATH']}", "HOME": str(tmp_path)}
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True)
    of_each_module = [f"{pinned}/node/node_modules/.bin/wasm-opt", f"{pinned}/bin/wasm-bindgen"]
    assert done.stdout.splitlines() == 2 * of_each_module


def test_what_is_left_of_a_crate_does_not_stop_cargo(tmp_path: Path) -> None:
    """A crate is deleted: its empty sources, which a stage made in its snapshot, are no member without a manifest."""
    (tmp_path / "Cargo.toml").write_text('[workspace]\nmembers = ["rust/*"]\nresolver = "2"\n')
    for crate in "ab":
        (tmp_path / "rust" / crate).mkdir(parents=True)
        manifest = f'[package]\nname = "{crate}"\nversion = "0.1.0"\nedition = "2021"\n'
        (tmp_path / "rust" / crate / "Cargo.toml").write_text(manifest)
    command = ["sh", "-ec", crates.EMPTY_MEMBERS + "cargo metadata --no-deps --offline --format-version 1"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0
    assert (tmp_path / "rust/b/src/lib.rs").exists()
    (tmp_path / "rust/b/Cargo.toml").unlink()  # what the snapshot takes away: the source, not the leavings
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
