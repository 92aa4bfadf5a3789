"""Running a command under the supervisor: argv and environment in; exit status, log and last lines out.

The command's output goes line by line to its log and to a callback. It gets a terminal (pty) of its own where we
have one, so that cargo and tqdm keep their bars. `stop_all` ends every running command by closing its supervisor's
pipe; so does the death of this process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from ..declare.stage import Ended
from .printed import SHOW_S, Printed

SUPERVISOR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "supervisor.py")


class Processes:
    """The commands that run now. Threads may share it."""

    def __init__(self, grace_s: float, stopping: Callable[[], bool]) -> None:
        """`stopping`: whether new commands are refused."""
        self.grace_s = grace_s
        self._stopping = stopping
        self._guard = threading.RLock()  # a signal handler may take it while its own thread holds it
        self._running: dict[subprocess.Popen[bytes], int | None] = {}  # supervisor -> our end of its pipe, until closed

    def run(
        self,
        argv: Sequence[str],
        cwd: str,
        env: Mapping[str, str],
        log: str,
        on_line: Callable[[str, str], None],
        lock_fd: int | None,
        terminal: bool,
        background: bool = False,
    ) -> Ended:
        """Run one command to its end. `on_line(line, newest)` gets each finished line ("" for none) and the newest
        text.

        Raises OSError if the log cannot be written or no process can be made.
        """
        started = time.monotonic()
        source, output = _open_terminal() if terminal else os.pipe()
        with Printed(log, on_line, terminal) as printed, os.fdopen(source, "rb", buffering=0):
            try:
                supervisor = self._start(argv, cwd, env, output, lock_fd, background)
            finally:
                os.close(output)
            try:
                while True:
                    if not printed.is_current and not select.select([source], [], [], SHOW_S)[0]:
                        printed.show()
                    if not (data := _read(source)):
                        break
                    printed.feed(data)
                status = supervisor.wait()
            finally:
                self._end(supervisor)
            printed.finish()
        return Ended(status, list(printed.tail), time.monotonic() - started)

    def stop_all(self) -> None:
        """End every command and wait until it is gone."""
        with self._guard:
            running = list(self._running)
        for supervisor in running:
            self._close_pipe(supervisor)
        for supervisor in running:
            supervisor.wait()

    def hurry(self) -> None:
        """A second request to stop: what still runs gets no grace."""
        with self._guard:
            running = list(self._running)
        for supervisor in running:
            self._close_pipe(supervisor)
            supervisor.terminate()

    def _start(
        self,
        argv: Sequence[str],
        cwd: str,
        env: Mapping[str, str],
        output: int,
        lock_fd: int | None,
        background: bool,
    ) -> subprocess.Popen[bytes]:
        theirs, ours = os.pipe()
        try:
            with self._guard:
                if self._stopping():
                    raise OSError("this run is being stopped")
                supervisor = subprocess.Popen(
                    [
                        sys.executable,
                        "-I",
                        "-S",
                        SUPERVISOR,
                        str(self.grace_s),
                        "background" if background else "-",
                        *argv,
                    ],
                    cwd=cwd,
                    env=dict(env),
                    stdin=theirs,
                    stdout=output,
                    stderr=output,
                    pass_fds=() if lock_fd is None else (lock_fd,),
                    start_new_session=True,
                )
                self._running[supervisor] = ours
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        return supervisor

    def _end(self, supervisor: subprocess.Popen[bytes]) -> None:
        """Close the pipe, wait for the supervisor, and forget it."""
        self._close_pipe(supervisor)
        supervisor.wait()
        with self._guard:
            del self._running[supervisor]

    def _close_pipe(self, supervisor: subprocess.Popen[bytes]) -> None:
        with self._guard:
            pipe = self._running.get(supervisor)
            if pipe is not None:
                self._running[supervisor] = None
                os.close(pipe)


def _read(source: int) -> bytes:
    try:
        return os.read(source, 65536)
    except OSError:  # a terminal whose last user is gone says EIO
        return b""


def _open_terminal() -> tuple[int, int]:
    """A new terminal as wide as ours: (our end, the command's end)."""
    import pty
    import termios
    import tty

    ours, theirs = pty.openpty()
    with contextlib.suppress(OSError):
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, fcntl.ioctl(sys.stdout.fileno(), termios.TIOCGWINSZ, b"\0" * 8))
    with contextlib.suppress(termios.error):
        tty.setraw(theirs)  # no echo, and newlines stay newlines
    return ours, theirs
