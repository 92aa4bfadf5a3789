"""Drawing a graph: nodes with their states in, text for the terminal, SVG or Mermaid out.

Edges that follow from others are left out (layout.reduced) unless all are asked for. Equal graphs give equal bytes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from ..decide.why import FRESH, FROM_STORE, MAY_RUN, WILL_RUN
from .layout import Point, lay_out, reduced


@dataclass(frozen=True)
class Node:
    """One stage of a drawing."""

    name: str
    doc: str
    state: str  # one of why's; "" to draw none
    inputs: tuple[str, ...]  # names of nodes that come before it


# state -> (unicode mark, ASCII mark, terminal colour, CSS class)
LOOKS = {
    FRESH: ("●", "*", "32", "fresh"),
    FROM_STORE: ("◉", "@", "36", "store"),
    MAY_RUN: ("◐", "?", "33", "may"),
    WILL_RUN: ("○", "o", "33", "run"),
    "": ("●", "*", "0", "plain"),
}
SHORT = {MAY_RUN: "may run"}
# What a line looks like where it meets others, by (up, down, left, right).
_LINES = " ╵╷│╴┘┐┤╶└┌├─┴┬┼"
_ASCII = str.maketrans(_LINES, " |||-'.|-`.|-+++")


def edges_of(nodes: Sequence[Node], every: bool) -> dict[str, list[str]]:
    """node -> the nodes that it is drawn behind."""
    inputs = {node.name: list(dict.fromkeys(node.inputs)) for node in nodes}
    return inputs if every else reduced(inputs)


# ── Text ──


def as_text(nodes: Sequence[Node], every: bool = False, colour: bool = False, ascii_only: bool = False) -> str:
    """One row a node, in graph order, with the edges drawn left of the names.

    Each node has a lane that goes down to the last node that needs it; a row joins the lanes of what its node needs.
    """
    inputs = edges_of(nodes, every)
    last = {needed: name for name in inputs for needed in inputs[name]}
    lanes: list[str | None] = []  # what each lane comes from; None: free
    rows: list[str] = []
    above: int | None = None  # the lane of an end in the row above: a mark right below it would look joined to it
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


# ── SVG ──

CHARACTER = 8.0  # width of a character of the names, in px: 0.6 em of the widest fonts named below, and a little
BOX_HEIGHT, ROW, GAP, MARGIN, PADDING = 44, 66, 46, 16, 12
STYLE = """
  text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #1f2328 }
  .state { font-size: 11px; fill: #59636e }
  rect { fill: #ffffff; stroke: #818b98; stroke-width: 1.5 }
  path { fill: none; stroke: #818b98; stroke-width: 1.5 }
  marker path { fill: #818b98; stroke: none }
  .fresh rect { stroke: #1a7f37 } .store rect { stroke: #0969da }
  .may rect { stroke: #9a6700; stroke-dasharray: 5 3 } .run rect { stroke: #9a6700 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .state { fill: #9198a1 }
    rect { fill: #161b22; stroke: #656c76 } path { stroke: #656c76 } marker path { fill: #656c76 }
    .fresh rect { stroke: #3fb950 } .store rect { stroke: #4493f8 }
    .may rect { stroke: #d29922 } .run rect { stroke: #d29922 }
  }
"""


def as_svg(nodes: Sequence[Node], title: str, every: bool = False) -> str:
    """A picture that needs no other file and suits light and dark pages. Layers go from left to right."""
    layout = lay_out(edges_of(nodes, every))
    widths = [0.0] * layout.layers
    for node in nodes:
        layer = int(layout.places[node.name][0])
        longest = max(len(node.name), len(SHORT.get(node.state, node.state)) * 11 / 13)
        widths[layer] = max(widths[layer], longest * CHARACTER + 2 * PADDING)
    lefts = [MARGIN + sum(widths[:layer]) + GAP * layer for layer in range(layout.layers)]
    width = (lefts[-1] + widths[-1] if lefts else MARGIN) + MARGIN
    height = (layout.rows - 1) * ROW + BOX_HEIGHT + 2 * MARGIN

    def middle(point: Point) -> float:
        return MARGIN + point[1] * ROW + BOX_HEIGHT / 2

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(width)} {_n(height)}" width="{_n(width)}" '
        f'height="{_n(height)}" role="img" aria-label={quoteattr(title)}>',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z"/></marker></defs>',
    ]
    for (source, target), points in layout.edges.items():
        layer, y = int(points[0][0]), middle(points[0])
        course = [f"M{_n(lefts[layer] + widths[layer])},{_n(y)}"]
        for point in points[1:]:
            layer, before, y = int(point[0]), y, middle(point)
            bend = lefts[layer] - GAP / 2
            course.append(f"C{_n(bend)},{_n(before)} {_n(bend)},{_n(y)} {_n(lefts[layer])},{_n(y)}")
            if point is not points[-1]:
                course.append(f"H{_n(lefts[layer] + widths[layer])}")
        lines.append(f'<path d="{" ".join(course)}" marker-end="url(#arrow)"><title>{source} → {target}</title></path>')
    for node in nodes:
        layer, top = int(layout.places[node.name][0]), middle(layout.places[node.name]) - BOX_HEIGHT / 2
        centre = lefts[layer] + widths[layer] / 2
        baseline = top + (19 if node.state else 26)
        lines.append(f'<g class="{LOOKS[node.state][3]}"><title>{escape(f"{node.name}: {node.doc}")}</title>')
        lines.append(
            f'<rect x="{_n(lefts[layer])}" y="{_n(top)}" width="{_n(widths[layer])}" height="{BOX_HEIGHT}" rx="7"/>'
            f'<text x="{_n(centre)}" y="{_n(baseline)}" text-anchor="middle">{escape(node.name)}</text>'
        )
        if node.state:
            state = escape(SHORT.get(node.state, node.state))
            lines.append(f'<text class="state" x="{_n(centre)}" y="{_n(top + 35)}" text-anchor="middle">{state}</text>')
        lines.append("</g>")
    return "\n".join([*lines, "</svg>"]) + "\n"


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
