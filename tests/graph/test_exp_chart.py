"""`doit exp show --chart`: a metric against a parameter, and curves laid over one another, as text and as a picture."""

from __future__ import annotations

import dataclasses
import json
import math
import random
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path

import pytest

from stages.graph import Stage
from stages.graph.manage.charts import Chart, Series, read_curve
from stages.graph.show.axes import axes
from stages.graph.show.chart_svg import as_svg
from stages.graph.show.chart_text import as_text
from tests.graph.experiments import TRAIN, Lab

CURVE = """
with open(out + "/metrics.jsonl", "w") as file:
    for step in range(50):
        file.write(json.dumps({"step": step, "a": {"loss": loss + 90 / (step + 1)}}) + "\\n")
    file.write(json.dumps({"step": 50, "note": "no loss"}) + "\\n")
"""


class CurveLab(Lab):
    """Its training writes a stream of its loss."""

    def stages_of(self, words: Mapping[str, str]) -> list[Stage]:
        (self.root / "train.py").write_text(TRAIN + CURVE)
        return [
            dataclasses.replace(
                each,
                outputs=(*each.outputs, "metrics.jsonl"),
                curves={"loss": "metrics.jsonl:step,a.loss", "lost": "metrics.jsonl:step,b"},
            )
            if each.name == "train"
            else each
            for each in super().stages_of(words)
        ]


@pytest.fixture
def curved(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> CurveLab:
    return CurveLab(tmp_path, capfd.readouterr)


def test_a_metric_against_a_parameter(lab: Lab) -> None:
    lab.doit("exp", "run", "train.lr=1,2,3", "train.layers=2,4", "train.seed=0,1")
    result = lab.doit("exp", "show", "--chart", "loss:train.lr")
    assert result.status == 0, result.err
    lines = result.out.splitlines()
    assert lines[0] == "loss against train.lr"
    assert lines[-2:] == ["  o  train.layers=2", "  x  train.layers=4"]  # the seed parts nothing
    marks = "".join(lines[2:18])
    assert marks.count("o") in range(3, 7) and marks.count("x") in range(3, 7)  # two seeds may share a cell
    assert lines[19].split() == ["1", "2", "3"]


def test_the_picture_has_every_point(lab: Lab) -> None:
    lab.doit("exp", "run", "train.lr=1,2,30", "train.layers=2,4")
    file = lab.root / "a.svg"
    result = lab.doit("exp", "show", "--chart", "loss:train.lr", "--svg", str(file))
    assert result.status == 0 and str(file) in result.out
    text = file.read_text()
    ElementTree.fromstring(text)
    assert text.count('class="dot"') == 6 + 2 and text.count('class="line"') == 2 + 2  # and two in the legend
    assert "prefers-color-scheme: dark" in text
    assert [text for text in re.findall(r'middle">([^<]*)<', text) if text[0].isdigit()] == ["1", "2", "5", "10", "20"]
    lab.doit("exp", "show", "--chart", "loss:train.lr", "--svg", str(file))
    assert file.read_text() == text


def test_curves_over_one_another(curved: CurveLab) -> None:
    curved.doit("exp", "run", "train.lr=1,2", "--name", "lr")
    result = curved.doit("exp", "show", "--chart", "loss", "--sort", "loss")
    assert result.status == 0, result.err
    assert "loss of 2 results" in result.out and result.out.splitlines()[-2:] == ["  o  lr-2", "  x  lr-1"]
    file = curved.root / "c.svg"
    assert curved.doit("exp", "show", "--chart", "loss", "--svg", str(file)).status == 0
    longest = max(re.findall(r'class="line" d="(M[^"]*)"', file.read_text()), key=len)
    assert longest.count("L") == 49  # 50 records have a loss
    key = curved.table()[0]["key"]
    found = read_curve("metrics.jsonl:step,a.loss", str(curved.build / "store" / key))
    slow = [json.loads(line) for line in (curved.build / "store" / key / "metrics.jsonl").read_text().splitlines()]
    assert found == [(each["step"], each["a"]["loss"]) for each in slow if "a" in each]


def test_more_curves_than_colours(curved: CurveLab) -> None:
    curved.doit("exp", "run", "train.seed=" + ",".join(map(str, range(10))))
    out = curved.doit("exp", "show", "--chart", "loss").out
    assert "2 are grey" in out and out.count("train.seed=") == 8


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("--chart", "los:train.lr"), 2, "there is no column los; did you mean loss?"),
        (("--chart", "loss:train.lrr"), 2, "there is no column train.lrr; did you mean train.lr?"),
        (
            ("--chart", "los"),
            2,
            "there is no curve los; there are: loss, lost. A metric against a parameter is los:PAR",
        ),
        (("--chart", "lost"), 1, "there is nothing to draw: 1 results have no lost"),
        (("--svg", "x.svg"), 2, "--svg FILE writes a chart: say which with --chart Y:X or --chart CURVE"),
        (("--chart", "loss", "--json"), 2, "one of --json, --csv, --md and --chart"),
        (("--chart", "loss", "--svg", "/no/such/place.svg"), 1, "No such file or directory: '/no/such/place.svg'"),
    ],
)
def test_wrong_words(curved: CurveLab, words: tuple[str, ...], status: int, message: str) -> None:
    curved.doit("train")
    result = curved.doit("exp", "show", *words)
    assert result.status == status and message in result.err


