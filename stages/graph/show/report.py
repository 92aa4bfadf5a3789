"""What a person sees of a run: one plain line an event. `live.py` adds the display for terminals.

It is doit's reporter (doit calls it in its main thread) and the engine's (`started`, `line`, `ended`, `note`: any
thread).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TextIO

STATE_WIDTH = 15


class Report:
    """Plain lines, for pipes and logs."""

    terminal = False  # whether commands get a terminal of their own

    def __init__(self, stream: TextIO, quiet: bool = False) -> None:
        self.stream = stream
        self.quiet = quiet  # no output of commands, only their states
        self.failures: list[str] = []
        self.counts: dict[str, int] = {}
        self.stopped = False  # a signal came: stages that end because of it get no line
        self._started = time.monotonic()
        self._guard = threading.RLock()

    # ── Called by the engine ──

    def foresee(self, ahead: Callable[[], tuple[float, Sequence[str]]]) -> None:
        """How to know the seconds that are left, and the stages of which nobody knows how long they take."""

    def started(self, name: str, usual_s: float | None = None) -> None:
        """A stage or setup is being brought up to date, which usually takes `usual_s`."""

    def line(self, name: str, line: str, newest: str) -> None:
        """A command wrote: a finished line ("" for none), and the newest text."""
        if line and not self.quiet:
            self.write(f"{name} │ {line}")

    def note(self, text: str) -> None:
        """Something worth a line."""
        self.write(text)

    def ended(self, name: str, outcome: str, seconds: float) -> None:
        """A stage or setup is done: "built", "installed", "from the store" or "failed"."""
        if self.stopped:
            return
        self.counts[outcome] = self.counts.get(outcome, 0) + 1
        self.state(outcome, name if outcome == "from the store" else f"{name}  {self.took(seconds)}")

    def took(self, seconds: float) -> str:
        """How long it took, for its line."""
        return duration(seconds)

    # ── Called by doit ──

    def initialize(self, tasks: Any, selected: Any) -> None:
        """The tasks are known; nothing ran yet."""

    def get_status(self, task: Any) -> None:
        """A task's state is about to be looked at."""

    def execute_task(self, task: Any) -> None:
        """A task's actions are about to run. Stages call `started`; ordinary doit tasks get a line here."""
        if task.actions and not (task.meta or {}).get("graph"):
            self.state("running", task.name)

    def add_success(self, task: Any) -> None:
        """A task ended well."""

    def add_failure(self, task: Any, fail: Any) -> None:
        """A task failed, or could not run because one that it needs failed."""
        if type(fail).__name__ == "UnmetDependency":
            self.state("not run", f"{task.name}: {fail.message} failed")
        else:
            self.failures.append(fail.get_msg().strip())

    def skip_uptodate(self, task: Any) -> None:
        """A task is fresh."""
        if task.actions:
            self.counts["fresh"] = self.counts.get("fresh", 0) + 1
            self.state("fresh", task.name)

    def skip_ignore(self, task: Any) -> None:
        """A task is ignored."""
        self.state("ignored", task.name)

    def cleanup_error(self, exception: Any) -> None:
        """A teardown failed."""
        self.failures.append(exception.get_msg())

    def runtime_error(self, msg: str) -> None:
        """doit itself stopped."""
        self.failures.append(msg)

    def teardown_task(self, task: Any) -> None:
        """A task's teardown is about to run."""

    def complete_run(self) -> None:
        """All is done: the totals, then the failures, so that they are the last thing seen."""
        self.close()
        done = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.counts.items()))
        if done:
            self.write(f"{done}  ({duration(time.monotonic() - self._started)})")
        for failure in self.failures:
            self.write(f"\n{failure}")

    # ── Writing ──

    def close(self) -> None:
        """No more events."""

    def state(self, state: str, text: str) -> None:
        """One line: a state and what it is the state of."""
        self.write(f"{state:<{STATE_WIDTH}}{text}")

    def write(self, text: str) -> None:
        """One or more lines. A reader that went away (`doit | head`) does not end a build."""
        with self._guard:
            try:
                self.stream.write(text + "\n")
                self.stream.flush()
            except BrokenPipeError:
                self.stream = open_null()


def open_null() -> TextIO:
    """A stream that swallows everything."""
    import os

    return open(os.devnull, "w", encoding="utf-8")


def duration(seconds: float) -> str:
    """0.4 s, 12.3 s, 3 m 05 s, 1 h 02 m."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} m {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} m"
