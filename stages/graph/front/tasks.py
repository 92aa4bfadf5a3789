"""doit's side of a graph: stages in, doit tasks out, whose `uptodate` looks and whose actions build."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import Signature
from typing import Any

from doit.action import BaseAction
from doit.exceptions import TaskFailed

from ..decide.look import Look
from ..declare.elsewhere import Elsewhere
from ..declare.experiments import Experiments
from ..declare.names import EXPERIMENTS
from ..declare.plan import Plan
from ..declare.stage import Setup, Stage
from ..errors import GraphError
from ..keep.receipt import Receipt
from ..keep.setting import read_setting
from ..run.session import Session

FOUND = ("cores", "memory_gb", "gpu")  # resources that the machine tells (run/slots.py)


class Graph:
    """Stages, what is known of them (`look`), and the run that builds them (`session`)."""

    def __init__(
        self,
        stages: Sequence[Stage],
        setups: Sequence[Setup] = (),
        *,
        root: os.PathLike[str] | str,
        build: os.PathLike[str] | str,
        path: Sequence[str] = (),
        grace_s: float = 10.0,
        store: str | None = None,
        remote: Callable[[], str | None] = lambda: None,
        experiments: Experiments | None = None,
        resources: Mapping[str, float] | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """`path`: folders before PATH for commands and tools. `grace_s`: time between SIGTERM and SIGKILL. `store`:
        used instead of the variable POCKETLM_STORE. `remote`: asked for the URL of the remote store when the
        first stage is built; the variable goes before it. `experiments`: what `doit exp` needs to know.
        `resources`: how much there is of what stages take, such as {"licenses": 2}; cores, memory_gb and gpu are found.
        `elsewhere`: where stages run that do not run here.

        Raises ValueError for stages or inputs that do not fit together, UsageError for a store that is neither off, a
        folder nor a URL.
        """
        if taken := [stage.name for stage in stages if stage.scope.partition(".")[0] == EXPERIMENTS]:
            raise ValueError(f"stage {taken[0]}: build/{EXPERIMENTS}/ is for the results of `doit exp run`")
        for stage in stages:
            for name in stage.resources:
                if name not in FOUND and name not in (resources or {}):
                    raise ValueError(
                        f"stage {stage.name} takes {name}: there are {', '.join(FOUND)}, and what Graph(resources=...) "
                        "names"
                    )
        setting = read_setting(store)
        self.plan = Plan(stages, setups, root=root, build=build, path=path)
        self.look = Look(self.plan, setting)
        self.experiments = experiments
        url = (lambda: setting.remote) if setting.given else remote
        self.session = Session(self.look, url, grace_s, resources, elsewhere)

    def tasks(self) -> Iterator[dict[str, Any]]:
        """The doit tasks: one a stage, in graph order, and `setup:NAME` for each setup."""
        for name in self.plan.order:
            stage = self.plan.stages[name]
            yield {
                "basename": name,
                "doc": stage.doc,
                "actions": [StageAction(self.session, stage)],
                "task_dep": sorted({output.stage for output in stage.inputs.values()}),
                "uptodate": [Freshness(self.session, stage)],
                "io": {"capture": False},
                "meta": {"graph": self, "stage": name},
            }
        if self.plan.setups:
            yield {"basename": "setup", "name": None, "doc": "Install every tool that some stage needs."}
        for setup in self.plan.setups.values():
            yield {
                "basename": "setup",
                "name": setup.name,
                "doc": setup.doc,
                "actions": [SetupAction(self.session, setup)],
                "uptodate": [(setup.is_ready, [])],
                "io": {"capture": False},
                "meta": {"graph": self, "setup": setup.name},
            }

    def receipt_at_remote(self, key: str) -> Receipt | None:
        """The receipt that the remote store has for a key, for `why`. Its troubles are reported on stderr."""
        remote = self.session.remote
        if remote is None:
            return None
        if self.session.report is None:
            from ..show.report import Report

            self.session.report = Report(sys.stderr)
        return remote.receipt(key)

    def doit_config(self) -> dict[str, Any]:
        """What DOIT_CONFIG must hold: no state file (the store is the truth), threads for `-n`."""
        return {"backend": "sqlite3", "dep_file": ":memory:", "par_type": "thread", "verbosity": 2}


class Freshness:
    """The `uptodate` of a stage. Writes nothing. An error is left for the action to report.

    Not a function: doit asks for its signature before every call, which for a function costs as much as half the look.
    """

    __signature__ = Signature()

    def __init__(self, session: Session, stage: Stage) -> None:
        self.session = session
        self.stage = stage

    def __call__(self) -> bool:
        """Whether the stage's result is current."""
        return self.stage.name not in self.session.anew and self.session.look.state(self.stage).fresh


class _Action(BaseAction):
    """What doit expects of an action, but for `execute`."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.task: Any = None
        self.out = self.err = self.result = None
        self.values: dict[str, Any] = {}


class StageAction(_Action):
    """Bring a stage up to date."""

    def __init__(self, session: Session, stage: Stage) -> None:
        super().__init__(session)
        self.stage = stage

    def execute(self, out: Any = None, err: Any = None) -> TaskFailed | None:
        """Called by doit. Errors that a person can solve become a TaskFailed with their message; others are defects and
        propagate.
        """
        from ..decide.times import usual_s
        from ..run.build import bring_up_to_date  # only what really runs pays for it

        report, name, started = self.session.report, self.stage.name, time.monotonic()
        if report is not None:
            report.started(name, usual_s(self.session.look, self.stage))
        try:
            outcome = bring_up_to_date(self.session, self.stage)
        except (GraphError, OSError) as error:
            from ..run.disk import described  # only what fails pays for it

            if report is not None:
                report.ended(name, "failed", time.monotonic() - started)
            message = described(error, self.session.plan.build)
            return TaskFailed(message if message.startswith(("stage ", "setup ")) else f"stage {name}: {message}")
        if report is not None:
            report.ended(name, outcome, time.monotonic() - started)
        return None


class SetupAction(_Action):
    """Install a tool."""

    def __init__(self, session: Session, setup: Setup) -> None:
        super().__init__(session)
        self.setup = setup

    def execute(self, out: Any = None, err: Any = None) -> TaskFailed | None:
        """Called by doit. `ensure` informs the report itself."""
        from ..run.setup import ensure

        try:
            ensure(self.session, self.setup)
        except (GraphError, OSError) as error:
            from ..run.disk import described

            return TaskFailed(described(error, self.session.plan.build))
        return None
