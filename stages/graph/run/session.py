"""One run: its lock, its commands, its remote store, its report, and whether it is being stopped."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from ..decide.look import Look
from .lock import Lock

if TYPE_CHECKING:
    from ..declare.elsewhere import Elsewhere
    from ..declare.site import Site
    from ..keep.remote import Remote
    from ..show.report import Report
    from .elsewhere.errand import Errands
    from .process import Processes
    from .slots import Slots


class Session:
    """What the stages of one run share."""

    def __init__(
        self,
        look: Look,
        remote: Callable[[], str | None],
        grace_s: float,
        resources: Mapping[str, float] | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """`remote`: asked for the URL of the remote store when the first stage is built. `grace_s`: time between
        SIGTERM and SIGKILL. `resources`: how much there is of what stages take, where the machine does not tell.
        `elsewhere`: where stages run that do not run here.
        """
        self.look = look
        self.plan = look.plan
        self.lock = Lock(self.plan.build)
        self.grace_s = grace_s
        self.stopping = False  # a signal came: nothing new is started, nothing more is published
        self.always = False  # `-a`: run, whatever the store has
        self.anew: Collection[str] = ()  # `-a --from STAGE`: the stages of which that is so
        self.report: Report | None = None
        self.setup_guards: dict[str, threading.Lock] = {}  # Setup.exclusive -> held while one is installed
        self.elsewhere = elsewhere
        self._resources = dict(resources or {})
        self._slots: Slots | None = None
        self._remote_url = remote
        self._guard = threading.Lock()  # of what is made on first use, by whichever thread comes first
        self._processes: Processes | None = None
        self._places: dict[str, set[int]] = {}
        self._alone: dict[str, threading.Lock] = {}
        self._remote: list[Remote | None] = []
        self._sites: dict[str, Site] | None = None
        self._errands: Errands | None = None

    def runs_anew(self, stage: str) -> bool:
        """Whether its command runs whatever the store has."""
        return self.always or stage in self.anew

    @property
    def processes(self) -> Processes:
        """The commands that run now. One for all threads: a signal must reach every command."""
        from .process import Processes  # only what really runs pays for it

        with self._guard:
            if self._processes is None:
                self._processes = Processes(self.grace_s, lambda: self.stopping)
            return self._processes

    @property
    def remote(self) -> Remote | None:
        """The remote store of this run, if there is one. Threads share it, so all stop using one that is down."""
        with self._guard:
            if not self._remote:
                url = self._remote_url()
                self._remote.append(self.remote_at(url) if url else None)
            return self._remote[0]

    @property
    def slots(self) -> Slots:
        """What the commands of this run share of the machine."""
        from . import slots  # only what really runs pays for it

        with self._guard:
            if self._slots is None:
                own = self._resources
                count = own.get(slots.GPU)
                gpus = slots.gpus() if count is None else [str(number) for number in range(int(count))]
                self._slots = slots.Slots({**slots.machine(), **own}, gpus, lambda: self.stopping)
            return self._slots

    @property
    def errands(self) -> Errands:
        """The commands that run elsewhere now."""
        from .elsewhere.errand import Errands  # only what really travels pays for it

        with self._guard:
            if self._errands is None:
                self._errands = Errands()
            return self._errands

    def site(self, stage: str) -> Site | None:
        """Where the command of a stage runs; None: here, as it is. Raises UsageError for a table that says nothing."""
        from ..declare.site import site_of  # only what really runs pays for it

        with self._guard:
            if self._sites is None:
                tables = self.elsewhere.tables() if self.elsewhere is not None else {}
                self._sites = {name: site_of(name, table) for name, table in tables.items()}
                if self.report is not None and (unknown := sorted(self._sites.keys() - self.plan.stages.keys())):
                    self.report.note(f"no stage here is called {', '.join(unknown)}: [run.{unknown[0]}] says nothing")
            return self._sites.get(stage)

    @contextlib.contextmanager
    def place(self, stage: str) -> Iterator[int]:
        """Hold one of the run folders of a stage: the lowest number that is free, from 1."""
        with self._guard:
            taken = self._places.setdefault(stage, set())
            number = next(each for each in itertools.count(1) if each not in taken)
            taken.add(number)
        try:
            yield number
        finally:
            with self._guard:
                taken.discard(number)

    def alone(self, what: str) -> threading.Lock:
        """The lock that lets one thread at a time in."""
        with self._guard:
            return self._alone.setdefault(what, threading.Lock())

    def hurry(self) -> None:
        """A signal came again: the commands that are being stopped get no more time."""
        if self._processes is not None:
            self._processes.hurry()
        if self._errands is not None:
            self._errands.hurry()

    def stop_all(self) -> None:
        """End every command that runs, by group."""
        if self._processes is not None:
            self._processes.stop_all()
        if self._errands is not None:
            self._errands.wait()

    def remote_at(self, url: str) -> Remote:
        """The remote store at a URL; its messages go to the report."""
        from ..keep.remote import Remote  # only what really runs pays for it

        def note(text: str) -> None:
            if self.report is not None:
                self.report.note(text)

        return Remote(url, note, lambda: self.stopping)
