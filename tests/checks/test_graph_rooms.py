"""The rooms inside stages/graph: imports go down, and never in a circle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stages import paths
from tests.checks import import_graph
from tests.checks.import_graph import circles

# Lowest first. What stands in no room (errors) is below all of them; the package's own __init__ is above.
ROOMS = ("declare", "read", "keep", "decide", "manage", "show", "run", "front")


def upward(imports: Mapping[str, set[str]]) -> list[str]:
    """The imports that go from a room to one above it."""

    def height(module: str) -> int:
        room = module.partition(".")[0]
        return len(ROOMS) if module == "__init__" else ROOMS.index(room) if room in ROOMS else -1

    return sorted(
        f"{module} -> {other}"
        for module, others in imports.items()
        for other in others
        if height(other) > height(module)
    )


def test_imports_go_down() -> None:
    imports = import_graph.python(paths.ROOT / "stages" / "graph")
    assert len(imports) > 40, "this test is out of date: it no longer finds the modules"
    assert {module.partition(".")[0] for module in imports} == {*ROOMS, "__init__", "errors"}
    assert upward(imports) == []
    assert circles(imports) == []


def test_a_planted_import_upward_is_found(tmp_path: Path) -> None:
    for room in ("keep", "run"):
        (tmp_path / room).mkdir()
    (tmp_path / "run/build.py").write_text("")
    (tmp_path / "keep/store.py").write_text("def f() -> None:\n    from ..run import build\n")
    assert upward(import_graph.python(tmp_path)) == ["keep.store -> run.build"]


def test_a_planted_circle_is_found(tmp_path: Path) -> None:
    (tmp_path / "read").mkdir()
    (tmp_path / "read/__init__.py").write_text("")
    (tmp_path / "read/tree.py").write_text("from .python import closure\n")
    (tmp_path / "read/python.py").write_text("if TYPE_CHECKING:\n    from . import tree\n")
    imports = import_graph.python(tmp_path)
    assert upward(imports) == []
    assert circles(imports) == ["read.python -> read.tree -> read.python"]
