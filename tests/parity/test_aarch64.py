"""The engine on aarch64: its CPU tests, cross-compiled, on emulated processors with and without dot products of bytes.

Wanted, else the tests are skipped and say so: the Rust target aarch64-unknown-linux-gnu, Debian's
gcc-aarch64-linux-gnu and qemu-user.
The crate is compiled by a manifest without its GPU, whose crates would take most of the time and run nowhere here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from stages import paths

TARGET = "aarch64-unknown-linux-gnu"
LIBRARIES = Path("/usr/aarch64-linux-gnu")
CRATE = paths.ROOT / "rust" / "inference"
# Each compares what the instructions give with something slower: the portable loop, f64, one thread.
TESTS = ("cpu_isas", "cpu_ops", "cpu_shared_heads", "cpu_threads")
# Processors, and whether they have dot products of bytes.
PROCESSORS = {"cortex-a57": False, "max": True}


def missing() -> str | None:
    """What of the tools is not there."""
    if absent := [tool for tool in ("cargo", "aarch64-linux-gnu-gcc", "qemu-aarch64") if shutil.which(tool) is None]:
        return f"{', '.join(absent)} not on PATH (Debian: gcc-aarch64-linux-gnu, qemu-user)"
    sysroot = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True).stdout.strip()
    if not (Path(sysroot) / "lib" / "rustlib" / TARGET / "lib").is_dir():
        return f"Rust has no library for {TARGET} (`rustup target add {TARGET}`)"
    return None


def manifest() -> str:
    """The crate's own manifest, with the workspace's versions and sources where they are, but without wgpu and naga."""
    workspace = tomllib.loads((paths.ROOT / "Cargo.toml").read_text(encoding="utf-8"))
    crate = tomllib.loads((CRATE / "Cargo.toml").read_text(encoding="utf-8"))

    def dependencies(table: str) -> list[str]:
        lines = []
        for name, wanted in crate[table].items():
            if wanted.get("optional") or name == "naga":
                continue
            shared = workspace["workspace"]["dependencies"][name]
            shared = {"version": shared} if isinstance(shared, str) else shared
            features = json.dumps([*shared.get("features", []), *wanted.get("features", [])])
            default = json.dumps(shared.get("default-features", True))
            version = json.dumps(shared["version"])
            lines.append(f"{name} = {{ version = {version}, default-features = {default}, features = {features} }}")
        return lines

    package = workspace["workspace"]["package"]
    return "\n".join(
        [
            "[package]",
            f'name = "{crate["package"]["name"]}"',
            *(f'{key} = "{package[key]}"' for key in ("version", "edition", "rust-version")),
            "autotests = false",
            "[lib]",
            f'path = "{CRATE / "src" / "lib.rs"}"',
            "[features]",
            "gpu = []",
            "[dependencies]",
            *dependencies("dependencies"),
            "[dev-dependencies]",
            *dependencies("dev-dependencies"),
            "[profile.tests]",
            'inherits = "release"',
            "codegen-units = 16",
            "debug-assertions = true",
            "overflow-checks = true",
            *(f'[[test]]\nname = "{test}"\npath = "{CRATE / "tests" / test}.rs"' for test in TESTS),
            "[workspace]",
            "",
        ]
    )


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The crate's tests as programs of aarch64."""
    if reason := missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("aarch64")
    (folder / "Cargo.toml").write_text(manifest(), encoding="utf-8")
    shutil.copy(paths.ROOT / "Cargo.lock", folder)  # the versions; cargo strikes out what is not wanted here
    environment = {
        **os.environ,
        "CARGO_TARGET_DIR": str(paths.BUILD / "run" / "cargo-aarch64"),
        "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER": "aarch64-linux-gnu-gcc",
    }
    tests = [word for test in TESTS for word in ("--test", test)]
    command = ["cargo", "test", "--profile", "tests", "--target", TARGET, "--no-run", "--lib", *tests]
    done = subprocess.run(
        [*command, "--message-format", "json"], cwd=folder, env=environment, stdout=subprocess.PIPE, check=True
    )
    messages = (json.loads(line) for line in done.stdout.splitlines())
    found = [message["executable"] for message in messages if message.get("executable")]
    assert len(found) == 1 + len(TESTS), found
    return found


@pytest.mark.slow
@pytest.mark.parametrize("processor", PROCESSORS)
def test_the_loops_are_those_of_their_twins(programs: list[str], processor: str) -> None:
    emulator = ["qemu-aarch64", "-L", str(LIBRARIES), "-cpu", processor]
    for program in programs:
        done = subprocess.run([*emulator, program], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{Path(program).name} on {processor}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        assert "0 failed" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("processor", PROCESSORS)
def test_the_processor_has_what_is_meant_to_be_tested(programs: list[str], processor: str) -> None:
    """Without this, a processor whose dot products were not found would pass by running NEON twice."""
    program = next(program for program in programs if "/cpu_isas-" in program)
    emulator = ["qemu-aarch64", "-L", str(LIBRARIES), "-cpu", processor]
    command = [*emulator, program, "--exact", "what_is_compared", "--nocapture"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert '["portable", "neon"' in names, names
    assert ('"dotprod"]' in names) == PROCESSORS[processor], names
