"""A terminal for a test: doit runs in it as a process of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading

from tests.graph.project import HANGS_S, Project
from tests.graph.screen import Screen

SHOW, HIDE = b"\x1b[?25h", b"\x1b[?25l"


class Terminal:
    """A terminal that a process controls: what it wrote, and what is left to see at the end."""

    def __init__(self, project: Project, *words: str, columns: int = 100, env: dict[str, str] | None = None) -> None:
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "LC_ALL", "COLUMNS")}
        self._theirs = os.dup(theirs)  # the mode of a terminal is asked at this end
        self._mode = termios.tcgetattr(theirs)
        self.process: subprocess.Popen[str] = project.start(
            *words,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**clean, "TERM": "xterm", "LANG": "C.UTF-8", **(env or {})},
        )
        os.close(theirs)
        self.seen = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # when the last user of the terminal is gone
            while data := os.read(self.ours, 65536):
                self.seen += data

    def press_ctrl_c(self) -> None:
        os.write(self.ours, b"\x03")

    def wait(self) -> tuple[int, list[str]]:
        """(exit status, the lines that are left on the screen)."""
        status = self.process.wait(timeout=HANGS_S)
        assert termios.tcgetattr(self._theirs) == self._mode
        os.close(self._theirs)
        self._reader.join(10)  # to the end of what was written
        os.close(self.ours)
        screen = Screen(rewrites=True)
        lines = screen.feed(self.seen) + screen.finish()
        return status, lines
