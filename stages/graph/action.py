"""doit actions: what doit calls when a stage or a setup is not up to date."""

from __future__ import annotations

import time
from typing import Any

from doit.action import BaseAction
from doit.exceptions import TaskFailed

from .errors import GraphError
from .graph import Graph
from .stage import Setup, Stage


class _Action(BaseAction):
    """What doit expects of an action, but for the work itself."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph = graph
        self.name = name
        self.task: Any = None
        self.out = self.err = self.result = None
        self.values: dict[str, Any] = {}

    def work(self) -> str:
        """Do it; returns the outcome in a word or two."""
        raise NotImplementedError

    def usual_s(self) -> float | None:
        """How long it took last time, where that is known."""
        return None

    def execute(self, out: Any = None, err: Any = None) -> TaskFailed | None:
        """Called by doit. Errors that a person can mend become a TaskFailed with their message; others are defects
        and pass.
        """
        report = self.graph.report
        started = time.monotonic()
        if report is not None:
            report.started(self.name, self.usual_s())
        try:
            outcome = self.work()
        except (GraphError, OSError) as error:
            from .disk import described  # only what fails pays for it

            message = described(error, self.graph.build)
            message = message if message.startswith(("stage ", "setup ")) else f"stage {self.name}: {message}"
            if report is not None:
                report.ended(self.name, "failed", time.monotonic() - started)
            return TaskFailed(message)
        if report is not None:
            report.ended(self.name, outcome, time.monotonic() - started)
        return None


class StageAction(_Action):
    """Bring a stage up to date."""

    def __init__(self, graph: Graph, stage: Stage) -> None:
        super().__init__(graph, stage.name)
        self.stage = stage

    def work(self) -> str:
        """See builder.bring_up_to_date."""
        from .builder import bring_up_to_date  # only what really runs pays for it

        return bring_up_to_date(self.graph, self.stage)

    def usual_s(self) -> float | None:
        """By the receipt of the linked result."""
        receipt = self.graph.linked_receipt(self.stage)[1]
        return float(receipt["run"]["duration_s"]) if receipt else None


class SetupAction(_Action):
    """Install a tool."""

    def __init__(self, graph: Graph, setup: Setup) -> None:
        super().__init__(graph, f"setup:{setup.name}")
        self.setup = setup

    def work(self) -> str:
        """See builder.ensure."""
        from .builder import BUILT, ensure

        ensure(self.graph, self.setup)
        return BUILT
