"""What one sees of a training run: a live display on a terminal, else a line every few seconds."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from training.command import printable, say, speaks

SECONDS_A_LINE = 10.0


class Progress:
    """Step, bits per byte of both texts, tokens a second, time left. Use as a context manager."""

    def __init__(self, steps: int, tokens_a_step: int, first_step: int) -> None:
        self.steps, self.tokens_a_step, self.step = steps, tokens_a_step, first_step
        self.train_bpb = self.val_bpb = float("nan")
        self.marks = [(time.monotonic(), first_step)]  # of the last half minute or so
        self.said = time.monotonic()
        self.display = _terminal(steps, first_step) if speaks() and sys.stderr.isatty() else None

    def __enter__(self) -> Progress:
        if self.display:
            self.display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.display:
            self.display.stop()

    @property
    def tokens_a_second(self) -> float:
        """Of the last half minute."""
        (t0, s0), (t1, s1) = self.marks[0], self.marks[-1]
        return (s1 - s0) * self.tokens_a_step / (t1 - t0) if t1 > t0 else 0.0

    def advance(self, step: int, train_bpb: float | None) -> None:
        """A step was made; its loss in bits per byte, where it is known."""
        now = time.monotonic()
        self.step = step
        self.train_bpb = self.train_bpb if train_bpb is None else train_bpb
        if now - self.marks[-1][0] >= 1.0:
            self.marks = [mark for mark in self.marks if now - mark[0] < 30.0] + [(now, step)]
        if self.display:
            self.display.update(self.display.task_ids[0], completed=step, shown=self._figures())
        elif now - self.said >= SECONDS_A_LINE:
            self.said = now
            say(f"step {step}/{self.steps}  {self._figures()}")

    def pause(self, seconds: float) -> None:
        """Time that was spent on something else than steps."""
        self.marks = [(at + seconds, step) for at, step in self.marks]

    def evaluated(self, val_bpb: float, text: str) -> None:
        """An evaluation was made. text: what the model writes now."""
        self.val_bpb = val_bpb
        lines = [f"step {self.step}/{self.steps}  validation {val_bpb:.3f} bits/byte" + "; it writes:" * bool(text)]
        lines += [f"    {line}" for line in text.splitlines()]
        for line in lines:
            if self.display:
                self.display.console.print(printable(line), highlight=False, markup=False)
            else:
                say(line)

    def _figures(self) -> str:
        """Training and validation in one unit, so that they can be compared at a glance."""
        rate = self.tokens_a_second
        left = time_left((self.steps - self.step) * self.tokens_a_step / rate) if rate else ""
        named = {"training": self.train_bpb, "validation": self.val_bpb}
        known = [f"{name} {bpb:.3f}" for name, bpb in named.items() if bpb == bpb]
        loss = ", ".join(known) + " bits/byte" if known else ""
        return "  ".join(filter(None, [loss, f"{rate:,.0f} tokens/s  {left} left" if rate else ""]))


def time_left(seconds: float) -> str:
    """As 0:07, 12:34 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _terminal(steps: int, first_step: int):  # type: ignore[no-untyped-def]  # rich is imported only here
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    display = Progress(
        TextColumn("train"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[shown]}"),
        console=Console(stderr=True),
        refresh_per_second=4,
    )
    display.add_task("train", total=steps, completed=first_step, shown="")
    return display
