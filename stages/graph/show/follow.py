"""A log as it grows: a file that a command still writes in, its lines out.

The last lines of such a log may still be rewritten, as those of a progress bar are (run/lines.py). A line is printed
once it has been the same for two looks, and once more where it changed after that and came to rest again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

LOOK_S = 0.3  # between two looks
ROWS = 64  # how many lines from the end may change: more than run/lines.py lets a command rewrite


def follow(path: str, stream: TextIO, runs: Callable[[], bool]) -> None:
    """Print the log until its command has ended. Raises OSError where it cannot be read."""
    tail = Tail(path)
    while True:
        running = runs()  # asked before the look: what was written until it ended is seen by that look
        for line in tail.look(last=not running):
            stream.write(line + "\n")
        stream.flush()
        if not running:
            return
        time.sleep(LOOK_S)


class Tail:
    """What of a growing log was printed already."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._offset = 0  # bytes of lines that can change no more
        self._before: list[str] = []  # the lines behind them, as of the last look
        self._printed: list[str | None] = []  # the same, as they were printed

    def look(self, last: bool) -> list[str]:
        """The lines to print now. last: the command has ended, so all that is there is final."""
        with open(self.path, "rb") as file:
            if file.seek(0, 2) < self._offset:  # another run began the log anew
                self._offset, self._before, self._printed = 0, [], []
            file.seek(self._offset)
            raw = file.read().split(b"\n")
        lines = [line.decode("utf-8", "replace") for line in raw[:-1]]
        self._printed += [None] * (len(lines) - len(self._printed))
        found = []
        for at, line in enumerate(lines):
            steady = last or len(lines) - at > ROWS or (at < len(self._before) and self._before[at] == line)
            if steady and self._printed[at] != line:
                self._printed[at] = line
                found.append(line)
        final = max(0, len(lines) - ROWS)
        self._offset += sum(len(line) + 1 for line in raw[:final])
        self._before, self._printed = lines[final:], self._printed[final:]
        return found
