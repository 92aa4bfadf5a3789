"""What one run looks at once: the sources of a stage, and its inputs; and what it looks at again because it moved."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.graph import Output, files, python_sources
from stages.graph.decide import look
from stages.graph.read.expand import expand
from stages.graph.read.statcache import StatCache
from stages.graph.read.tree import View
from stages.graph.run import snapshot
from tests.graph.project import Project


def counted(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every expansion of sources from now on."""
    seen: list[object] = []

    def count(sources: object, view: View) -> object:
        seen.append(sources)
        return expand(sources, view)  # type: ignore[arg-type]

    for module in (look, snapshot):
        monkeypatch.setattr(module, "expand", count)
    return seen


def test_sources_are_expanded_once_a_run(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("a/m.py", "import a.n\n")
    project.write("a/n.py", "x = 1\n")
    for name, inputs in (("shards", {}), ("train", {"shards": Output("shards", "o.txt")})):
        sources = (python_sources("a.m"), files("a"))
        project.stage(name, "cat a/n.py > {out}/o.txt", sources=sources, inputs=inputs)
    expanded = counted(monkeypatch)
    assert project.doit().ran == ["shards", "train"]
    assert len(expanded) == 2  # one for each stage


def test_sources_that_move_after_the_look_are_expanded_again(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is copied and what the key says are the newer ones."""
    project.write("a.txt", "old\n")
    project.stage("s", "cat *.txt > {out}/o.txt", sources=(files("*.txt"),))
    take = snapshot.take

    def edit_first(*words: object) -> object:
        project.write("a.txt", "new\n")
        project.write("b.txt", "another\n")
        return take(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(snapshot, "take", edit_first)
    expanded = counted(monkeypatch)
    assert project.doit().ran == ["s"]
    assert len(expanded) == 2
    assert (project.result("s") / "o.txt").read_text() == "new\nanother\n"
    assert set(project.receipt("s")["components"]["sources"]) == {"a.txt", "b.txt"}
    assert project.why()["s"][0] == "fresh"


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "src/a.py").write_text("y = 2\n"),
        lambda root: (root / "src/a.py").unlink(),
        lambda root: (root / "src/a.py").chmod(0o755),
        lambda root: (root / "src/new.txt").write_text(""),
        lambda root: os.rename(root / "src/b.py", root / "src/c.py"),
        lambda root: (root / "src/deep/d.txt").unlink(),
    ],
    ids=["edited", "removed", "executable", "added", "renamed", "removed below"],
)
def test_a_view_knows_when_the_tree_has_moved(tmp_path: Path, change: Callable[[Path], object]) -> None:
    (tmp_path / "src/deep").mkdir(parents=True)
    for name in ("src/a.py", "src/b.py", "src/deep/d.txt"):
        (tmp_path / name).write_text("x = 1\n")
    view = View(str(tmp_path), StatCache(str(tmp_path / "cache.json")))
    assert len(expand((python_sources("src.a"), files("src")), view)) == 3
    assert not view.moved()
    change(tmp_path)
    assert view.moved()
