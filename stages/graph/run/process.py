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
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from ..declare.stage import Ended
from .lines import Lines

TAIL_LINES = 30
SHOW_S = 0.25  # how far the log may lag behind what the command printed
SUPERVISOR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "supervisor.py")


class _Log:
    """A command's log: the lines that are final, and behind them those that may still be rewritten, as they are now.

    Locked while it is open, so that others see that the command runs (keep/attempts.py).
    """

    def __init__(self, path: str) -> None:
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 -- closed by __exit__
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._end = os.fstat(self._file.fileno()).st_size  # of what is final
        self._shown_s = float("-inf")
        self.is_current = True

    def __enter__(self) -> _Log:
        return self

    def __exit__(self, *_: object) -> None:
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
        tail: deque[str] = deque(maxlen=TAIL_LINES)
        said = Lines(rewrites=terminal)
        source, output = _open_terminal() if terminal else os.pipe()
        with _Log(log) as file, os.fdopen(source, "rb", buffering=0):

            def keep(lines: list[str]) -> None:
                file.add(lines)
                for line in lines:
                    tail.append(line)
                    on_line(line, said.last())

            try:
                supervisor = self._start(argv, cwd, env, output, lock_fd, background)
            finally:
                os.close(output)
            try:
                while True:
                    if not file.is_current and not select.select([source], [], [], SHOW_S)[0]:
                        file.show(said.unfinished())
                    if not (data := _read(source)):
                        break
                    lines = said.feed(data)
                    keep(lines)
                    if file.is_due:
                        file.show(said.unfinished())
                    if not lines:
                        on_line("", said.last())
                status = supervisor.wait()
            finally:
                self._end(supervisor)
            keep(said.finish())
        return Ended(status, list(tail), time.monotonic() - started)

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
