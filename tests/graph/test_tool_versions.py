"""Versions of tools in the key: those of programs that stand behind a version manager, and of Python itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from stages.graph import Tool
from stages.graph.read import versions
from stages.graph.read.statcache import StatCache
from tests.graph.project import Project

ASKED = "#!/bin/sh\necho asked >> {folder}/asked\ncat {folder}/version\n"


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return folder


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def test_a_shim_that_selects_another_version(project: Project, bin_folder: Path) -> None:
    """asdf, pyenv and nodenv put a script on PATH; what it starts changes while the script does not."""
    (bin_folder / "version").write_text("v20\n")
    program(bin_folder / "nodex", ASKED.format(folder=bin_folder))
    project.stage("s", "nodex > {out}/o.txt", tools=(Tool("node", argv=("nodex", "--version")),))
    assert project.doit().ran == ["s"]
    assert project.doit().ran == []
    (bin_folder / "version").write_text("v22\n")
    assert project.why()["s"][1] == [{"kind": "tool", "name": "node", "old": "v20", "new": "v22"}]
    assert project.doit().ran == ["s"]
    assert (project.result("s") / "o.txt").read_text() == "v22\n"


def test_a_link_to_a_program_of_another_name(bin_folder: Path, tmp_path: Path) -> None:
    """volta and mise link every tool to one program of theirs, which looks at the name that it was started by."""
    program(bin_folder / "manager", "#!/bin/sh\n")
    (bin_folder / "nodex").symlink_to("manager")
    (bin_folder / "python3").symlink_to(sys.executable)
    assert versions._is_shim(str(bin_folder / "nodex"))
    assert not versions._is_shim(str(bin_folder / "python3"))
    compiled = Path(sys.executable).resolve()
    tool, cache = Tool("python", argv=(str(compiled), "--version")), StatCache(str(tmp_path / "cache.json"))
    said = versions.version(tool, str(tmp_path), (), cache)
    assert said and said.startswith("Python 3.")
    assert next(iter(cache._tools.values()))[1] == said  # a compiled program is asked once


def test_free_threaded_python_has_a_key_of_its_own(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "abiflags", "")
    usual = versions.python()
    assert usual == f"cpython {sys.version_info.major}.{sys.version_info.minor}"
    monkeypatch.setattr(sys, "abiflags", "t")
    assert versions.python() == f"{usual}t"
