"""Results as tables: rows in; text for a terminal or a pipe, Markdown, CSV or JSON out."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping, Sequence
from shutil import get_terminal_size
from typing import Any, TextIO

from ..manage.rows import Row, differing, is_number, metric_names
from .report import duration
from .terminal import moves
from .units import size_text

KEY_DIGITS = 10
FIXED = ("took", "size", "age")
GAP = "  "  # between columns
FEW_PARAMS = 3  # that are left out after the metrics
MOST_LETTERS = 28  # of a value on a terminal


def columns_of(rows: Sequence[Row], most: int | None = None) -> list[str]:
    """name where any has one, key, the parameters that differ, the metrics, time, size, age. most: so many parameters,
    those with the most values.
    """
    names = ["name"] if any(row.names for row in rows) else []
    params = differing(rows)
    if most is not None and len(params) > most:
        values = {name: len({str(row.value(name)) for row in rows}) for name in params}
        chosen = set(sorted(params, key=lambda name: -values[name])[:most])
        params = [name for name in params if name in chosen]
    return [*names, "key", *params, *metric_names(rows), *FIXED]


def cell(row: Row, column: str, now: float) -> str:
    """What a person reads in a column. "-": this result does not have it (a parameter: it is at its default)."""
    if column == "key":
        return row.key[:KEY_DIGITS] + ("*" if row.kept else "")
    if column == "age":
        return age_text(now - row.started)
    if column == "took":
        return duration(row.duration_s)
    if column == "size":
        return size_text(row.size_bytes)
    return value_text(row.value(column))


def value_text(value: Any) -> str:
    """A number without noise in its last digits; a list as JSON."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | dict) or (isinstance(value, str) and "\n" in value):
        import json

        return json.dumps(value, ensure_ascii=False)
    return str(value)


def age_text(seconds: float) -> str:
    """42 s, 12 m, 5 h, 3 d."""
    for size_s, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size_s:
            return f"{seconds / size_s:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def print_rows(stream: TextIO, rows: Sequence[Row], columns: Sequence[str]) -> None:
    """A table: with rich where the stream is a terminal, else in columns of spaces. On a terminal long values are cut,
    and what does not fit beside the rest is left out, and said.
    """
    now = time.time()
    cells = {column: [cell(row, column, now) for row in rows] for column in columns}
    left_out: list[str] = []
    if moves(stream):
        cells = {column: [_cut(text) for text in texts] for column, texts in cells.items()}
        left_out = too_wide(cells, get_terminal_size().columns, metric_names(rows))
    shown = [column for column in columns if column not in left_out]
    print_table(stream, shown, list(zip(*(cells[column] for column in shown))))
    if left_out:
        stream.write(f"too wide for this window, and in --csv and --json: {', '.join(left_out)}\n")


def too_wide(cells: Mapping[str, Sequence[str]], width: int, metrics: Sequence[str]) -> list[str]:
    """The columns to leave out, so that the others fit into a width: size and time; parameters beyond a few, those with
    the fewest values first and of these the widest; metrics but the first; and the few. Name and key stay.
    """
    widths = {name: max(map(len, (name, *texts))) for name, texts in cells.items()}
    kept = {"name", "key", *metrics, *FIXED}
    params = sorted(
        (name for name in cells if name not in kept), key=lambda each: (len(set(cells[each])), -widths[each])
    )
    few = max(0, len(params) - FEW_PARAMS)
    order = ["size", "took", *params[:few], *metrics[:0:-1], *params[few:], "age"]
    left_out: list[str] = []
    for name in order:
        if sum(widths.values()) + len(GAP) * (len(widths) - 1) <= width:
            break
        if name in widths:
            del widths[name]
            left_out.append(name)
    return [name for name in cells if name in left_out]


def _cut(text: str) -> str:
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 3]}..."


def print_table(stream: TextIO, header: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    """Numbers stand right, words left."""
    right = [bool(cells) and all(_is_number(line[at]) for line in cells) for at in range(len(header))]
    if moves(stream):
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, padding=(0, len(GAP), 0, 0), header_style="dim")
        for name, numbers in zip(header, right):
            table.add_column(name, justify="right" if numbers else "left", overflow="fold")
        for line in cells:
            table.add_row(*(Text(text) for text in line))
        Console(file=stream, highlight=False, width=get_terminal_size().columns).print(table)
        return
    widths = [max(len(line[at]) for line in (header, *cells)) for at in range(len(header))]
    for line in (header, *cells):
        padded = [f"{text:>{w}}" if numbers else f"{text:<{w}}" for text, w, numbers in zip(line, widths, right)]
        stream.write(GAP.join(padded).rstrip() + "\n")


def as_markdown(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """A table for a README or an issue."""
    now = time.time()
    lines = [list(columns), ["---"] * len(columns)]
    lines += [[cell(row, column, now).replace("|", "\\|") for column in columns] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def as_csv(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """Full precision; sizes in bytes, times in seconds, the age as the Unix time of the start."""
    out = io.StringIO()
    units = {"took": "took_s", "size": "size_bytes", "age": "started"}
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([units.get(column, column) for column in columns])
    for row in rows:
        values = [row.value("started" if column == "age" else column) for column in columns]
        writer.writerow(["" if value is None else value for value in values])
    return out.getvalue()


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """[{key, names, kept, params, metrics, started, duration_s, size_bytes}]; params: those that differ."""
    shown = differing(rows)
    return [
        {
            "key": row.key,
            "names": list(row.names),
            "kept": row.kept,
            "params": {name: row.params.get(name) for name in shown},
            "metrics": dict(row.metrics),
            "started": row.started,
            "duration_s": row.duration_s,
            "size_bytes": row.size_bytes,
        }
        for row in rows
    ]


def _is_number(text: str) -> bool:
    return text == "-" or is_number(text.split(" ")[0])
