"""doit graph: the drawing in text and Mermaid."""

from __future__ import annotations

import itertools
import random

import pytest

from stages.graph import Output
from stages.graph.show.draw import Node, as_mermaid, as_text, reduced
from tests.graph.project import Project, tree_state


@pytest.fixture
def diamond(project: Project) -> Project:
    """a -> b, c -> d, also a -> d; and e alone."""
    project.stage("a", "echo > {out}/o.txt")
    for name in "bc":
        project.stage(name, "echo > {out}/o.txt", inputs={"a": Output("a", "o.txt")})
    project.stage("d", "echo > {out}/o.txt", inputs={name: Output(name, "o.txt") for name in "abc"})
    project.stage("e", "echo > {out}/o.txt")
    return project


def test_text_draws_edges_and_states(diamond: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    diamond.doit("b")
    before = tree_state(diamond.build / "store")
    assert diamond.doit("graph").out.splitlines() == [
        "●    a  fresh",
        "├─●  b  fresh",
        "○ │  c  will run",
        "○─┘  d  will run",
        "  ○  e  will run",
    ]
    assert tree_state(diamond.build / "store") == before
    assert diamond.doit("graph", "--all").out.splitlines()[2:4] == ["├─│─○  c  will run", "○─┴─┘  d  will run"]
    monkeypatch.setenv("LC_ALL", "C")
    assert diamond.doit("graph", "c").out.splitlines() == ["*  a  fresh", "o  c  will run"]
    assert diamond.doit("graph").out.isascii()


def test_a_comes_back_from_the_store_and_what_follows_may_run(diamond: Project) -> None:
    diamond.doit()
    diamond.stage("a", "echo 2 > {out}/o.txt")
    assert diamond.doit("graph").out.count("may run") == 3
    diamond.doit("a")
    diamond.stage("a", "echo > {out}/o.txt")
    assert "comes from the store" in diamond.doit("graph").out


def test_mermaid(diamond: Project) -> None:
    lines = diamond.doit("graph", "--mermaid", "--plain").out.splitlines()
    assert lines[:2] == ["flowchart LR", '  n0["a"]'] and "  n0 --> n1" in lines and "  n0 --> n3" not in lines


def _random_graph(seed: int) -> dict[str, list[str]]:
    chosen = random.Random(seed)
    names = [f"stage-{number}{'x' * chosen.randrange(9)}" for number in range(chosen.randrange(1, 25))]
    return {name: chosen.sample(names[:at], min(at, chosen.choice([0, 1, 1, 2, 4]))) for at, name in enumerate(names)}


def _reachable(inputs: dict[str, list[str]], name: str) -> set[str]:
    return set(inputs[name]).union(*(_reachable(inputs, each) for each in inputs[name]))


@pytest.mark.parametrize("seed", range(20))
def test_edges_that_follow_from_others_are_left_out(seed: int) -> None:
    inputs = _random_graph(seed)
    less = reduced(inputs)
    for name in inputs:  # the same order of stages, by fewer edges; none that another path replaces
        assert _reachable(less, name) == _reachable(inputs, name)
        for one, other in itertools.permutations(less[name], 2):
            assert one not in _reachable(inputs, other)
    nodes = [Node(name, "fresh", tuple(inputs[name])) for name in inputs]
    assert as_mermaid(nodes).count("-->") == sum(map(len, less.values()))


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_the_text_can_be_read_back(seed: int, every: bool) -> None:
    """Follow the lines of the drawing: exactly the edges that were to be drawn come out."""
    inputs = _random_graph(seed)
    nodes = [Node(name, "fresh", tuple(inputs[name])) for name in inputs]
    rows = as_text(nodes, every).splitlines()
    lanes: dict[int, str] = {}
    read: dict[str, list[str]] = {}
    for row in rows:
        drawing, name = row.split("  stage-")[0], "stage-" + row.split("  stage-")[1].split()[0]
        mark = drawing.index("●")
        read[name] = []
        for column, sign in enumerate(drawing):
            if sign in "├┤└┘┴┼":
                read[name].append(lanes[column])
            if sign in "└┘┴" or (sign == "│" and column not in lanes):
                lanes.pop(column)
        below = rows[len(read)] if len(read) < len(rows) else ""
        if mark in lanes:
            read[name].append(lanes[mark])
        lanes.pop(mark, None)
        if below[mark : mark + 1] not in ("", " ", "─"):
            lanes[mark] = name
    expected = reduced(inputs) if not every else inputs
    assert {name: sorted(read[name]) for name in read} == {name: sorted(set(expected[name])) for name in inputs}
