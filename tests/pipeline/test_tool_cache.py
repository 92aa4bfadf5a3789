"""Tools that were compiled for another checkout: taken where they are whole, and only there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from stages import paths, tool_cache, tools
from tests.pipeline.test_tools import no_run, script

LIBC = "glibc 2.36"


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache of its own, with nothing in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tool_cache.folder()


def program(path: Path, version: str) -> Path:
    script(path, f"echo wasm-pack {version}")
    return path


def test_what_was_kept_is_there_for_another_checkout(cache: Path, tmp_path: Path) -> None:
    to = tmp_path / "other" / "bin" / "wasm-pack"
    assert not tool_cache.fetch("wasm-pack", "0.15.1", LIBC, to)
    made = program(tmp_path / "wasm-pack", "0.15.1")
    tool_cache.keep("wasm-pack", "0.15.1", LIBC, made)
    tool_cache.keep("wasm-pack", "0.15.1", LIBC, made)  # over what is there
    assert [path.name for path in cache.iterdir() if path.name.startswith(".")] == []
    assert tool_cache.fetch("wasm-pack", "0.15.1", LIBC, to)
    assert to.read_bytes() == made.read_bytes() and to.stat().st_mode & stat.S_IXUSR
    for version, libc in (("0.15.2", LIBC), ("0.15.1", "glibc 2.41"), ("0.15.1", "musl")):
        assert not tool_cache.fetch("wasm-pack", version, libc, to)


def test_what_is_damaged_or_says_another_version_is_as_good_as_none(cache: Path, tmp_path: Path) -> None:
    to = tmp_path / "bin" / "wasm-pack"
    tool_cache.keep("wasm-pack", "0.15.1", LIBC, program(tmp_path / "wasm-pack", "0.15.1"))
    (kept,) = cache.glob("*/wasm-pack")
    whole = kept.read_bytes()
    for damaged in (whole[:-1], whole.replace(b"0.15.1", b"0.15.2"), b""):
        kept.write_bytes(damaged)
        assert not tool_cache.fetch("wasm-pack", "0.15.1", LIBC, to)
    (kept.parent / tool_cache.DIGEST).unlink()
    kept.write_bytes(whole)
    assert not tool_cache.fetch("wasm-pack", "0.15.1", LIBC, to)
    tool_cache.keep("wasm-pack", "0.15.1", LIBC, program(tmp_path / "wasm-pack", "0.15.10"))
    assert not tool_cache.fetch("wasm-pack", "0.15.1", LIBC, to)
    tool_cache.keep("wasm-pack", "0.15.1", LIBC, program(tmp_path / "text", "0.15.1"))
    (tmp_path / "text").write_text("no program")
    tool_cache.keep("wasm-pack", "0.15.1", LIBC, tmp_path / "text")
    assert not tool_cache.fetch("wasm-pack", "0.15.1", LIBC, to)
    assert not to.exists() and list(to.parent.glob(".*")) == []


def test_a_cache_that_cannot_be_written_keeps_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    made = program(tmp_path / "wasm-pack", "0.15.1")
    tool_cache.keep("wasm-pack", "0.15.1", LIBC, made)
    assert not tool_cache.fetch("wasm-pack", "0.15.1", LIBC, tmp_path / "bin" / "wasm-pack")


def test_what_is_kept_is_not_compiled(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(paths, "TOOLS", tmp_path / "tools")
    monkeypatch.setattr(paths, "TOOLS_BIN", tmp_path / "tools" / "bin")
    monkeypatch.setattr(paths, "BUILD", tmp_path)
    compiled: list[str] = []

    class Done:
        status = 0

    def run(words: list[str], **_: object) -> Done:
        crate, version = words[-1].split("@")
        compiled.append(crate)
        program(paths.TOOLS_BIN / crate.removesuffix("-cli"), version)
        return Done()

    monkeypatch.setattr(tools, "_require_cargo", lambda _: None)
    tools.WASM_TOOLS.install(run)
    assert compiled == ["wasm-bindgen-cli", "wasm-pack"] and tools.WASM_TOOLS.is_ready()
    for path in paths.TOOLS_BIN.iterdir():
        path.unlink()
    assert not tools.WASM_TOOLS.is_ready()
    tools.WASM_TOOLS.install(no_run)
    assert tools.WASM_TOOLS.is_ready() and os.access(paths.TOOLS_BIN / "wasm-pack", os.X_OK)
