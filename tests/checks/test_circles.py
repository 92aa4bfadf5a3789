"""No module is among the modules that it needs: in every Python package, Rust crate and TypeScript folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages import paths
from tests.checks import import_graph
from tests.checks.import_graph import circles

# It is to go; none is to come.
KNOWN = {"rust/tokenizer": {"train -> train::merges -> train"}}
CRATES = sorted(f"rust/{path.parent.name}" for path in (paths.ROOT / "rust").glob("*/Cargo.toml"))


def planted(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("crate", CRATES)
def test_no_circle_in_a_crate(crate: str) -> None:
    imports = import_graph.rust(paths.ROOT / crate)
    assert imports, "this test is out of date: it finds no module"
    assert sorted(set(circles(imports)) - KNOWN.get(crate, set())) == []


@pytest.mark.parametrize(("folder", "modules"), [("web/src", 40), ("tests/e2e", 12)])
def test_no_circle_in_typescript(folder: str, modules: int) -> None:
    imports = import_graph.typescript(paths.ROOT / folder)
    assert len(imports) >= modules and sum(map(len, imports.values())) >= modules, "this test is out of date"
    assert circles(imports) == []


@pytest.mark.parametrize("package", ["stages", "training", "tests"])
def test_no_circle_in_python(package: str) -> None:
    imports = import_graph.python(paths.ROOT / package)
    assert sum(map(len, imports.values())) > 20, "this test is out of date"
    assert circles(imports) == []


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (
            {"src/a.rs": "use crate::{\n    b::{self, X},\n    c::Y,\n};\n", "src/b.rs": "fn f() { crate::a::g() }\n"},
            ["a -> b -> a"],
        ),
        # Through what the root hands on.
        (
            {
                "src/lib.rs": "mod a;\nmod b;\npub use a::{A, Other as B};\n",
                "src/a.rs": "use crate::b::C;\n",
                "src/b.rs": "use super::A;\n",
            },
            ["a -> b -> a"],
        ),
        # A child that uses what its parent makes of it.
        (
            {"src/a/mod.rs": "mod child;\nfn f() { child::g() }\n", "src/a/child.rs": "use super::f;\n"},
            ["a -> a::child -> a"],
        ),
        (
            {"src/a.rs": "use self::x::X;\n", "src/a/x.rs": "use super::super::b::B;\n", "src/b.rs": "use crate::a;\n"},
            ["a -> a::x -> b -> a"],
        ),
        # No circles: a parent that hands its child on, tests inside a file, comments.
        (
            {
                "src/a/mod.rs": "mod child;\npub use child::X;\npub struct Y;\n",
                "src/a/child.rs": "use super::Y;\n",
                "src/b.rs": "// crate::c::X\n#[cfg(test)]\nmod tests {\n    use crate::c::X;\n}\n",
                "src/c.rs": "use crate::b;\n",
            },
            [],
        ),
    ],
)
def test_a_planted_circle_of_rust_is_found(tmp_path: Path, files: dict[str, str], found: list[str]) -> None:
    assert circles(import_graph.rust(planted(tmp_path, files))) == found


@pytest.mark.parametrize(
    "line",
    [
        'import { x } from "../b";',
        'import type { X } from "../b";',
        'export {\n  x,\n} from "../b";',
        'import "../b";',
        'const b = await import("../b");',
    ],
)
def test_a_planted_circle_of_typescript_is_found(tmp_path: Path, line: str) -> None:
    planted(tmp_path, {"a/a.ts": f"{line}\n", "b/index.tsx": 'import { y } from "../a/a";\n'})
    assert circles(import_graph.typescript(tmp_path)) == ["a/a.ts -> b/index.tsx -> a/a.ts"]


@pytest.mark.parametrize("line", ["from pack import b", "import pack.b", "from pack.b import x", "from . import b"])
def test_a_planted_circle_of_python_is_found(tmp_path: Path, line: str) -> None:
    package = planted(tmp_path / "pack", {"a.py": f"def f():\n    {line}\n", "b.py": "from .a import f\n"})
    assert circles(import_graph.python(package)) == ["a -> b -> a"]
