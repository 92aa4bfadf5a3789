"""Where a chart's points lie: data in; a range, ticks and places between 0 and 1 out. For pictures and for text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..manage.charts import Chart


@dataclass(frozen=True)
class Axis:
    """One axis, linear or logarithmic."""

    low: float
    high: float
    log: bool
    ticks: Sequence[tuple[float, str]]  # value, and how it is written

    def at(self, value: float) -> float:
        """0 at the low end, 1 at the high one."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def axes(chart: Chart, ticks_x: int = 7, ticks_y: int = 6) -> tuple[Axis, Axis]:
    """The axes of x and y."""
    points = [point for each in chart.series for point in each.points]
    xs = [x for x, _ in points]
    if chart.x_words:
        last = len(chart.x_words) - 1
        across = Axis(-0.5, last + 0.5, False, list(enumerate(chart.x_words)))
    elif chart.log_x:
        across = _log_axis(min(xs), max(xs), ticks_x)
    else:
        whole = all(x == int(x) for x in xs)
        across = _axis(min(xs), max(xs), ticks_x, room=0.04 * chart.dots, least=1.0 * whole)
    heights = [y for _, y in points] if chart.dots else [y for each in chart.series for y in _late(each.points)]
    return across, _axis(min(heights), max(heights), ticks_y, 0.06)


def _late(points: Sequence[tuple[float, float]]) -> list[float]:
    """The heights of a curve without its first tenth, whose peak would flatten all that comes after."""
    first, last = points[0][0], points[-1][0]
    return [y for x, y in points if x >= first + (last - first) / 10]


def _axis(low: float, high: float, count: int, room: float, least: float = 0.0) -> Axis:
    if low == high:
        low, high = low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2
    low, high = low - (high - low) * room, high + (high - low) * room
    step = max(least, nice((high - low) / count))
    first = math.ceil(low / step - 1e-9)
    marks = [(first + at) * step for at in range(math.floor(high / step + 1e-9) - first + 1)]
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return Axis(low, high, False, [(mark, f"{mark:,.{digits}f}" if step < 1e6 else f"{mark:g}") for mark in marks])


def _log_axis(low: float, high: float, count: int) -> Axis:
    low, high = low / (high / low) ** 0.04, high * (high / low) ** 0.04
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        marks = [factor * 10.0**power for power in decades for factor in factors]
        marks = [mark for mark in marks if low <= mark <= high]
        if len(marks) <= count:
            break
    return Axis(low, high, True, [(mark, f"{mark:g}") for mark in marks])


def nice(step: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is at least step."""
    power = 10.0 ** math.floor(math.log10(step)) if step > 0 else 1.0
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))
