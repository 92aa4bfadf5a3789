"""One run: its lock, its commands, its remote store, its report, and whether it is being stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from ..decide.look import Look
from .lock import Lock

if TYPE_CHECKING:
    from ..keep.remote import Remote
    from ..show.report import Report
    from .process import Processes


class Session:
    """What the stages of one run share."""

    def __init__(self, look: Look, remote: Callable[[], str | None], grace_s: float) -> None:
        """`remote`: asked for the URL of the remote store when the first stage is built. `grace_s`: time between
        SIGTERM and SIGKILL.
        """
        self.look = look
        self.plan = look.plan
        self.lock = Lock(self.plan.build)
        self.grace_s = grace_s
        self.stopping = False  # a signal came: nothing new is started, nothing more is published
        self.always = False  # `-a`: run, whatever the store has
        self.report: Report | None = None
        self.setup_guards: dict[str, threading.Lock] = {}  # Setup.exclusive -> held while one is installed
        self._remote_url = remote

    @cached_property
    def processes(self) -> Processes:
        """The commands that run now."""
        from .process import Processes  # only what really runs pays for it

        return Processes(self.grace_s, lambda: self.stopping)

    @cached_property
    def remote(self) -> Remote | None:
        """The remote store of this run, if there is one."""
        url = self._remote_url()
        return self.remote_at(url) if url else None

    def remote_at(self, url: str) -> Remote:
        """The remote store at a URL; what it has to say goes to the report."""
        from ..keep.remote import Remote  # only what really runs pays for it

        def note(text: str) -> None:
            if self.report is not None:
                self.report.note(text)

        return Remote(url, note, lambda: self.stopping)
