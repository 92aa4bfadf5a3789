"""What one sees of a training run: a live display on a terminal, else a line every few seconds."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from training.command import printable, say, speaks

SECONDS_A_LINE = 10.0


class Progress:
    """Step, loss, bits per byte, tokens a second, time left. Use as a context manager."""

    def __init__(self, steps: int, tokens_a_step: int, first_step: int) -> None:
        self.steps, self.tokens_a_step, self.step = steps, tokens_a_step, first_step
        self.loss_nats = self.val_bpb = float("nan")
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

    def advance(self, step: int, loss_nats: float | None) -> None:
        """A step was made; its loss, where it is known."""
        now = time.monotonic()
        self.step = step
        self.loss_nats = self.loss_nats if loss_nats is None else loss_nats
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
        lines = [f"step {self.step}/{self.steps}  validation {val_bpb:.3f} bits/byte"]
        lines += [f"    {line}" for line in text.splitlines()]
        for line in lines:
            if self.display:
                self.display.console.print(printable(line), highlight=False, markup=False)
            else:
                say(line)

    def _figures(self) -> str:
        rate = self.tokens_a_second
        left = (self.steps - self.step) * self.tokens_a_step / rate if rate else float("nan")
        clock = f"{int(left) // 60}:{int(left) % 60:02}" if left == left else "-"
        val = f"  {self.val_bpb:.3f} bits/byte" if self.val_bpb == self.val_bpb else ""
        loss = f"loss {self.loss_nats:.3f}" if self.loss_nats == self.loss_nats else "loss -"
        return f"{loss}{val}  {rate:,.0f} tokens/s  {clock} left"


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
