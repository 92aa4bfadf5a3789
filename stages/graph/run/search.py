"""A search: ranges and lists of values in, choices out, one after another, each proposed by what came out so far.

The sampler is optuna's, and forgets everything between two proposals: it is told anew what the store has and what runs
now. So a search that was killed goes on from the store when it is started again, and results that another run made
count too. A proposal depends on the seed, on how many choices there were before and on their metrics, and on nothing
else: one at a time, a search that was interrupted makes the same choices as one that was not.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ..declare.experiments import Range, Words
from ..declare.names import RECEIPT
from ..declare.plan import Plan
from ..declare.stage import Stage
from ..errors import UsageError
from ..manage.results import Results, read_metrics
from .experiment import DONE, FAILED, NOT_VALID, WAITING, Choice, ExperimentRun

SAMPLERS = ("tpe", "random")
DIGITS = 4  # of a number from a range: words that people can type again
TRIES = 64  # proposals of what was there already, after which a space counts as exhausted; the last ones are random
OWN_TRIES = 4

Axes = Mapping[str, Sequence[str] | Range]


@dataclass(frozen=True)
class Goal:
    """What is to become small, or large."""

    name: str  # as typed
    stage: Stage  # whose metric it is
    metric: str
    maximise: bool = False


def goal_of(name: str, maximise: bool, plan: Plan, stage: str) -> Goal:
    """`val_bpb`: of the stage whose results are compared; `evaluate.test_bpb`: of another one.

    Raises UsageError where no such metric is declared.
    """
    other, dot, metric = name.partition(".")
    owner = plan.stages[other] if dot and other in plan.stages else plan.stages[stage]
    metric = metric if owner.name != stage else name
    if metric not in owner.metrics:
        raise UsageError(f"{owner.name} has no metric {metric}; there are: {', '.join(owner.metrics) or 'none'}")
    return Goal(name, owner, metric, maximise)


class Search:
    """The choices of one search. It may be asked by one thread at a time."""

    def __init__(
        self, run: ExperimentRun, axes: Axes, goal: Goal, *, sampler: str, trials: int, seed: int, optuna: ModuleType
    ) -> None:
        """run: has no choices yet, and builds the goal's stage. trials: how many choices there shall be in all, those
        that the store has a result for among them.
        """
        self.run, self.axes, self.goal, self.trials = run, axes, goal, trials
        self._sampler, self._seed, self._optuna = sampler, seed, optuna
        run.total = trials
        optuna.logging.set_verbosity(optuna.logging.WARNING)

    def take_up(self) -> None:
        """Begin with what the store has, the oldest first."""
        results, looked_at = Results(self.run.base), list[Words]()
        there = results.of(self.run.experiments.stage)
        for receipt in sorted(there, key=lambda each: self._made(each["key"])):
            for words in words_of(self.axes, results.parameters(receipt)):
                if words in looked_at or len(self.run.choices) == self.trials:
                    continue
                looked_at.append(words)
                choice = self.run.choice(len(self.run.choices) + 1, words)
                if choice.state == WAITING and self.run.has_result(choice):
                    self.run.choices.append(choice)

    def next(self) -> Choice | None:
        """The next choice, one that is valid; None where there are enough, or the space has no more."""
        while len(self.run.choices) < self.trials:
            seen = [choice.words for choice in self.run.choices]
            words = next((each for each in self._proposals() if each not in seen), None)
            if words is None:
                self.run.total = len(self.run.choices)
                return None
            choice = self.run.choice(len(self.run.choices) + 1, words)
            self.run.choices.append(choice)
            self._foresee(choice)
            if choice.state != NOT_VALID:
                return choice
        return None

    def value(self, choice: Choice) -> float | None:
        """The metric of a choice; None where it has none yet, or none that is a number."""
        key, store = choice.keys.get(self.goal.stage.name), self.run.base.store
        receipt = None if key is None else store.receipt(key)
        if key is None or receipt is None:
            return None
        found = read_metrics(self.goal.stage, receipt, store.entry(key)).get(self.goal.metric)
        return found if found is not None and math.isfinite(found) else None

    def best(self) -> tuple[Choice, float] | None:
        """The choice that came nearest to the goal."""
        found = [(choice, value) for choice in self.run.choices if (value := self.value(choice)) is not None]
        best = max if self.goal.maximise else min
        return best(found, key=lambda each: each[1]) if found else None

    def _foresee(self, choice: Choice) -> None:
        """Tell what is ahead: this choice, and as many unknown ones as will follow."""
        left = self.trials - len(self.run.choices)
        self.run.ahead.more = dict.fromkeys(self.run.stages, left) if left else {}
        if choice.plan is not None:
            self.run.ahead.expect(choice.plan, self.run.stages)

    def _proposals(self) -> Iterator[Words]:
        """What the sampler proposes next; if that is not wanted, what else."""
        optuna = self._optuna
        spaces = {name: self._distribution(values) for name, values in self.axes.items()}
        choices = sorted(self.run.choices, key=lambda choice: self._made(choice.key))
        told = [trial for choice in choices if (trial := self._trial(choice, spaces)) is not None]
        for attempt in range(TRIES):
            drawn = random.Random(f"{self._seed}/{len(self.run.choices)}/{attempt}").randrange(2**32)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                if self._sampler == "tpe" and attempt < OWN_TRIES:
                    sampler = optuna.samplers.TPESampler(seed=drawn, constant_liar=True)
                else:
                    sampler = optuna.samplers.RandomSampler(seed=drawn)
                study = optuna.create_study(direction="maximize" if self.goal.maximise else "minimize", sampler=sampler)
                study.add_trials(told)
                proposed = study.ask(spaces).params
            yield {name: _text(values, proposed[name]) for name, values in self.axes.items()}

    def _made(self, key: str | None) -> float:
        """When a result was made, not when this run came upon it: the same order in every run. Last what is not yet."""
        try:
            return os.stat(f"{self.run.base.store.entry(key)}/{RECEIPT}").st_mtime_ns if key else math.inf
        except FileNotFoundError:
            return math.inf

    def _distribution(self, values: Sequence[str] | Range) -> Any:
        kinds = self._optuna.distributions
        if not isinstance(values, Range):
            return kinds.CategoricalDistribution(tuple(values))
        if values.whole:
            return kinds.IntDistribution(int(values.low), int(values.high), log=values.log)
        return kinds.FloatDistribution(values.low, values.high, log=values.log)

    def _trial(self, choice: Choice, spaces: Mapping[str, Any]) -> Any:
        """A choice as optuna knows it: done with its value, or running. Of one that failed it hears nothing."""
        value = self.value(choice) if choice.state == DONE else None
        if choice.state in (FAILED, NOT_VALID) or (choice.state == DONE and value is None):
            return None
        params: dict[str, Any] = dict(choice.words)
        for name, values in self.axes.items():
            if isinstance(values, Range):
                params[name] = int(params[name]) if values.whole else float(params[name])
        states = self._optuna.trial.TrialState
        return self._optuna.trial.create_trial(
            state=states.RUNNING if value is None else states.COMPLETE,
            value=value,
            params=params,
            distributions=dict(spaces),
        )


def words_of(axes: Axes, params: Mapping[str, Any]) -> Iterator[Words]:
    """The words that could have led to a result with these parameters: none where it lies outside; more than one where
    a word is no parameter.
    """
    candidates = [_texts(values, params.get(name)) for name, values in axes.items()]
    for texts in itertools.product(*candidates):
        yield dict(zip(axes, texts))


def _texts(values: Sequence[str] | Range, value: Any) -> Sequence[str]:
    if isinstance(values, Range):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = number and values.low <= value <= values.high and (not values.whole or value == int(value))
        return [values.text(value)] if fits else []
    return values if value is None else [text for text in values if _means(text, value)]


def _means(text: str, value: Any) -> bool:
    """Whether a word is that value."""
    try:
        return bool(json.loads(text) == value)
    except ValueError:
        return text == str(value)


def _text(values: Sequence[str] | Range, proposed: Any) -> str:
    """The word of a proposed value."""
    if not isinstance(values, Range):
        return str(proposed)
    rounded = proposed if values.whole else float(f"{proposed:.{DIGITS}g}")
    return values.text(min(max(rounded, values.low), values.high))
