"""A chart as an SVG that reads in light and in dark. Equal charts give equal bytes."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from ..manage.charts import Chart
from .axes import axes

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 68, 24, 48, 52
LEGEND, ROW = 230, 20  # the column of names, and the height of each
LETTERS = 28  # of a name
# Eight colours of similar weight, on white and on near black; each series has a mark of its own too.
LIGHT = ("#0969da", "#cf222e", "#1a7f37", "#8250df", "#bc4c00", "#0e7490", "#bf3989", "#7d6608")
DARK = ("#58a6ff", "#ff7b72", "#3fb950", "#bc8cff", "#f0883e", "#39c5cf", "#f778ba", "#d4b13f")
GREY = "g"  # the class of series without a name
MARKS = (  # around 0 0
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z", "M-3.5-3.5h7v7h-7z", "M0-4.6L4.4 3.4H-4.4z", "M0-5L5 0L0 5L-5 0z",
    "M0 4.6L4.4-3.4H-4.4z", "M-1.5-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z", "M-5-2.5h10v5h-10z", "M-2.5-5h5v10h-5z",
)  # fmt: skip


def as_svg(chart: Chart) -> str:
    """The whole file."""
    named = [(number, each) for number, each in enumerate(chart.series) if each.label]
    right = RIGHT + (LEGEND if named else 0)
    width = WIDTH + right - RIGHT
    across, up = axes(chart)

    def x_of(value: float) -> float:
        return LEFT + (width - LEFT - right) * across.at(value)

    def y_of(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * up.at(value)

    shapes = [
        f'<clipPath id="area"><path d="M{LEFT} {TOP}H{width - right}V{HEIGHT - BOTTOM}H{LEFT}z"/></clipPath>',
        f'<text class="title" x="{LEFT}" y="24">{escape(chart.title)}</text>',
    ]
    for value, text in up.ticks:
        y = y_of(value)
        shapes.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{width - right}"/>')
        shapes.append(f'<text class="axis" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(text)}</text>')
    for value, text in across.ticks:
        x = x_of(value)
        shapes.append(f'<path class="grid" d="M{x:.1f} {HEIGHT - BOTTOM}v5"/>')
        text = escape(_cut(text))
        shapes.append(f'<text class="axis" x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{text}</text>')
    middle = (LEFT + width - right) / 2
    shapes.append(
        f'<text class="axis" x="{middle:.1f}" y="{HEIGHT - 10}" text-anchor="middle">{escape(chart.x)}</text>'
    )
    shapes.append(f'<text class="axis" x="{LEFT}" y="{TOP - 8}">{escape(chart.y)}</text>')
    drawn = sorted(enumerate(chart.series), key=lambda pair: bool(pair[1].label))  # grey ones below the others
    for number, each in drawn:
        kind = _kind(number, each.label, len(chart.series))
        places = [(x_of(x), y_of(y)) for x, y in each.points]
        inner = f"<title>{escape(each.label or chart.title)}</title>"
        if chart.lines and len(places) > 1:
            inner += f'<path class="line" d="{_path(places)}"/>'
        if chart.dots or len(places) == 1:
            mark = MARKS[number % len(MARKS)]
            inner += "".join(_dot(x, y, mark) for x, y in places)
        shapes.append(f'<g class="{kind}" clip-path="url(#area)">{inner}</g>')
    for row, (number, each) in enumerate(named):
        x, y = width - right + 20, TOP + 8 + row * ROW
        kind = _kind(number, each.label, len(chart.series))
        shapes.append(
            f'<g class="{kind}"><title>{escape(each.label)}</title><path class="line" d="M{x} {y}h18"/>'
            + (_dot(x + 9, y, MARKS[number % len(MARKS)]) * chart.dots)
            + f'</g><text class="name" x="{x + 26}" y="{y + 4}">{escape(_cut(each.label))}</text>'
        )
    body = "\n".join(shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" '
        f'width="{width}" height="{HEIGHT}" role="img">\n'
        f'<title>{escape(chart.title)}</title>\n<style>{_style()}\n</style>\n<g fill="none">\n{body}\n</g>\n</svg>\n'
    )


def _kind(number: int, label: str, count: int) -> str:
    return f"s{number % len(LIGHT)}" if label or count == 1 else GREY


def _style() -> str:
    def colours(values: Sequence[str]) -> str:
        return " ".join(f".s{number} {{ color: {value} }}" for number, value in enumerate(values))

    return f"""
  svg {{ background: #fff; color: #1f2328; font: 12px system-ui, sans-serif }}
  .title {{ font-size: 15px; font-weight: 600; fill: #1f2328 }} .axis {{ fill: #59636e }} .name {{ fill: #1f2328 }}
  .grid {{ stroke: #d8dee4 }} .line {{ stroke: currentColor; stroke-width: 1.8; stroke-linejoin: round }}
  .dot {{ fill: currentColor }} .{GREY} {{ color: #c2cad2 }} .{GREY} .line {{ stroke-width: 1 }}
  {colours(LIGHT)}
  @media (prefers-color-scheme: dark) {{
    svg {{ background: #0d1117; color: #f0f6fc }} .title, .name {{ fill: #f0f6fc }} .axis {{ fill: #9198a1 }}
    .grid {{ stroke: #2a313a }} .{GREY} {{ color: #3d444d }}
    {colours(DARK)}
  }}"""


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)


def _dot(x: float, y: float, mark: str) -> str:
    return f'<path class="dot" transform="translate({x:.1f} {y:.1f})" d="{mark}"/>'


def _cut(text: str) -> str:
    return text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"
