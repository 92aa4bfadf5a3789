"""How a training went, over its steps, as an SVG that reads in light and in dark: bits per byte, and below them smaller
curves of what else was measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 400  # of the loss, titles included
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 52, 44
SMALL, SMALL_TOP = 104, 30  # a smaller curve's height, and what of it is above the axis
STYLE = """
  svg { background: #fff; color: #1f2328; font: 12px system-ui, sans-serif }
  .grid { stroke: #d8dee4 } .axis { fill: #59636e } .title { font-size: 15px; font-weight: 600; fill: currentColor }
  .train { stroke: #9aa4b0 } .val { stroke: #0969da } .dot { fill: #0969da } .value { fill: #0969da; font-weight: 600 }
  .other { stroke: #8250df } .kept { stroke: #bc4c00 } .kept-value { fill: #bc4c00; font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    svg { background: #0d1117; color: #f0f6fc } .grid { stroke: #2a313a } .axis { fill: #9198a1 }
    .train { stroke: #6e7681 } .val { stroke: #58a6ff } .dot, .value { fill: #58a6ff }
    .other { stroke: #bc8cff } .kept { stroke: #f0883e } .kept-value { fill: #f0883e }
  }"""

Points = Sequence[tuple[float, float]]
Place = Callable[[float], float]  # of a value on the picture


class Curve(NamedTuple):
    """A smaller curve."""

    name: str
    points: Points  # (step, value)


def training_svg(title: str, train: Points, val: Points, others: Sequence[Curve] = (), kept: Points = ()) -> str:
    """(step, bits per byte) of training (a thin line, smoothed by its own log interval) and of validation (dots, the
    last one labelled; kept: a ring around the one whose weights came out, where that is not the last), and other curves
    under them.
    """
    others = [curve for curve in others if curve.points]
    height = HEIGHT + SMALL * len(others)
    last_step = max((x for points in (train, val, *(curve.points for curve in others)) for x, _ in points), default=1.0)
    last_step = last_step or 1.0

    def x_of(step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / last_step

    y_of, shapes = _axis([*train, *val], last_step, TOP, HEIGHT - BOTTOM, lines=5)
    shapes.append(f'<text class="title" x="{LEFT}" y="20">{escape(title)}</text>')
    shapes.append(
        f'<path class="train" d="M{LEFT} 36h18"/><text class="axis" x="{LEFT + 24}" y="40">training</text>'
        f'<path class="val" stroke-width="2" d="M{LEFT + 96} 36h18"/>'
        f'<text class="axis" x="{LEFT + 120}" y="40">validation, bits per byte; a sample was written at each '
        '<tspan class="dot">●</tspan></text>'
    )
    shapes.append(_line("train", train, x_of, y_of))
    shapes.append(_line("val", val, x_of, y_of, ' stroke-width="2"'))
    shapes += [
        f'<circle class="dot" cx="{x_of(step):.1f}" cy="{y_of(bpb):.1f}" r="3"><title>step {step:,.0f}: {bpb:.3f}'
        "</title></circle>"
        for step, bpb in val
    ]
    if val:
        x, y = x_of(val[-1][0]), y_of(val[-1][1])
        shapes.append(f'<text class="value" x="{x:.1f}" y="{y - 10:.1f}" text-anchor="end">{val[-1][1]:.3f}</text>')
    for step, bpb in kept:
        x, y = x_of(step), y_of(bpb)
        shapes.append(
            f'<circle class="kept" stroke-width="2" cx="{x:.1f}" cy="{y:.1f}" r="6"/>'
            f'<text class="kept-value" x="{x:.1f}" y="{y + 22:.1f}" text-anchor="middle">kept: {bpb:.3f}</text>'
        )
    shapes += _steps(last_step, x_of, HEIGHT - BOTTOM + 18)
    for index, curve in enumerate(others):
        top = HEIGHT + SMALL * index
        y_of, grid = _axis(curve.points, last_step, top + SMALL_TOP, top + SMALL - 14, lines=2)
        shapes += [*grid, _line("other", curve.points, x_of, y_of)]
        shapes.append(f'<text class="axis" x="{LEFT}" y="{top + SMALL_TOP - 12}">{escape(curve.name)}</text>')
    body = "\n".join(shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img">\n'
        f'<title>{escape(title)}</title>\n<style>{STYLE}\n</style>\n<g fill="none">\n{body}\n</g>\n</svg>\n'
    )


def _axis(points: Points, last_step: float, top: float, bottom: float, lines: int) -> tuple[Place, list[str]]:
    """The scale of values, and its lines. The upper end leaves out the first steps' peak: it is 1.15 times the largest
    value after the first tenth.
    """
    known = [(x, y) for x, y in points if math.isfinite(y)]
    late = [y for x, y in known if x >= last_step / 10] or [1.0]
    low, high = min(late), max(late) * 1.15
    step = _nice((high - low) / lines)
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    high = max(high, low + step)  # all values may be 0

    def y_of(value: float) -> float:
        return top + (bottom - top) * (high - max(low, min(value, high))) / (high - low)

    grid = []
    for index in range(round((high - low) / step) + 1):
        y = y_of(low + index * step)
        grid.append(
            f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
            f'<text class="axis" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{low + index * step:,.6g}</text>'
        )
    return y_of, grid


def _steps(last_step: float, x_of: Place, y: float) -> Iterator[str]:
    """The numbers of the steps, which all curves share."""
    step = max(1.0, _nice(last_step / 6))
    for index in range(int(last_step / step) + 1):
        yield (
            f'<text class="axis" x="{x_of(index * step):.1f}" y="{y}" text-anchor="middle">{index * step:,.0f}</text>'
        )
    yield f'<text class="axis" x="{WIDTH - RIGHT}" y="{y + 18}" text-anchor="end">step</text>'


def _line(kind: str, points: Points, x_of: Place, y_of: Place, more: str = "") -> str:
    """A curve through all points whose values are numbers; nothing where there is none."""
    places = "L".join(f"{x_of(x):.1f} {y_of(y):.1f}" for x, y in points if math.isfinite(y))
    return f'<path class="{kind}"{more} d="M{places}"/>' if places else ""


def _nice(step: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is at least step."""
    power = 10.0 ** math.floor(math.log10(step)) if step > 0 else 1.0
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))
