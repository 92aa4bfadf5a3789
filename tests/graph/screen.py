"""A screen of text lines: a command's terminal output in, the lines that a person would see out. The tests look at
`doit` through it, and compare stages/graph/run/lines.py with it.

Progress bars rewrite their lines with carriage returns and cursor movements. This keeps the last rows as a terminal
would and gives away a line for good once it has scrolled out of reach, so that a log holds each line once, in its
last state.
"""

from __future__ import annotations

import codecs
import re

ROWS = 48  # how far up a cursor movement can reach
_ESCAPE = re.compile(r"\x1b(?:\[([0-9;?]*)([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-Za-z]|[@-Z\\^_=>78])")
_PARTIAL = re.compile(r"\x1b(?:\[[0-9;?]*|\][^\x07\x1b]*\x1b?|[()])?$")


class Screen:
    """Feed it bytes; take finished lines from `feed` and `finish`, and the newest text from `last`."""

    def __init__(self, rewrites: bool) -> None:
        """`rewrites`: the command has a terminal and may move the cursor up. Without one a line is final at its
        newline.
        """
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rows: list[str] = [""]
        self._row = 0
        self._column = 0
        self._reach = ROWS if rewrites else 1
        self._rest = ""

    def feed(self, data: bytes) -> list[str]:
        """Take output; returns the lines that are now final."""
        text = self._rest + self._decode(data)
        partial = _PARTIAL.search(text)
        self._rest = text[partial.start() :] if partial else ""
        text = text[: partial.start()] if partial else text
        position = 0
        for found in _ESCAPE.finditer(text):
            self._print(text[position : found.start()])
            if found[2]:
                self._control(found[1], found[2])
            position = found.end()
        self._print(text[position:])
        return self._scroll(self._reach)

    def finish(self) -> list[str]:
        """The lines that are left, at the end of the output."""
        self._print(self._rest)
        while self._rows and not self._rows[-1].strip():
            self._rows.pop()
        lines, self._rows = self._rows, [""]
        self._row = self._column = 0
        return [line.rstrip() for line in lines]

    def last(self) -> str:
        """The newest line that is not empty, finished or not; "" if there is none."""
        return next((row.strip() for row in reversed(self._rows) if row.strip()), "")

    def _print(self, text: str) -> None:
        for piece in re.split(r"([\r\n\b])", text):
            if piece == "\n":
                self._row += 1
                self._column = 0
                if self._row == len(self._rows):
                    self._rows.append("")
            elif piece == "\r":
                self._column = 0
            elif piece == "\b":
                self._column = max(0, self._column - 1)
            elif piece:
                row = self._rows[self._row].ljust(self._column)
                self._rows[self._row] = row[: self._column] + piece + row[self._column + len(piece) :]
                self._column += len(piece)

    def _control(self, argument: str, letter: str) -> None:
        first = argument.split(";")[0]
        count = int(first) if first.isdigit() else 0
        if letter == "A":
            self._row = max(0, self._row - max(1, count))
        elif letter == "B":
            self._row = min(len(self._rows) - 1, self._row + max(1, count))
        elif letter == "C":
            self._column += max(1, count)
        elif letter == "D":
            self._column = max(0, self._column - max(1, count))
        elif letter == "G":
            self._column = max(0, count - 1)
        elif letter == "K":
            row = self._rows[self._row]
            if count == 2:
                self._rows[self._row] = ""
            elif count == 1:
                self._rows[self._row] = " " * self._column + row[self._column :]
            else:
                self._rows[self._row] = row[: self._column]
        elif letter == "J" and count == 0:
            self._rows[self._row] = self._rows[self._row][: self._column]
            del self._rows[self._row + 1 :]

    def _scroll(self, keep: int) -> list[str]:
        """Give away what lies further up than `keep` rows."""
        gone = max(0, min(len(self._rows) - keep, self._row))
        lines = [row.rstrip() for row in self._rows[:gone]]
        del self._rows[:gone]
        self._row -= gone
        return lines
