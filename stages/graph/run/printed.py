"""What a command prints, as it comes: bytes in; its log, its last lines and a callback for each line out."""

from __future__ import annotations

import fcntl
import os
import time
from collections import deque
from collections.abc import Callable, Sequence

from .lines import Lines

TAIL_LINES = 30
SHOW_S = 0.25  # how far the log may lag behind what the command printed


class Printed:
    """The output of one command."""

    def __init__(self, log: str, on_line: Callable[[str, str], None], terminal: bool) -> None:
        """`on_line(line, newest)` gets each finished line ("" for none) and the newest text. `terminal`: whether the
        command has one, and may rewrite lines.

        Raises OSError if the log cannot be written.
        """
        self.rewrites = terminal
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._on_line = on_line
        self._said = Lines(rewrites=terminal)
        self._log = _Log(log)

    def __enter__(self) -> Printed:
        return self

    def __exit__(self, *_: object) -> None:
        self._log.close()

    @property
    def is_current(self) -> bool:
        """Whether the log has all that came."""
        return self._log.is_current

    def feed(self, data: bytes) -> None:
        """Take what was printed."""
        lines = self._said.feed(data)
        self._keep(lines)
        if self._log.is_due:
            self.show()
        if not lines:
            self._on_line("", self._said.last())

    def show(self) -> None:
        """Put what is not final yet into the log, as it is now."""
        self._log.show(self._said.unfinished())

    def finish(self) -> None:
        """Nothing more will come."""
        self._keep(self._said.finish())

    def _keep(self, lines: list[str]) -> None:
        self._log.add(lines)
        for line in lines:
            self.tail.append(line)
            self._on_line(line, self._said.last())


class _Log:
    """A command's log: the lines that are final, and behind them those that may still be rewritten, as they are now.

    Locked while it is open, so that others see that the command runs (keep/attempts.py).
    """

    def __init__(self, path: str) -> None:
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 -- closed by `close`
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._end = os.fstat(self._file.fileno()).st_size  # of what is final
        self._shown_s = float("-inf")
        self.is_current = True

    def close(self) -> None:
        """The command has ended, or is followed no more."""
        self._file.close()

    @property
    def is_due(self) -> bool:
        """Whether something came, and nothing was shown for a while."""
        return not self.is_current and time.monotonic() > self._shown_s + SHOW_S

    def add(self, lines: Sequence[str]) -> None:
        """Take final lines."""
        self.is_current = False
        if lines:
            self._cut()
            self._write(lines)
            self._end = os.fstat(self._file.fileno()).st_size

    def show(self, lines: Sequence[str]) -> None:
        """Put lines that are not final in place of those that were there."""
        self._cut()
        self._write(lines)
        self._shown_s, self.is_current = time.monotonic(), True

    def _cut(self) -> None:
        if os.fstat(self._file.fileno()).st_size > self._end:
            self._file.truncate(self._end)

    def _write(self, lines: Sequence[str]) -> None:
        data = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
        while data:
            data = data[self._file.write(data) :]
