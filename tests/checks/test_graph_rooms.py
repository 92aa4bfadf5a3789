"""The rooms inside stages/graph: imports go down, and never in a circle."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

from stages import paths

# Lowest first. What stands in no room (errors) is below all of them; the package's own __init__ is above.
ROOMS = ("declare", "read", "keep", "decide", "show", "run", "manage", "front")


def imports_of(package: Path) -> dict[str, set[str]]:
    """Module -> the modules of the same package that it imports, lazily or for types too. The names have no package."""
    files = {".".join(path.relative_to(package).with_suffix("").parts): path for path in package.rglob("*.py")}
    return {module: _imported(module, path, set(files)) for module, path in files.items()}


def _imported(module: str, path: Path, modules: set[str]) -> set[str]:
    here = module.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*here[: len(here) - (node.level - 1)], *(node.module.split(".") if node.module else [])]
            for alias in node.names:
                for name in (".".join([*base, alias.name]), ".".join(base), ".".join([*base, "__init__"])):
                    if name in modules:
                        found.add(name)
                        break
    return found


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


def circles(imports: Mapping[str, set[str]]) -> list[str]:
    """The import circles, each once, as `a -> b -> a`."""
    found, done = [], set()
    for start in sorted(imports):
        path = {start: iter(sorted(imports[start]))}
        while path and start not in done:
            name = next(reversed(path))
            for other in path[name]:
                if other in path:
                    names = list(path)
                    found.append(" -> ".join([*names[names.index(other) :], other]))
                elif other not in done:
                    path[other] = iter(sorted(imports.get(other, ())))
                    break
            else:
                done.add(name)
                del path[name]
    return found


def test_imports_go_down() -> None:
    imports = imports_of(paths.ROOT / "stages" / "graph")
    assert len(imports) > 40, "this test is out of date: it no longer finds the modules"
    assert {module.partition(".")[0] for module in imports} == {*ROOMS, "__init__", "errors"}
    assert upward(imports) == []
    assert circles(imports) == []


def test_a_planted_import_upward_is_found(tmp_path: Path) -> None:
    for room in ("keep", "run"):
        (tmp_path / room).mkdir()
    (tmp_path / "run/build.py").write_text("")
    (tmp_path / "keep/store.py").write_text("def f() -> None:\n    from ..run import build\n")
    assert upward(imports_of(tmp_path)) == ["keep.store -> run.build"]


def test_a_planted_circle_is_found(tmp_path: Path) -> None:
    (tmp_path / "read").mkdir()
    (tmp_path / "read/__init__.py").write_text("")
    (tmp_path / "read/tree.py").write_text("from .python import closure\n")
    (tmp_path / "read/python.py").write_text("if TYPE_CHECKING:\n    from . import tree\n")
    imports = imports_of(tmp_path)
    assert upward(imports) == []
    assert circles(imports) == ["read.python -> read.tree -> read.python"]
