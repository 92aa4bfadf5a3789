"""Drawing a graph: nodes with their states in, text for the terminal or Mermaid out.

Edges that others imply are left out unless all are asked for. Equal graphs give equal bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..decide.why import FRESH, FROM_REMOTE, FROM_STORE, MAY_RUN, WILL_RUN


@dataclass(frozen=True)
class Node:
    """One stage of a drawing."""

    name: str
    state: str  # one of why's; "" to draw none
    inputs: tuple[str, ...]  # names of nodes that come before it


# state -> (unicode mark, ASCII mark, terminal colour)
LOOKS = {
    FRESH: ("●", "*", "32"),
    FROM_STORE: ("◉", "@", "36"),
    FROM_REMOTE: ("◉", "@", "36"),
    MAY_RUN: ("◐", "?", "33"),
    WILL_RUN: ("○", "o", "33"),
    "": ("●", "*", "0"),
}
SHORT = {MAY_RUN: "may run"}
# What a line looks like where it meets others, by (up, down, left, right).
_LINES = " ╵╷│╴┘┐┤╶└┌├─┴┬┼"
_ASCII = str.maketrans(_LINES, " |||-'.|-`.|-+++")


def edges_of(nodes: Sequence[Node], every: bool) -> dict[str, list[str]]:
    """node -> the nodes that it gets an edge from."""
    inputs = {node.name: list(dict.fromkeys(node.inputs)) for node in nodes}
    return inputs if every else reduced(inputs)


def reduced(inputs: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Without the edges that others imply: no a -> c where there is a -> b -> c."""
    above: dict[str, set[str]] = {}
    for node, needed in inputs.items():
        above[node] = set(needed).union(*(above[each] for each in needed))
    return {
        node: [each for each in dict.fromkeys(needed) if not any(each in above[other] for other in needed)]
        for node, needed in inputs.items()
    }


# ── Text ──


def as_text(nodes: Sequence[Node], every: bool = False, colour: bool = False, ascii_only: bool = False) -> str:
    """One row a node, in graph order, with the edges drawn left of the names.

    Each node has a lane that goes down to the last node that needs it; a row joins the lanes of what its node needs.
    """
    inputs = edges_of(nodes, every)
    last = {needed: name for name in inputs for needed in inputs[name]}
    lanes: list[str | None] = []  # what each lane comes from; None: free
    rows: list[str] = []
    above: int | None = None  # a lane that ended in the row above: a mark right below it would look joined
    for node in nodes:
        joined = {lanes.index(needed) for needed in inputs[node.name]}
        ending = {lane for lane in joined if last[str(lanes[lane])] == node.name}
        free = (at for at, source in enumerate([*lanes, None, None]) if source is None and at != above)
        lane = min(ending) if ending else next(free)
        lanes += [None] * (lane + 1 - len(lanes))
        span = range(min({*joined, lane}), max({*joined, lane}) + 1)
        cells = []
        for column, source in enumerate(lanes):
            left, right = column in span and column > span[0], column in span and column < span[-1]
            if column == lane:
                mark = LOOKS[node.state][1 if ascii_only else 0]
                cells.append(f"\x1b[{LOOKS[node.state][2]}m{mark}\x1b[0m" if colour else mark)
            elif column in joined:
                cells.append(_LINES[1 + 2 * (column not in ending) + 4 * left + 8 * right])
            elif source is not None:
                cells.append("│")
            else:
                cells.append("─" if left and right else " ")
            cells.append("─" if right else " ")
        rows.append("".join(cells).rstrip())
        for each in ending:
            lanes[each] = None
        lanes[lane] = node.name if node.name in last else None
        above = None if node.name in last else lane
        while lanes and lanes[-1] is None:
            lanes.pop()
    width = max((len(_bare(row)) for row in rows), default=0)
    name_width = max((len(node.name) for node in nodes), default=0)
    lines = []
    for node, row in zip(nodes, rows):
        row = row.translate(_ASCII) if ascii_only else row
        state = SHORT.get(node.state, node.state)
        if colour and state:
            state = f"\x1b[{LOOKS[node.state][2]}m{state}\x1b[0m"
        lines.append(f"{row}{'':{width - len(_bare(row))}}  {node.name:<{name_width}}  {state}".rstrip())
    return "\n".join(lines) + "\n"


def _bare(text: str) -> str:
    return re.sub(r"\x1b\[\d*m", "", text)


# ── Mermaid ──


def as_mermaid(nodes: Sequence[Node], every: bool = False) -> str:
    """A Mermaid flow chart, which GitHub and GitLab draw."""
    inputs = edges_of(nodes, every)
    number = {node.name: f"n{index}" for index, node in enumerate(nodes)}
    lines = ["flowchart LR"]
    for node in nodes:
        below = f"<br/><small>{SHORT.get(node.state, node.state)}</small>" if node.state else ""
        lines.append(f'  {number[node.name]}["{node.name}{below}"]')
    lines += [f"  {number[needed]} --> {number[name]}" for name in inputs for needed in inputs[name]]
    return "\n".join(lines) + "\n"
