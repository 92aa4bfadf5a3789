"""The half of `doit exp run` that is about --sampler: options in, a search out; and what is said at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from ..declare.experiments import Experiments, Range, words_text
from ..errors import UsageError
from .tasks import Graph

if TYPE_CHECKING:
    from ..run.experiment import ExperimentRun
    from ..run.search import Search


@dataclass(frozen=True)
class Asked:
    """The options, as typed."""

    axes: Mapping[str, list[str] | Range]
    sampler: str
    goal: str
    maximise: bool
    trials: int
    seed: int

    def check(self, random: int) -> None:
        """Raises UsageError where they do not fit together. random: of --random."""
        ranges = [name for name, values in self.axes.items() if isinstance(values, Range)]
        if not self.sampler:
            if ranges:
                raise UsageError(
                    f"{ranges[0]} has a range, and a grid needs values: list them, or add "
                    "--sampler tpe --goal METRIC --trials N"
                )
            if self.goal or self.maximise or self.trials:
                raise UsageError("--goal, --maximise and --trials are for --sampler")
            return
        from ..run.search import SAMPLERS

        if self.sampler not in SAMPLERS:
            raise UsageError(f"there is no sampler {self.sampler}; there are: {', '.join(SAMPLERS)}")
        if not self.goal or self.trials < 1:
            raise UsageError(f"--sampler {self.sampler} needs --goal METRIC and --trials N")
        if random:
            raise UsageError("--random draws from a grid; a search by chance alone is --sampler random")
        if not self.axes:
            raise UsageError("say between what to choose: NAME=LOW..HIGH, or NAME=VALUE,VALUE")


def begin(graph: Graph, experiments: Experiments, asked: Asked, also: Sequence[str], stream: TextIO) -> Search:
    """The search that was asked for, begun with what the store has. The caller holds the lock.

    Raises UsageError for a goal that no stage declares, and for parameters that there are not; GraphError where the
    sampler's package cannot be had.
    """
    from ..run.experiment import ExperimentRun
    from ..run.search import Search, goal_of
    from .extra import extra

    goal = goal_of(asked.goal, asked.maximise, graph.plan, experiments.stage)
    run = ExperimentRun(graph.session, experiments, [], [*also, goal.stage.name])
    _check_ends(run, asked)
    optuna = extra(graph, "optuna", "--sampler")
    for name, values in asked.axes.items():
        stream.write(f"{name}: {values if isinstance(values, Range) else ', '.join(values)}\n")
    search = Search(run, asked.axes, goal, sampler=asked.sampler, trials=asked.trials, seed=asked.seed, optuna=optuna)
    search.take_up()
    if there := len(run.choices):
        stream.write(f"{there} of {asked.trials} are in the store\n")
    stream.flush()
    return search


def _check_ends(run: ExperimentRun, asked: Asked) -> None:
    """Raises UsageError where neither the first values of all axes nor the last are a choice: a misspelt name."""
    ends = {
        name: [values.text(values.low), values.text(values.high)] if isinstance(values, Range) else values
        for name, values in asked.axes.items()
    }
    corners = [run.choice(1, {name: each[at] for name, each in ends.items()}) for at in (0, -1)]
    if all(choice.failed for choice in corners):
        raise UsageError(corners[0].message)


def say_best(search: Search, stream: TextIO) -> None:
    """What came nearest to the goal, at the end."""
    from ..show.results_text import value_text

    if (made := len(search.run.choices)) < search.trials:
        stream.write(f"the sampler found nothing to propose beside these {made}; {search.trials} were wanted\n")
    if (best := search.best()) is not None:
        choice, value = best
        stream.write(f"best {search.goal.name}: {value_text(value)} with {words_text(choice.words)}\n")