@pytest.mark.parametrize("where", ["metrics.jsonl", "metrics.jsonl:", "metrics.jsonl:a", "o.txt:a,b,c", "no.txt:a,b"])
def test_a_curve_that_cannot_be(where: str) -> None:
    with pytest.raises(ValueError, match=r"curve loss is .* write OUTPUT:X,Y"):
        Stage("a", "A.", run=("true",), outputs=("o.txt", "metrics.jsonl"), curves={"loss": where})


def test_axes_hold_every_point() -> None:
    chosen = random.Random(3)
    for _ in range(300):
        scale = 10.0 ** chosen.uniform(-9, 9)
        count = chosen.choice((1, 2, 17))
        points = sorted((scale * chosen.random() + 1e-30, chosen.uniform(-1, 1) * scale) for _ in range(count))
        if chosen.random() < 0.2:
            points = [points[0]] * count
        chart = Chart("t", "x", "y", [Series("", points)], dots=True, log_x=chosen.random() < 0.5 and count > 2)
        if chart.log_x and points[0][0] == points[-1][0]:
            chart.log_x = False
        for axis, values in zip(axes(chart), zip(*points)):
            assert axis.low < axis.high and all(-1e-9 <= axis.at(value) <= 1 + 1e-9 for value in values)
            places = [axis.at(value) for value, _ in axis.ticks]
            assert places == sorted(places) and all(-1e-6 <= place <= 1 + 1e-6 for place in places)
            assert len({text for _, text in axis.ticks}) == len(axis.ticks) <= 13
            for value, text in axis.ticks:
                assert math.isclose(float(text.replace(",", "")), value, rel_tol=1e-5, abs_tol=scale * 1e-6)
        ElementTree.fromstring(as_svg(chart))
        assert all(len(line) <= 80 for line in as_text(chart, 80).splitlines())


def test_words_on_an_axis(lab: Lab) -> None:
    lab.doit("exp", "run", "train.layers=2,4")
    keys = [row["key"] for row in lab.table()]
    for key, name in zip(keys, ("b", "a<&>")):
        lab.doit("exp", "name", key, "b" if name == "b" else "a")
    out = lab.doit("exp", "show", "--chart", "loss:name").out
    assert "a" in out.splitlines()[19].split() and "b" in out.splitlines()[19].split()
    strange = Chart("<&>", "x", "y", [Series('"<b>&', [(0, 1)]), Series("…", [(1, 2)])], dots=True, x_words=["<", "&"])
    assert '"<b>&' in "".join(ElementTree.fromstring(as_svg(strange)).itertext())
    assert as_text(strange, 60, ascii_only=True).splitlines()[18].strip().startswith("+--")
