"""What a person sees of a run on a terminal: a line for each stage that is done, and below them those that run now.

    built          corpus  3.1 s, usually 3.0 s
    ⠹ engine                     41.0 s                   Compiling wgpu v29.0.0
    ⠹ tokenizer  ━━━━━━━━━━────  12.3 s of about 15.0 s   merges 3100/4096
      to come: shards, train, export, web
      about 6 m 10 s left

Commands get a terminal of their own, so the newest line of cargo's or tqdm's progress bar is shown beside its stage.
All of their output is in the log. rich is imported when the first stage starts: a run in which everything is fresh
does not load it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, TextIO

from .report import STATE_WIDTH, Report, duration
from .terminal import coloured, shows_unicode

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live
    from rich.text import Text

    from ..declare.plan import Plan

COLOURS = {
    "fresh": "2",
    "built": "32",
    "installed": "32",
    "from the store": "36",
    "failed": "1;31",
    "not run": "33",
    "ignored": "2",
}
SPINNER, BAR = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "━─"
ASCII_SPINNER, ASCII_BAR = "|/-\\", "#-"
BAR_WIDTH = 14
WIDE = 70  # columns: a narrower terminal shows neither the bar nor the usual time
REFRESH_HZ = 8
CTRL_C = 3  # columns left free: the terminal writes ^C after the last line, which would wrap a full one


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
        self._colours = coloured(stream)
        unicode = shows_unicode(stream)
        self._spinner, self._bar = (SPINNER, BAR) if unicode else (ASCII_SPINNER, ASCII_BAR)
        self._cut = "…" if unicode else "..."
        self._places: dict[str, int] = {}  # task -> its place in graph order
        self._running: dict[str, _Running] = {}
        self._to_come: list[str] = []
        self._usual_s: float | None = None  # of the task that is ending
        self._foretold: Callable[[], Mapping[str, float | None]] | None = None
        self._expected: Mapping[str, float | None] = {}
        self._plan: Plan | None = None
        self._at_once = 1
        self._ahead: Callable[[], tuple[float, Sequence[str]]] | None = None
        self._closed = False
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
        self._places = {name: place for place, name in enumerate(tasks)}
        self._to_come = [name for name in tasks if name in wanted and tasks[name].actions]

    def foretell(self, expected: Callable[[], Mapping[str, float | None]], plan: Plan, at_once: int) -> None:
        """Show the time left. expected: the usual seconds of what will run, asked when the first stage starts."""
        self._foretold, self._plan, self._at_once = expected, plan, at_once

    def foresee(self, ahead: Callable[[], tuple[float, Sequence[str]]]) -> None:
        """Show the time left by this, whatever the plan."""
        self._ahead = ahead

    def started(self, name: str, usual_s: float | None = None) -> None:
        """Show it in the live region."""
        with self._guard:
            ask, self._foretold = self._foretold, None
        if ask is not None:
            self._expected = ask()
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
            running = self._running.pop(name, None)  # first: writing the line shows the region again
            self._usual_s = running.usual_s if running else None
            super().ended(name, outcome, seconds)
            if not self._running:
                self._hide()

    def took(self, seconds: float) -> str:
        """With the usual time, where it is known and there is room."""
        took = super().took(seconds)
        if self._usual_s is None or get_terminal_size().columns < WIDE:
            return took
        return f"{took}, usually {duration(self._usual_s)}"

    def skip_uptodate(self, task: Any) -> None:
        """A task is fresh."""
        self._drop(task.name)
        super().skip_uptodate(task)

    def close(self) -> None:
        """Remove the live region for good: threads that are being stopped may still start something."""
        with self._guard:
            self._closed = True
            self._hide()

    def state(self, state: str, text: str) -> None:
        """One line, coloured where the terminal wants colours."""
        label = f"{state:<{STATE_WIDTH}}"
        if self._colours:
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
        running = sorted(self._running.items(), key=lambda item: self._places.get(item[0], -1))
        room = max(1, console.size.height - 4)  # three lines below the rows, and one for the cursor
        width = options.max_width - CTRL_C
        for line in (*self._rows(running[:room], width), *self._below([name for name, _ in running[room:]])):
            yield self._fit(line, width)

    def _rows(self, running: list[tuple[str, _Running]], width: int) -> Iterator[Text]:
        """A line for each that runs: spinner, name, bar, time against usual time, newest text."""
        from rich.text import Text

        now, wide = time.monotonic(), width >= WIDE
        frame = self._spinner[int(now * REFRESH_HZ) % len(self._spinner)]
        bar_width = BAR_WIDTH if wide and any(each.usual_s for _, each in running) else 0
        clocks = [_clock(now - each.since, each.usual_s if wide else None) for _, each in running]
        clock_width = max(map(len, clocks), default=0)
        name_width = min(max((len(name) for name, _ in running), default=0), max(8, width - clock_width - 4))
        for (name, each), clock in zip(running, clocks):
            line = Text(no_wrap=True)
            line.append(f"{frame} ", style="cyan")
            line.append_text(self._fit(Text(f"{name:<{name_width}}", style="bold"), name_width)).append("  ")
            if bar_width:
                done = int(bar_width * min(1.0, (now - each.since) / each.usual_s)) if each.usual_s else 0
                line.append(self._bar[0] * done, style="cyan")
                line.append((self._bar[1] if each.usual_s else " ") * (bar_width - done), style="dim")
                line.append("  ")
            line.append(f"{clock:<{clock_width}}")
            rest = width - line.cell_len - 2
            if each.newest and rest >= 8:
                line.append("  ").append_text(self._fit(Text(each.newest.replace("\t", " "), style="dim"), rest))
            yield line

    def _below(self, hidden: list[str]) -> Iterator[Text]:
        """What runs without a row of its own, and what is to come."""
        from rich.text import Text

        for label, names in (("also running", hidden), ("to come", self._to_come)):
            if names:
                yield Text(f"  {label}: {', '.join(names)}", style="dim", no_wrap=True)
        if left := self._time_left():
            yield Text(f"  {left}", style="dim", no_wrap=True)

    def _time_left(self) -> str:
        """What is left of the run, where more than one stage is; "" where nothing is known."""
        if self._ahead is not None:
            return _left_text(*self._ahead())
        left: dict[str, float] = {}
        unknown = []
        for name, usual_s in self._expected.items():
            running = self._running.get(name)
            if running is None and name not in self._to_come:
                continue
            if usual_s is None:
                unknown.append(name)
            left[name] = max(0.0, (usual_s or 0.0) - (time.monotonic() - running.since if running else 0.0))
        if self._plan is None or len(left) < 2 or not any(left.values()):
            return ""
        from ..decide.times import time_left_s  # only what really runs pays for it

        return _left_text(time_left_s(self._plan, left, self._at_once), unknown)

    def _fit(self, line: Text, width: int) -> Text:
        """The line, shortened to so many columns."""
        if line.cell_len > width:
            line.truncate(width - len(self._cut))
            line.append(self._cut)
        return line

    def _drop(self, name: str) -> None:
        if name in self._to_come:
            self._to_come.remove(name)

    def _show(self) -> None:
        if self._live is not None or self._closed or self.stopped:
            return
        from rich.console import Console
        from rich.live import Live

        self._console = Console(file=self.stream, no_color=not self._colours)
        self._live = Live(self, console=self._console, refresh_per_second=REFRESH_HZ, transient=True)
        self._live.start(refresh=True)

    def _hide(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def _left_text(left_s: float, unknown: Sequence[str]) -> str:
    seconds = round(left_s)
    if not seconds:
        return ""
    text = f"about {duration(seconds) if seconds >= 60 else f'{seconds} s'} left"
    return f"{text}, and what {', '.join(unknown)} takes" if unknown else text


def _clock(seconds: float, usual_s: float | None) -> str:
    if usual_s is None:
        return duration(seconds)
    return f"{duration(seconds)}{' of about' if seconds < usual_s else ', usually'} {duration(usual_s)}"
