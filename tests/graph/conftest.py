"""Fixtures of the stage engine's tests."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from stages.graph import Output, files
from stages.graph.keep import remote as remotes
from tests.graph.experiments import Lab
from tests.graph.project import Project

CHAIN = ["one", "two", "three"]  # the stages of `chain`


@pytest.fixture
def project(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Project:
    """An empty project."""
    return Project(tmp_path, capfd.readouterr)


@pytest.fixture
def lab(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Lab:
    """A stand-in for a training with its experiments, nothing built."""
    return Lab(tmp_path, capfd.readouterr)


@pytest.fixture
def chain(project: Project) -> Project:
    """a.txt -> one -> two -> three, where `two` keeps only the first line."""
    declare_chain(project)
    assert project.doit().ran == CHAIN
    return project


def declare_chain(project: Project) -> None:
    """The stages of `chain`, nothing built."""
    project.write("a.txt", "hello\n")
    project.stage("one", "cat a.txt > {out}/o.txt", sources=(files("a.txt"),))
    project.stage(
        "two", "head -n 1 {in.one} > {out}/o.txt", inputs={"one": Output("one", "o.txt")}, params={"two.x": 1}
    )
    project.stage("three", "tr a-z A-Z < {in.two} > {out}/o.txt", inputs={"two": Output("two", "o.txt")})


@pytest.fixture(autouse=True)
def no_store_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests neither read nor fill the store of whoever runs them."""
    monkeypatch.delenv("POCKETLM_STORE", raising=False)


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> None:
    """Undo what a shell does to its background jobs, and nohup: signals ignored, which children inherit."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture
def here(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Project:
    """One machine, nothing built."""
    return machine(tmp_path / "here", capfd)


@pytest.fixture
def there(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Project:
    """Another clone of the same project, elsewhere."""
    return machine(tmp_path / "other" / "there", capfd)


def machine(root: Path, capfd: pytest.CaptureFixture[str]) -> Project:
    root.mkdir(parents=True)
    project = Project(root, capfd.readouterr)
    declare_chain(project)
    return project


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait long before a remote store is asked again."""
    monkeypatch.setattr(remotes, "RETRY_AFTER_S", 0.05)


def content(project: Project) -> dict[str, bytes]:
    """Every output that is linked, by its path."""
    return {name: (project.result(name) / "o.txt").read_bytes() for name in CHAIN}
