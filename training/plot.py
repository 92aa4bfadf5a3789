"""Training and validation bits per byte over the steps, as an SVG that reads in light and in dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 56, 24, 52, 44
STYLE = """
  svg { background: #fff; color: #1f2328; font: 12px system-ui, sans-serif }
  .grid { stroke: #d8dee4 } .axis { fill: #59636e } .title { font-size: 15px; font-weight: 600; fill: currentColor }
  .train { stroke: #9aa4b0 } .val { stroke: #0969da } .dot { fill: #0969da } .value { fill: #0969da; font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    svg { background: #0d1117; color: #f0f6fc } .grid { stroke: #2a313a } .axis { fill: #9198a1 }
    .train { stroke: #6e7681 } .val { stroke: #58a6ff } .dot, .value { fill: #58a6ff }
  }"""

Points = Sequence[tuple[float, float]]


def loss_svg(title: str, train: Points, val: Points) -> str:
    """(step, bits per byte) of training (a thin line, smoothed by its own log interval) and of validation (dots, the
    last one labelled). The upper end leaves out the first steps' peak: it is 1.15 times the value after the first
    tenth."""
    points = [point for point in [*train, *val] if math.isfinite(point[1])]
    last_step = max((x for x, _ in points), default=1.0) or 1.0
    early = [y for x, y in points if x >= last_step / 10] or [1.0]
    low, high = min(early), max(early) * 1.15
    y_step = _nice((high - low) / 5)
    low, high = math.floor(low / y_step) * y_step, math.ceil(high / y_step) * y_step
    x_step = max(1.0, _nice(last_step / 6))

    def x_of(step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / last_step

    def y_of(bpb: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - min(bpb, high)) / (high - low)

    def path(points: Points) -> str:
        return "M" + "L".join(f"{x_of(x):.1f} {y_of(y):.1f}" for x, y in points if math.isfinite(y))

    shapes = []
    for index in range(round((high - low) / y_step) + 1):
        y = y_of(low + index * y_step)
        shapes.append(
            f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
            f'<text class="axis" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{low + index * y_step:.4g}</text>'
        )
    for index in range(int(last_step / x_step) + 1):
        shapes.append(
            f'<text class="axis" x="{x_of(index * x_step):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">'
            f"{index * x_step:,.0f}</text>"
        )
    shapes.append(f'<text class="axis" x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">step</text>')
    shapes.append(f'<text class="title" x="{LEFT}" y="20">{escape(title)}</text>')
    shapes.append(
        f'<path class="train" d="M{LEFT} 36h18"/><text class="axis" x="{LEFT + 24}" y="40">training</text>'
        f'<path class="val" stroke-width="2" d="M{LEFT + 96} 36h18"/>'
        f'<text class="axis" x="{LEFT + 120}" y="40">validation, bits per byte</text>'
    )
    if train:
        shapes.append(f'<path class="train" d="{path(train)}"/>')
    if val:
        x, y = x_of(val[-1][0]), y_of(val[-1][1])
        shapes.append(f'<path class="val" stroke-width="2" d="{path(val)}"/>')
        shapes += [f'<circle class="dot" cx="{x_of(step):.1f}" cy="{y_of(bpb):.1f}" r="3"/>' for step, bpb in val]
        shapes.append(f'<text class="value" x="{x:.1f}" y="{y - 10:.1f}" text-anchor="end">{val[-1][1]:.3f}</text>')
    body = "\n".join(shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img">\n'
        f'<title>{escape(title)}</title>\n<style>{STYLE}\n</style>\n<g fill="none">\n{body}\n</g>\n</svg>\n'
    )


def _nice(step: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is at least step."""
    power = 10.0 ** math.floor(math.log10(step)) if step > 0 else 1.0
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))
