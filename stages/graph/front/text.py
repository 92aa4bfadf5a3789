"""The help of one command, in two columns that fit the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from shutil import get_terminal_size
from typing import Any

WIDTH = 100  # columns at most: longer lines read badly


def command_help(command: Any) -> str:
    """The text of `doit help COMMAND`: with the options that mean something here."""
    usage = f"doit {command.name} {command.doc_usage}".rstrip()
    parts = [f"doit {command.name}: {command.doc_purpose}", "", f"Usage: {usage}"]
    if command.doc_description:
        parts += ["", *textwrap.wrap(command.doc_description, width())]
    ours = {option["name"]: option for option in command.cmd_options if isinstance(option, dict)}
    shown = command.shown_options
    rows = []
    for option in command.get_options():
        if option.name in (ours if shown is None else shown):
            value, text = (option.metavar, option.help) if shown is None else shown[option.name]
            names = [f"-{option.short}"] * bool(option.short) + [f"--{option.long}"] * bool(option.long)
            rows.append((", ".join(names) + (f" {value}" if option.type is not bool else ""), text))
    if rows:
        parts += ["", "Options:", *columns(rows, max(len(label) for label, _ in rows))]
    return "\n".join(parts)


def columns(rows: Iterable[tuple[str, str]], label_width: int) -> list[str]:
    """Two columns; the second is wrapped."""
    lines = []
    for label, text in rows:
        indent = f"  {'':<{label_width}}  "
        wrapped = textwrap.wrap(text, max(20, width() - len(indent))) or [""]
        lines += [f"  {label:<{label_width}}  {wrapped[0]}", *(indent + line for line in wrapped[1:])]
    return lines


def width() -> int:
    """Columns that text may take."""
    return min(WIDTH, get_terminal_size((WIDTH, 24)).columns)
