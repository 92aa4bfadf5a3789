"""The lines of a command's output: bytes in, finished lines and the newest text out.

A progress bar rewrites its line after a carriage return; a bar of several lines moves the cursor up first. A log holds
such a line once, in its last state, if it is at most ROWS lines up.
"""

from __future__ import annotations

import codecs
import re

ROWS = 48  # how many of the last lines a command may still rewrite
ERASED = "\x1b[2K"  # the whole line
_BACK = re.compile(r"[^\b]\x08")
_PIECES = re.compile(r"(\n|\x1b\[\d*A)")
_UP = re.compile(r"\x1b\[(\d*)A")
# Every ESC, with as much of a control sequence as there is: what another ESC cuts short a terminal drops as well.
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[@-~]?|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[()][0-9A-Za-z]?|[@-Z\\^_=>78])?")
_PARTIAL = re.compile(r"\x1b(?:\[[0-9;?]*|\][^\x07\x1b]*\x1b?|[()])?$")


class Lines:
    """Feed it bytes; take finished lines from `feed` and `finish`, and the newest text from `last`."""

    def __init__(self, rewrites: bool) -> None:
        """`rewrites`: the command has a terminal and may move the cursor up. Without one a line is final at once."""
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._held: list[str] = []  # lines that may still be rewritten
        self._open = ""  # what came after the last newline
        self._rows = ROWS if rewrites else 0

    def feed(self, data: bytes) -> list[str]:
        """Take output; returns the lines that are now final."""
        text = self._open + self._decode(data)
        partial = _PARTIAL.search(text)
        rest = text[partial.start() :] if partial else ""
        *pieces, self._open = _PIECES.split(text.removesuffix(rest) if rest else text)
        for line, end in zip(pieces[::2], pieces[1::2], strict=True):
            if end == "\n":
                self._held.append(_shown(line))
            elif up := _UP.fullmatch(end):
                del self._held[max(0, len(self._held) - int(up[1] or 1)) :]
        before, again, newest = self._open.rpartition("\r")
        self._open = (f"{_shown(before)}\r" if again else "") + newest + rest
        final = len(self._held) - self._rows
        lines, self._held = self._held[: max(0, final)], self._held[max(0, final) :]
        return lines

    def finish(self) -> list[str]:
        """The lines that are left, at the end of the output."""
        lines, self._held, self._open = [*self._held, _shown(self._open)], [], ""
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def unfinished(self) -> list[str]:
        """What is not final yet, as it is now."""
        return [*self._held, last] if (last := _shown(self._open)) else list(self._held)

    def last(self) -> str:
        """The newest line that is not empty, finished or not; "" if there is none."""
        return _shown(self._open).strip() or next((line.strip() for line in reversed(self._held) if line.strip()), "")


def _shown(line: str) -> str:
    """What remains visible of a line: its last state, without colours."""
    text = _ESCAPES.sub("", line.rpartition(ERASED)[2])
    states = _BACK.sub("", text).split("\r")
    return next((state.rstrip() for state in reversed(states) if state.strip()), "")
