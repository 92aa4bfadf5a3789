"""doit graph: the drawing in text, SVG and Mermaid."""

from __future__ import annotations

import itertools
import random
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from stages.graph import Output
from stages.graph.show.draw import CHARACTER, Node, as_mermaid, as_svg, as_text
from stages.graph.show.layout import lay_out, reduced
from tests.graph.project import Project, tree_state

SVG = "{http://www.w3.org/2000/svg}"


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


def test_svg_is_whole_equal_each_time_and_names_everything(diamond: Project, tmp_path: Path) -> None:
    for name in ("1.svg", "2.svg"):
        assert diamond.doit("graph", "--svg", str(tmp_path / name)).status == 0
    assert (tmp_path / "1.svg").read_bytes() == (tmp_path / "2.svg").read_bytes()
    root = ElementTree.parse(tmp_path / "1.svg").getroot()
    assert [text.text for text in root.iter(f"{SVG}text")][::2] == list("abcde")
    titles = [title.text for title in root.iter(f"{SVG}title")]
    assert {"a → b", "a → c", "b → d", "c → d", "d: Makes d."} <= set(titles) and "a → d" not in titles
    assert "http" not in (tmp_path / "1.svg").read_text().replace("http://www.w3.org/2000/svg", "")
    assert diamond.doit("graph", "--svg", str(tmp_path / "no/such/folder.svg")).status == 1


def test_mermaid(diamond: Project) -> None:
    lines = diamond.doit("graph", "--mermaid", "--plain").out.splitlines()
    assert lines[:2] == ["flowchart LR", '  n0["a"]'] and "  n0 --> n1" in lines and "  n0 --> n3" not in lines
    assert diamond.doit("graph", "--mermaid", "--svg", "x").status == 2


def _random_graph(seed: int) -> dict[str, list[str]]:
    chosen = random.Random(seed)
    names = [f"stage-{number}{'x' * chosen.randrange(9)}" for number in range(chosen.randrange(1, 25))]
    return {name: chosen.sample(names[:at], min(at, chosen.choice([0, 1, 1, 2, 4]))) for at, name in enumerate(names)}


def _reachable(inputs: dict[str, list[str]], name: str) -> set[str]:
    return set(inputs[name]).union(*(_reachable(inputs, each) for each in inputs[name]))


@pytest.mark.parametrize("seed", range(20))
def test_any_graph_is_laid_out_without_overlaps(seed: int) -> None:
    inputs = _random_graph(seed)
    less = reduced(inputs)
    for name in inputs:  # the same order of stages, by fewer edges; none that another path replaces
        assert _reachable(less, name) == _reachable(inputs, name)
        for one, other in itertools.permutations(less[name], 2):
            assert one not in _reachable(inputs, other)
    for drawn in (inputs, less):
        layout = lay_out(drawn)
        assert layout == lay_out(drawn)
        for (source, target), points in layout.edges.items():
            assert layout.places[source] == points[0] and layout.places[target] == points[-1]
            assert [x for x, _ in points] == list(range(int(points[0][0]), int(points[-1][0]) + 1))
        passed = [point for points in layout.edges.values() for point in points[1:-1]]
        for one, other in itertools.combinations([*layout.places.values(), *passed], 2):
            assert one[0] != other[0] or abs(one[1] - other[1]) > 0.99
    nodes = [Node(name, "", "fresh", tuple(inputs[name])) for name in inputs]
    for rect, text in _boxes(as_svg(nodes, "t")):
        assert float(rect.attrib["width"]) >= len(text) * CHARACTER
    assert as_mermaid(nodes).count("-->") == sum(map(len, less.values()))


def _boxes(svg: str) -> list[tuple[ElementTree.Element, str]]:
    groups = ElementTree.fromstring(svg).iter(f"{SVG}g")
    return [(group.findall(f"{SVG}rect")[0], group.findall(f"{SVG}text")[0].text or "") for group in groups]


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_the_text_can_be_read_back(seed: int, every: bool) -> None:
    """Follow the lines of the drawing: exactly the edges that were to be drawn come out."""
    inputs = _random_graph(seed)
    nodes = [Node(name, "", "fresh", tuple(inputs[name])) for name in inputs]
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
