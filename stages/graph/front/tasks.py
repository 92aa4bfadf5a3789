"""doit actions: what doit calls when a stage or a setup is not up to date."""

from __future__ import annotations

import time
from typing import Any

from doit.action import BaseAction
from doit.exceptions import TaskFailed

from ..decide.look import Graph
from ..declare.stage import Setup, Stage
from ..errors import GraphError


class _Action(BaseAction):
    """What doit expects of an action, but for `execute`."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.task: Any = None
        self.out = self.err = self.result = None
        self.values: dict[str, Any] = {}


class StageAction(_Action):
    """Bring a stage up to date."""

    def __init__(self, graph: Graph, stage: Stage) -> None:
        super().__init__(graph)
        self.stage = stage

    def execute(self, out: Any = None, err: Any = None) -> TaskFailed | None:
        """Called by doit. Errors that a person can mend become a TaskFailed with their message; others are defects
        and pass.
        """
        from ..decide.times import usual_s
        from ..run.build import bring_up_to_date  # only what really runs pays for it

        report, name, started = self.graph.report, self.stage.name, time.monotonic()
        if report is not None:
            report.started(name, usual_s(self.graph, self.stage))
        try:
            outcome = bring_up_to_date(self.graph, self.stage)
        except (GraphError, OSError) as error:
            from ..run.disk import described  # only what fails pays for it

            if report is not None:
                report.ended(name, "failed", time.monotonic() - started)
            message = described(error, self.graph.build)
            return TaskFailed(message if message.startswith(("stage ", "setup ")) else f"stage {name}: {message}")
        if report is not None:
            report.ended(name, outcome, time.monotonic() - started)
        return None


class SetupAction(_Action):
    """Install a tool."""

    def __init__(self, graph: Graph, setup: Setup) -> None:
        super().__init__(graph)
        self.setup = setup

    def execute(self, out: Any = None, err: Any = None) -> TaskFailed | None:
        """Called by doit. The installer itself tells the report."""
        from ..run.setup import ensure

        try:
            ensure(self.graph, self.setup)
        except (GraphError, OSError) as error:
            from ..run.disk import described

            return TaskFailed(described(error, self.graph.build))
        return None
