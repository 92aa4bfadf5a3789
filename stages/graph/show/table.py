"""`doit list` on a terminal: tasks and what is known of them in, a table out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from ..decide.look import Look
from ..decide.times import usual_times
from ..declare.plan import Plan
from ..declare.stage import Stage
from .report import duration
from .terminal import coloured

WIDE = 100  # columns: a narrower terminal does not show what a task makes
SENTENCE = 24  # columns that a sentence needs beside the rest
OTHERS = 15  # columns of the usual time and of the gaps


def print_tasks(stream: TextIO, look: Look | None, tasks: Sequence[Any], states: Mapping[str, str] | None) -> None:
    """A row a doit task: name, state (where `states` has one for each stage), what it makes, usual time, sentence.

    The sentence is wrapped; names, states and times are not. Where that leaves no room for it, the sentence goes below.
    """
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from .draw import LOOKS, SHORT

    console = Console(file=stream, no_color=not coloured(stream), highlight=False)
    names = [Text(task.name, style="bold") for task in tasks]
    marks = [(states or {}).get(task.name, "") for task in tasks]
    marked = [Text.from_ansi(f"\x1b[{LOOKS[mark][2]}m{SHORT.get(mark, mark)}\x1b[0m") for mark in marks]
    taken = max(map(len, names), default=0) + max(map(len, marked), default=0)
    if console.width - taken < SENTENCE + OTHERS:
        for task, name, mark in zip(tasks, names, marked):
            console.print(Text("  ").join([name, mark] if mark else [name]))
            console.print(Padding(Text(task.doc or ""), (0, 0, 0, 2)))
        return
    stages = {} if look is None else {task.name: look.plan.stages.get(task.name) for task in tasks}
    known = [stage for stage in stages.values() if stage is not None]
    times = {} if look is None else usual_times(look, known)
    wide, timed = console.width >= WIDE, any(usual is not None for usual in times.values())
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("task", no_wrap=True)
    if states is not None:
        table.add_column("state", no_wrap=True)
    if wide:
        table.add_column("makes", overflow="fold", max_width=console.width // 3)
    if timed:
        table.add_column("usually", no_wrap=True, justify="right")
    table.add_column("", ratio=1, overflow="fold")
    for task, name, mark in zip(tasks, names, marked):
        cells = [name]
        if states is not None:
            cells.append(mark)
        if wide:
            stage = stages.get(task.name)
            cells.append(Text("\n".join(task.targets if look is None or stage is None else made(look.plan, stage))))
        if timed:
            usual = times.get(task.name)
            cells.append(Text("" if usual is None else duration(usual)))
        table.add_row(*cells, Text(task.doc or ""))
    console.print(table)


def made(plan: Plan, stage: Stage) -> list[str]:
    """What a person opens: the links to a stage's outputs, relative to the project; its outputs where it has none."""
    folder = f"{os.path.relpath(plan.build, plan.root)}/{stage.scope}"
    return [f"{folder}/{name}" for name in stage.links] or list(stage.outputs)
