"""Versions of tools: a `Tool` in, its version out, asked once and remembered for as long as the program's file does
not change.

`rustc -vV` takes 14 ms, `npm -v` 107: too long for a no-op. Under rustup every tool is one small proxy that an
update leaves alone, so there the toolchains' own files are watched too. The shims of other version managers (scripts,
or links to a program of another name) are asked each time, since they may start something else tomorrow.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from ..declare.stage import Tool
from .statcache import StatCache, stamp

PROBE_TIMEOUT_S = 60
RUSTUP_WATCH = ("settings.toml", "toolchains", "update-hashes")


def python() -> str:
    """The Python that runs: bug-fix releases keep results, free-threaded and debug builds (abiflags) do not."""
    return f"{sys.implementation.name} {sys.version_info.major}.{sys.version_info.minor}{sys.abiflags}"


def version(tool: Tool, cwd: str, path: Sequence[str], cache: StatCache) -> str | None:
    """What the tool prints about itself, or its pinned version. None if it is missing or fails."""
    if tool.version is not None:
        return tool.version
    argv = tool.argv() if callable(tool.argv) else tool.argv
    program = which(argv[0], path)
    if program is None:
        return None
    selecting = {name: os.environ[name] for name in ("RUSTUP_TOOLCHAIN", "RUSTUP_HOME") if name in os.environ}
    memo = "\0".join([program, *argv[1:], *(f"{name}={value}" for name, value in sorted(selecting.items()))])
    rustup = _rustup_files(program, cwd)
    stamps = [_stamp(watched) for watched in (program, *rustup, *tool.watch)]
    known = cache.tool(memo, stamps)
    if known is not None:
        return known
    said = _ask([program, *argv[1:]], cwd, path)
    if said is not None and (rustup or not _is_shim(program)):
        cache.remember_tool(memo, stamps, said)
    return said


def which(program: str, path: Sequence[str]) -> str | None:
    """The file that `program` runs, by `path` and then PATH. Links are not resolved: rustup goes by their name."""
    if "/" in program:
        return program if os.access(program, os.X_OK) else None
    for folder in [*path, *os.environ.get("PATH", os.defpath).split(os.pathsep)]:
        found = f"{folder}/{program}"
        if os.access(found, os.X_OK) and os.path.isfile(found):
            return found
    return None


def _ask(argv: list[str], cwd: str, path: Sequence[str]) -> str | None:
    import subprocess

    from .environment import child_environment

    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            cwd=cwd,
            env=child_environment((), {}, path),
            stdin=subprocess.DEVNULL,
            timeout=PROBE_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else None


def _stamp(path: str) -> list[int] | None:
    try:
        return stamp(os.stat(path))
    except OSError:
        return None


def _is_shim(program: str) -> bool:
    """Whether a program may start another one without its own file changing: a script, or a link to something else."""
    real = os.path.realpath(program)
    if os.path.basename(program) not in os.path.basename(real):
        return True
    with open(real, "rb") as file:
        return file.read(2) == b"#!"


def _rustup_files(program: str, cwd: str) -> list[str]:
    """The files that decide what a rustup proxy runs; none for other programs."""
    if os.path.basename(os.path.realpath(program)) != "rustup" and not os.path.exists(
        f"{os.path.dirname(program)}/rustup"
    ):
        return []
    home = os.environ.get("RUSTUP_HOME") or os.path.expanduser("~/.rustup")
    return [*(f"{home}/{name}" for name in RUSTUP_WATCH), f"{cwd}/rust-toolchain.toml", f"{cwd}/rust-toolchain"]
