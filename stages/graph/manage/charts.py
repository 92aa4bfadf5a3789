"""What `doit exp show --chart` draws: rows of results in, a chart as data out.

`val_bpb:train.lr` is a column against another one, a point for each result; `val_bpb` alone a curve that the stage
declares, one for each result, laid over one another.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..declare.stage import Stage
from ..errors import GraphError, UsageError
from .results import Results, value_at
from .rows import Row, check_column, differing

MOST = 8  # series with a colour and a name of their own
SPREAD = 10  # from where on a parameter's values stand on a logarithmic axis: largest over smallest


@dataclass(frozen=True)
class Series:
    """Points that belong together, sorted by x."""

    label: str  # "": it has none
    points: Sequence[tuple[float, float]]


@dataclass
class Chart:
    """What is drawn, in its own units."""

    title: str
    x: str  # what the axes show
    y: str
    series: list[Series]
    dots: bool  # mark each point
    lines: bool = True  # join the points of a series
    log_x: bool = False
    x_words: Sequence[str] = ()  # where x are words: x is their number
    notes: list[str] = field(default_factory=list)  # what is not in it


def chart_of(
    results: Results, stage: Stage | None, rows: Sequence[Row], what: str, noise: Collection[str] = ()
) -> Chart:
    """`what`: Y:X of the rows' columns, or the name of a curve of `stage`. noise: parameters that part no series.

    Raises UsageError for a column or a curve that is not there, GraphError where there is nothing to draw.
    """
    y, colon, x = what.partition(":")
    found = _columns(rows, y, x, noise) if colon else _curves(results, stage, rows, y)
    if not any(each.points for each in found.series):
        raise GraphError(f"there is nothing to draw: {'; '.join(found.notes) or 'no results'}")
    return found


def _columns(rows: Sequence[Row], y: str, x: str, noise: Collection[str]) -> Chart:
    for name in (y, x):
        check_column(rows, name)
    there = [row for row in rows if _number(row.value(y)) and row.value(x) is not None]
    notes = [f"{len(rows) - len(there)} results have no {y} or no {x}"] * (len(there) < len(rows))
    words: list[str] = []
    if not all(_number(row.value(x)) for row in there):
        words = sorted({_text(row.value(x)) for row in there})
    others = [name for name in _parting(there) if name != x and name not in noise]
    groups: dict[tuple[str, ...], list[tuple[float, float]]] = {}
    for row in there:
        place = words.index(_text(row.value(x))) if words else row.value(x)
        groups.setdefault(tuple(_text(row.value(name)) for name in others), []).append((place, row.value(y)))
    chart = Chart(f"{y} against {x}", x, y, [], dots=True, x_words=words, notes=notes)
    if len(groups) > MOST:
        chart.lines = False
        chart.notes.append(f"one series: {', '.join(others[:4])} differ too; --filter leaves fewer")
        groups = {(): [point for points in groups.values() for point in points]}
    for values, points in sorted(groups.items()):
        chart.series.append(Series(_label(dict(zip(others, values))), sorted(points)))
    places = [place for each in chart.series for place, _ in each.points]
    chart.log_x = not words and bool(places) and min(places) > 0 and max(places) / min(places) >= SPREAD
    return chart


def _curves(results: Results, stage: Stage | None, rows: Sequence[Row], name: str) -> Chart:
    curves = {} if stage is None else stage.curves
    if stage is None or name not in curves:
        known = f"there are: {', '.join(curves)}" if curves else "this stage declares none"
        raise UsageError(f"there is no curve {name}; {known}. A metric against a parameter is {name}:PARAMETER")
    x, y = curves[name].partition(":")[2].split(",")
    params = _parting(rows)
    series, without = [], 0
    for row in rows:
        points = read_curve(curves[name], results.look.store.entry(row.key))
        without += not points
        values = {each: _text(row.value(each)) for each in params}
        series.append(Series(",".join(row.names) or _label(values) or row.key[:10], points))
    if len({each.label for each in series}) < len(series):  # they differ in more than parameters
        keys = [row.key[:10] for row in rows]
        series = [Series(f"{key} {each.label}", each.points) for key, each in zip(keys, series)]
    series = [each for each in series if each.points]
    chart = Chart(f"{name} of {len(series)} results", x, y, series, dots=False)
    if without:
        chart.notes.append(f"{without} results have no {name}")
    if len(series) > MOST:
        chart.series = [*series[:MOST], *(Series("", each.points) for each in series[MOST:])]
        chart.notes.append(f"{len(series) - MOST} are grey; --sort and --filter choose those with a name")
    return chart


def read_curve(where: str, entry: str) -> list[tuple[float, float]]:
    """The points of OUTPUT:X,Y, where OUTPUT has one JSON object a line; records without X or Y have none."""
    output, _, fields = where.partition(":")
    x, y = fields.split(",")
    found = []
    try:
        with open(f"{entry}/{output}", encoding="utf-8") as file:
            for line in file:
                record = json.loads(line)
                point = value_at(record, x), value_at(record, y)
                if all(_number(each) for each in point):
                    found.append(point)
    except (OSError, ValueError):
        return []
    return sorted(found)


def _parting(rows: Sequence[Row]) -> list[str]:
    """The parameters that differ, one of those that part the rows in the same way: the one that is said shortest."""
    found: dict[tuple[int, ...], str] = {}
    for name in differing(rows):
        values = [_text(row.value(name)) for row in rows]
        parts = tuple(values.index(value) for value in values)
        kept = found.setdefault(parts, name)
        if sum(map(len, values)) < sum(len(_text(row.value(kept))) for row in rows):
            found[parts] = name
    return [name for name in differing(rows) if name in found.values()]


def _label(values: Mapping[str, str]) -> str:
    """`train.lr=0.01, model.n_layer=2`."""
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
