"""What the words after `doit exp` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..declare.experiments import Experiments
from ..errors import UsageError
from .base import EXPERIMENT, Command

if TYPE_CHECKING:
    from ..manage.results import Results
    from ..manage.rows import Row


class Chosen(NamedTuple):
    """The results that a command is about."""

    results: Results
    stage: str
    rows: list[Row]
    hidden: int  # how many more the store has, neither named nor pinned


class Part(Command):
    """One word after `doit exp`."""

    section = EXPERIMENT
    options_anywhere = True

    def experiments(self) -> Experiments:
        """What the project says of its experiments. Raises UsageError where it says nothing."""
        found = self.graph().experiments
        if found is None:
            raise UsageError("this project declares no experiments: give Graph(..., experiments=Experiments(...))")
        return found

    def chosen(self, pos_args: Any, every: bool, condition: str) -> Chosen:
        """The kept results of a stage, else of the experiments', and the one of the chosen preset; or every one.

        Raises UsageError for more than one name, one that is no stage, and a condition that is none.
        """
        from ..keep.links import linked_key
        from ..manage.results import Results
        from ..manage.rows import rows_of, select

        if len(pos_args or ()) > 1:
            raise UsageError(f"{self.name} takes one stage")
        graph = self.graph()
        stage = pos_args[0] if pos_args else self.experiments().stage
        results = Results(graph.look)
        there = results.of(stage)
        if pos_args and not there:
            self.stage_names(pos_args)  # a misspelt name
        declared = graph.plan.stages.get(stage)
        here = None if declared is None else linked_key(graph.plan.build, declared.scope, stage)
        kept = there if every else [each for each in there if results.is_kept(each["key"]) or each["key"] == here]
        rows = rows_of(results, kept)
        return Chosen(results, stage, select(rows, condition) if condition else rows, len(there) - len(kept))
