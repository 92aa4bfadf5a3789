"""The benchmark's rounds: every encoder is new in each, so that no cache has seen what is timed; and its rows."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from stages.bench import BENCHES
from tests.bench.tokenizer import clocks


def ticking() -> clocks.Clock:
    """A clock that goes one second further each time it is read."""
    seconds = count()
    return lambda: float(next(seconds))


@pytest.mark.parametrize("batch", [False, True])
def test_an_encoder_has_seen_the_first_half_alone(batch: bool) -> None:
    seen: list[list[Any]] = []

    def make() -> Callable[[Any], Any]:
        seen.append([])
        return seen[-1].append

    took = clocks.unseen(3, {"one": make}, ["a", "b", "c", "d", "e"], ticking(), batch=batch)
    assert took == {"one": 1.0}
    assert seen == [[["a", "b"], ["c", "d", "e"]] if batch else ["a", "b", "c", "d", "e"]] * 3


def test_a_text_is_encoded_once_by_each_encoder() -> None:
    seen: list[list[str]] = []

    def make() -> Callable[[str], Any]:
        seen.append([])
        return seen[-1].append

    clocks.first_time(2, {"one": make, "other": make}, "aaaa", ticking())
    assert seen == [["one", "aaaa"]] * 4


def test_a_row_has_a_cell_for_each_column_and_the_best_other() -> None:
    line = clocks.row("lists", {clocks.OURS: 0.5, "gigatoken": 0.25, "fastokens": 2.0}, 1.0, "1.0")
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == ["lists", "2 MB/s", "4 MB/s", "0 MB/s", "", "", "", "**0.50** (gigatoken)", "1.0"]
    assert all(len(each.strip("|").split("|")) == len(cells) for each in clocks.heading().splitlines())


@pytest.mark.parametrize("path", sorted(Path(clocks.__file__).parent.glob("*.py")), ids=lambda path: path.name)
def test_no_module_needs_doit(path: Path) -> None:
    """The benchmark's Python is another than doit's: it did not start once, since a module took paths from stages/."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    named += [str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert named
    assert not [name for name in named if name.partition(".")[0] in ("doit", "stages")]


@pytest.mark.parametrize("name", BENCHES)
def test_every_benchmark_is_a_program(name: str) -> None:
    assert importlib.util.find_spec(f"{BENCHES[name].module}.__main__") is not None
