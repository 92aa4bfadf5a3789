"""Fixtures of the stage engine's tests."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from stages.graph import Output, files
from tests.graph.project import Project


@pytest.fixture
def project(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Project:
    """An empty project."""
    return Project(tmp_path, capfd.readouterr)


@pytest.fixture
def chain(project: Project) -> Project:
    """a.txt -> one -> two -> three, where `two` keeps only the first line."""
    project.write("a.txt", "hello\n")
    project.stage("one", "cat a.txt > {out}/o.txt", sources=(files("a.txt"),))
    project.stage(
        "two", "head -n 1 {in.one} > {out}/o.txt", inputs={"one": Output("one", "o.txt")}, params={"two.x": 1}
    )
    project.stage("three", "tr a-z A-Z < {in.two} > {out}/o.txt", inputs={"two": Output("two", "o.txt")})
    assert project.doit().ran == ["one", "two", "three"]
    return project


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> None:
    """Undo what a shell does to its background jobs: SIGINT ignored, which children inherit (a handler they do not)."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
