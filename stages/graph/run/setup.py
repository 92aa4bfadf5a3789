"""Installing a setup: a `Setup` that is not ready in, a ready one out.

Its commands run as those of stages do: under the supervisor, so that no process outlives the run; with a log,
build/run/setup-NAME/log.txt; and with a terminal where we have one. They get our whole environment, since what they
make enters no key.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence

from ..declare.stage import Ended, Setup
from ..errors import StageFailed
from .session import Session

INSTALLED = "installed"


def ensure(session: Session, setup: Setup, background: bool = False) -> bool:
    """Install a setup unless it is ready; returns whether it had to be. Setups that share a folder wait for each
    other, in this run and in those of other build folders. background: yields the processor to other stages.

    Raises StageFailed with the installer's message, and the last lines of the command that failed.
    """
    if setup.is_ready():
        return False
    with (
        session.setup_guards.setdefault(setup.exclusive or setup.name, threading.Lock()),
        _alone(session, setup) if setup.exclusive else contextlib.nullcontext(),
    ):
        if setup.is_ready():
            return False
        report, name, started = session.report, f"setup:{setup.name}", time.monotonic()
        runner = _Runner(session, setup, background)
        if report is not None:
            report.note(f"{name}: {setup.doc}")
            report.started(name)
        outcome = "failed"
        try:
            setup.install(runner)
            if session.stopping:
                raise StageFailed("it was stopped")
            if not setup.is_ready():
                raise StageFailed("it ended well, but what it installs is still not there")
            outcome = INSTALLED
        except Exception as error:
            text = f"setup {setup.name} failed: {error or type(error).__name__}"
            raise StageFailed(text + runner.last_words()) from error
        finally:
            if report is not None:
                report.ended(name, outcome, time.monotonic() - started)
        return True


@contextlib.contextmanager
def _alone(session: Session, setup: Setup) -> Iterator[None]:
    """Hold a kernel lock for the place of installation: two build folders may share one .venv.

    Raises StageFailed where the run is stopped while it waits.
    """
    folder = f"{session.plan.root}/{setup.exclusive}"
    if os.path.isdir(folder):
        path = f"{folder}/.install-lock"
    else:  # shared by the whole machine, such as apt
        path = f"{tempfile.gettempdir()}/install-{setup.exclusive.replace('/', '-')}.lock"
    fd = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        noted = False
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if session.stopping:
                    raise StageFailed(f"setup {setup.name} was stopped") from None
                if not noted and session.report is not None:
                    session.report.note(f"setup:{setup.name}: waiting for another run to install in {setup.exclusive}")
                noted = True
                time.sleep(0.1)
        yield
    finally:
        os.close(fd)


class _Runner:
    """What a setup's `install` runs its commands with (stage.Runner)."""

    def __init__(self, session: Session, setup: Setup, background: bool) -> None:
        self._session, self._name, self._background = session, f"setup:{setup.name}", background
        self._folder = f"{session.plan.build}/run/setup-{setup.name}"
        self._last: Ended | None = None

    def __call__(
        self, argv: Sequence[str], *, cwd: os.PathLike[str] | str | None = None, env: Mapping[str, str] | None = None
    ) -> Ended:
        """Run one command to its end."""
        session, report, log = self._session, self._session.report, f"{self._folder}/log.txt"
        os.makedirs(self._folder, exist_ok=True)
        with open(log, "w", encoding="utf-8") as file:
            file.write(f"$ {' '.join(argv)}\n")

        def on_line(line: str, newest: str) -> None:
            if report is not None:
                report.line(self._name, line, newest)
            elif line:
                print(f"{self._name} │ {line}", file=sys.stderr, flush=True)

        self._last = session.processes.run(
            argv,
            os.fspath(cwd or session.plan.root),
            os.environ if env is None else env,
            log,
            on_line,
            session.lock.fd,
            terminal=report is not None and report.terminal,
            background=self._background,
        )
        return self._last

    def last_words(self) -> str:
        """The end of a failed command's output, for a message; "" if the last command did not fail."""
        if self._last is None or self._last.status == 0:
            return ""
        return f"\n  last lines:\n{self._last.last_lines()}  log: {self._folder}/log.txt"
