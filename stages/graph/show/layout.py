"""Where the nodes of a graph go on a page: names and edges in, a place for each and a course for each edge out.

Sugiyama's method in its simplest form (Sugiyama, Tagawa & Toda 1981): a layer for each node, invisible nodes where an
edge passes a layer, an order in each layer by the mean of the neighbours, then heights by the same means. Equal graphs
give equal numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Inputs = Mapping[str, Sequence[str]]  # node -> the nodes that it needs; nodes in an order where these come first
Point = tuple[float, float]

SWEEPS = 12


@dataclass(frozen=True)
class Layout:
    """Layer (from 0) and height (in rows, from 0) of every node, and the points that each edge passes."""

    places: dict[str, Point]
    edges: dict[tuple[str, str], list[Point]]  # (from, to), both ends included
    layers: int
    rows: float


def reduced(inputs: Inputs) -> dict[str, list[str]]:
    """Without the edges that follow from others: a -> c where there is a -> b -> c."""
    above: dict[str, set[str]] = {}
    for node, needed in inputs.items():
        above[node] = set(needed).union(*(above[each] for each in needed))
    return {
        node: [each for each in dict.fromkeys(needed) if not any(each in above[other] for other in needed)]
        for node, needed in inputs.items()
    }


def lay_out(inputs: Inputs) -> Layout:
    """Place a graph."""
    layer = _layers(inputs)
    columns: list[list[str]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    neighbours: dict[str, list[str]] = {node: [] for node in inputs}
    column_of = dict(layer)
    courses: dict[tuple[str, str], list[str]] = {}
    for node, needed in inputs.items():
        columns[layer[node]].append(node)
        for source in needed:
            passing = [f"{source}\0{node}\0{number}" for number in range(layer[source] + 1, layer[node])]
            for number, name in enumerate(passing, layer[source] + 1):
                columns[number].append(name)
                column_of[name] = number
            courses[source, node] = course = [source, *passing, node]
            for one, other in itertools.pairwise(course):
                neighbours.setdefault(one, []).append(other)
                neighbours.setdefault(other, []).append(one)

    height = {name: float(row) for column in columns for row, name in enumerate(column)}
    for sweep in range(SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            side = -1 if sweep % 2 == 0 else 1
            wanted = {}
            for name in column:
                near = [height[n] for n in neighbours[name] if column_of[n] == column_of[name] + side]
                wanted[name] = sum(near) / len(near) if near else height[name]
            column.sort(key=lambda name: wanted[name])
            _spread(column, wanted, height)
    lowest = min(height.values(), default=0.0)
    at = {name: (float(column_of[name]), round(height[name] - lowest, 3)) for name in height}
    return Layout(
        {name: at[name] for name in inputs},
        {edge: [at[name] for name in course] for edge, course in courses.items()},
        len(columns),
        max((y for _, y in at.values()), default=0.0) + 1,
    )


def _layers(inputs: Inputs) -> dict[str, int]:
    """A layer for each node: right of all it needs; and as far right as it can go where that makes no edge longer."""
    layer: dict[str, int] = {}
    users: dict[str, list[str]] = {node: [] for node in inputs}
    for node, needed in inputs.items():
        layer[node] = max((layer[each] + 1 for each in needed), default=0)
        for each in needed:
            users[each].append(node)
    for node in reversed(list(inputs)):
        if users[node] and len(inputs[node]) <= len(users[node]):
            layer[node] = min(layer[user] for user in users[node]) - 1
    return layer


def _spread(column: Sequence[str], wanted: Mapping[str, float], height: dict[str, float]) -> None:
    """Give each of a column the height it wants, but a row of its own: those that would overlap share their mean."""
    blocks: list[tuple[float, list[str]]] = []  # (height of the first, names)
    for name in column:
        top, names = wanted[name], [name]
        while blocks and blocks[-1][0] + len(blocks[-1][1]) > top:
            before, earlier = blocks.pop()
            count = len(earlier) + len(names)
            top = (before * len(earlier) + (top - len(earlier)) * len(names)) / count
            names = earlier + names
        blocks.append((top, names))
    for top, names in blocks:
        for row, name in enumerate(names):
            height[name] = top + row
