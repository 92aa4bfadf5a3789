"""Rows of `doit exp show`: results in; columns, a sort order and a filter applied, rows out."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError
from ..keep.receipt import Receipt
from ..read.digest import canonical
from .results import Results

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
}
_TERM = re.compile(r"\s*([A-Za-z_][\w.\- ]*?)\s*(<=|>=|==|!=|<|>)\s*([^<>=!\s].*?)\s*")


@dataclass(frozen=True)
class Row:
    """One result."""

    key: str
    names: tuple[str, ...]
    kept: bool  # pinned or named
    params: Mapping[str, Any]  # all of them
    metrics: Mapping[str, float]
    started: float  # seconds since 1970
    duration_s: float
    size_bytes: int

    def value(self, column: str) -> Any:
        """What a column holds, in seconds and bytes; None for what this result does not have."""
        own = {
            "key": self.key,
            "name": ",".join(self.names) or None,
            "kept": self.kept,
            "started": self.started,
            "took": self.duration_s,
            "size": self.size_bytes,
            "age": time.time() - self.started,
        }
        if column in own:
            return own[column]
        return self.params.get(column, self.metrics.get(column))


def rows_of(results: Results, receipts: Sequence[Receipt]) -> list[Row]:
    """A row for each result, in that order."""
    return [
        Row(
            receipt["key"],
            tuple(results.names.get(receipt["key"], ())),
            results.is_kept(receipt["key"]),
            results.parameters(receipt),
            results.metrics(receipt),
            float(receipt["run"].get("started", 0)),
            float(receipt["run"]["duration_s"]),
            results.size_bytes(receipt),
        )
        for receipt in receipts
    ]


def differing(rows: Sequence[Row]) -> list[str]:
    """The parameters in which the rows differ. One that only some of them have differs."""
    names = dict.fromkeys(name for row in rows for name in row.params)
    return [
        name for name in names if len({canonical(row.params[name]) if name in row.params else b"" for row in rows}) > 1
    ]


def metric_names(rows: Sequence[Row]) -> list[str]:
    """Every metric of any row."""
    return list(dict.fromkeys(name for row in rows for name in row.metrics))


def sort(rows: Sequence[Row], column: str) -> list[Row]:
    """By a column, the smallest first; with a "-" before it, the largest. Rows without a value come last."""
    name = column.removeprefix("-")
    check_column(rows, name)
    there = [row for row in rows if row.value(name) is not None]
    there.sort(key=lambda row: _order(row.value(name)), reverse=column.startswith("-"))
    return there + [row for row in rows if row.value(name) is None]


def select(rows: Sequence[Row], expression: str) -> list[Row]:
    """The rows for which every term of `A<1 and B==x` is true; a row without the value only fits `!=`.

    Raises UsageError for what is no such expression, or names no column.
    """
    for term in expression.split(" and "):
        found = _TERM.fullmatch(term)
        if found is None:
            raise UsageError(
                f"{term.strip()!r} is no condition; write COLUMN<VALUE (or <= > >= == !=), joined by `and`"
            )
        name, operator, text = found.groups()
        check_column(rows, name)
        values = [row.value(name) for row in rows]
        if operator[0] in "<>" and not is_number(text) and any(isinstance(value, int | float) for value in values):
            raise UsageError(f"{term.strip()!r}: {name} is a number, and {text!r} is none")
        rows = [row for row, value in zip(rows, values) if _fits(value, operator, text)]
    return list(rows)


def is_number(text: str) -> bool:
    """Whether it reads as one."""
    try:
        float(text)
        return True
    except ValueError:
        return False


def _fits(value: Any, operator: str, text: str) -> bool:
    if value is None:
        return operator == "!="
    if isinstance(value, int | float) and not isinstance(value, bool):
        return OPERATORS[operator](value, float(text)) if is_number(text) else operator == "!="
    as_text = str(value).lower() if isinstance(value, bool) else str(value)
    return OPERATORS[operator](as_text, text.strip("\"'"))


def check_column(rows: Sequence[Row], name: str) -> None:
    """Raises UsageError for a name that is no column of any row."""
    shown = ["name", "key", *differing(rows), *metric_names(rows), "took", "size", "age"]
    known = {*shown, "kept", "started", *(name for row in rows for name in row.params)}
    if rows and name not in known:
        import difflib

        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        otherwise = f"there are: {', '.join(shown)}, and every parameter"
        raise UsageError(f"there is no column {name}; " + (f"did you mean {near[0]}?" if near else otherwise))


def _order(value: Any) -> tuple[int, Any]:
    """Numbers before texts, so that a mixed column can be sorted."""
    return (0, value) if isinstance(value, int | float) else (1, str(value))
