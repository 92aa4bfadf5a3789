"""A chart as text: a mark for each point, letters for the series; for terminals, logs and pipes."""

from __future__ import annotations

from ..manage.charts import Chart
from .axes import axes

MARKS = "ox+*#@%&"
GREY = "."  # series without a name
ROWS = 16
LEAST = 20  # columns of the area


def as_text(chart: Chart, columns: int, ascii_only: bool = False) -> str:
    """Lines of at most so many columns, but for the names of the series."""
    across, up = axes(chart, ticks_x=max(2, columns // 16), ticks_y=5)
    heights = {ROWS - 1 - round(up.at(value) * (ROWS - 1)): text for value, text in up.ticks}
    margin = max(map(len, heights.values()))
    width = max(LEAST, columns - margin - 3)
    area = [[" "] * width for _ in range(ROWS)]
    for number, each in reversed(list(enumerate(chart.series))):  # the first one on top
        mark = MARKS[number % len(MARKS)] if each.label or len(chart.series) == 1 else GREY
        for x, y in each.points:
            row = round(up.at(y) * (ROWS - 1))
            if 0 <= row < ROWS:  # the first peak of a curve may lie above
                area[ROWS - 1 - row][round(across.at(x) * (width - 1))] = mark
    side, corner, floor = "|+-" if ascii_only else "│└─"
    lines = [chart.title, ""]
    lines += [f"{heights.get(row, ''):>{margin}} {side}{''.join(cells)}".rstrip() for row, cells in enumerate(area)]
    lines.append(f"{'':>{margin}} {corner}{floor * width}")
    below = [" "] * (width + margin + 2)
    free = 0
    for value, text in across.ticks:
        start = min(len(below) - len(text), max(0, margin + 2 + round(across.at(value) * (width - 1)) - len(text) // 2))
        if start >= free:
            below[start : start + len(text)] = text
            free = start + len(text) + 1
    lines += ["".join(below).rstrip(), f"{chart.x:>{margin + 2 + width}}"]
    lines += [f"  {MARKS[number % len(MARKS)]}  {each.label}" for number, each in enumerate(chart.series) if each.label]
    return "\n".join(lines) + "\n"
