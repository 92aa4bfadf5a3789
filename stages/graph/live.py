"""What a person sees of a run on a terminal: a line for each stage that is done, and below them those that run now.

    built          corpus  3.1 s
    ⠹ tokenizer    12 s of about 15 s   merges 3100/4096
      to come: shards, train, export, web

Commands get a terminal of their own, so the newest line of cargo's or tqdm's bar is what stands behind a stage. All
of their output is in the log. rich is imported when the first stage starts: a run in which all is fresh never pays
for it.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from .report import STATE_WIDTH, Report, duration

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live

COLOURS = {
    "fresh": "2",
    "built": "32",
    "installed": "32",
    "from the store": "36",
    "failed": "1;31",
    "not run": "33",
    "ignored": "2",
}
SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
REFRESH_HZ = 8


@dataclass
class _Running:
    usual_s: float | None
    since: float = field(default_factory=time.monotonic)
    newest: str = ""


class LiveReport(Report):
    """Lines for what is done, a live region for what runs."""

    terminal = True

    def __init__(self, stream: TextIO, quiet: bool = False) -> None:
        super().__init__(stream, quiet)
        self._running: dict[str, _Running] = {}
        self._to_come: list[str] = []
        self._live: Live | None = None
        self._console: Console | None = None

    def initialize(self, tasks: Any, selected: Any) -> None:
        """Remember what is to come, in graph order."""
        waiting, wanted = list(selected), set()
        while waiting:
            name = waiting.pop()
            if name not in wanted:
                wanted.add(name)
                waiting += tasks[name].task_dep
        self._to_come = [name for name in tasks if name in wanted and tasks[name].actions]

    def started(self, name: str, usual_s: float | None = None) -> None:
        """Show it in the live region."""
        with self._guard:
            self._running[name] = _Running(usual_s)
            self._drop(name)
            self._show()

    def line(self, name: str, line: str, newest: str) -> None:
        """Only the newest text is shown; the log has the rest."""
        running = self._running.get(name)
        if running is not None and newest:
            running.newest = newest

    def ended(self, name: str, outcome: str, seconds: float) -> None:
        """A line of its own, for good."""
        with self._guard:
            self._running.pop(name, None)
            super().ended(name, outcome, seconds)
            if not self._running:
                self._hide()

    def skip_uptodate(self, task: Any) -> None:
        """A task is fresh."""
        self._drop(task.name)
        super().skip_uptodate(task)

    def close(self) -> None:
        """Take the live region away."""
        with self._guard:
            self._hide()

    def state(self, state: str, text: str) -> None:
        """One line, coloured where the terminal wants colours."""
        label = f"{state:<{STATE_WIDTH}}"
        if "NO_COLOR" not in os.environ:
            label = f"\x1b[{COLOURS.get(state, '0')}m{label}\x1b[0m"
        self.write(label + text)

    def write(self, text: str) -> None:
        """Above the live region while there is one."""
        with self._guard:
            if self._live is None or self._console is None:
                super().write(text)
            else:
                from rich.text import Text

                self._console.print(Text.from_ansi(text), soft_wrap=True, highlight=False)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The live region."""
        from rich.text import Text

        now = time.monotonic()
        width = max((len(name) for name in self._running), default=0)
        frame = SPINNER[int(now * REFRESH_HZ) % len(SPINNER)]
        for name, running in list(self._running.items()):
            clock = duration(now - running.since)
            if running.usual_s is not None:
                clock += f" of about {duration(running.usual_s)}"
            line = Text(f"{frame} ", style="cyan", no_wrap=True, overflow="ellipsis")
            line.append(f"{name:<{width}}  ", style="bold")
            line.append(clock, style="default")
            line.append(f"  {running.newest}", style="dim")
            line.truncate(options.max_width, overflow="ellipsis")
            yield line
        if self._to_come:
            line = Text(f"  to come: {', '.join(self._to_come)}", style="dim", no_wrap=True, overflow="ellipsis")
            line.truncate(options.max_width, overflow="ellipsis")
            yield line

    def _drop(self, name: str) -> None:
        if name in self._to_come:
            self._to_come.remove(name)

    def _show(self) -> None:
        if self._live is not None:
            return
        from rich.console import Console
        from rich.live import Live

        self._console = Console(file=self.stream)
        self._live = Live(self, console=self._console, refresh_per_second=REFRESH_HZ, transient=True)
        self._live.start(refresh=True)

    def _hide(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
