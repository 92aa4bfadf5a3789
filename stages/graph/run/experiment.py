"""Experiments: choices of parameters in, one result each out, built one after another under one lock.

Each choice is a plan of its own, linked in the scope EXPERIMENTS, so no preset's links move. What several choices share
is built once, since its key is the same; what is in the store is not built again, so a run that was killed goes on when
it is started again. A failed choice does not stop the others. Results are pinned as soon as they are there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from ..decide.look import Look
from ..decide.times import usual_s
from ..decide.why import FRESH, FROM_STORE, explain
from ..declare.experiments import Experiments, Words, words_text
from ..declare.names import EXPERIMENTS
from ..declare.plan import Plan
from ..errors import GraphError
from ..keep import attempts, links, names
from . import build, disk
from .session import Session

DONE, FAILED, NOT_VALID, WAITING = "done", "failed", "not valid", "not run"


@dataclass
class Choice:
    """One combination of values, and what became of it."""

    number: int  # from 1
    words: Words
    plan: Plan | None = None  # None where the words are not valid
    state: str = WAITING
    message: str = ""  # why it failed
    evidence: str = ""  # what `doit log` and `doit shell` call its failed command
    key: str | None = None  # of its result
    built: list[str] = field(default_factory=list)  # the stages whose command ran

    @property
    def failed(self) -> bool:
        """Whether it has no result and will have none without a change."""
        return self.state in (FAILED, NOT_VALID)


class ExperimentRun:
    """The choices of one `doit exp run`. The caller holds the lock."""

    def __init__(
        self, session: Session, experiments: Experiments, choices: Sequence[Words], also: Sequence[str] = ()
    ) -> None:
        """`also`: more stages that are built of each choice."""
        self.session, self.base, self.experiments = session, session.look, experiments
        self.stages = (experiments.stage, *also)
        self.choices = [self._choice(number, words) for number, words in enumerate(choices, 1)]
        self._broken: dict[tuple[str, str], str] = {}  # (stage, key) -> how it failed
        self._tried: dict[str, str] = {}  # key of a result of a short run -> stage

    def _choice(self, number: int, words: Words) -> Choice:
        try:
            return Choice(number, words, self._plan(words))
        except (ValueError, GraphError) as error:
            return Choice(number, words, state=NOT_VALID, message=str(error))

    def _plan(self, words: Words) -> Plan:
        """The plan of a choice: the project's stages, linked where they disturb nothing."""
        base = self.base.plan
        stages = [replace(stage, scope=EXPERIMENTS, links={}) for stage in self.experiments.variant(words)]
        plan = Plan(stages, list(base.setups.values()), root=base.root, build=base.build, path=base.path)
        for name in self.stages:
            if name not in plan.stages:
                raise ValueError(f"there is no stage {name} in this choice")
        return plan

    def run(self, name: str = "", smoke: bool = False) -> None:
        """Build every choice; first, where asked, a short run of each that has no result yet.

        name: results are called NAME-1, NAME-2, ... by their place among the choices.
        """
        try:
            if smoke:
                for choice in self._waiting():
                    if not self.has_result(choice):
                        self._try(choice)
            for choice in self._waiting():
                self._headline(choice, "")
                self._build(choice, choice.plan, choice.built)
                if choice.failed:
                    continue
                choice.state = DONE
                choice.key = links.linked_key(self.base.plan.build, EXPERIMENTS, self.experiments.stage)
                assert choice.key is not None
                for stage in self.stages:
                    names.pin(self.base.plan.build, str(links.linked_key(self.base.plan.build, EXPERIMENTS, stage)))
                if name:
                    names.give_name(self.base.plan.build, f"{name}-{choice.number}", choice.key)
        finally:
            self.session.turn_to(self.base)
            self._forget_tried()

    def _waiting(self) -> Iterator[Choice]:
        return (choice for choice in self.choices if choice.state == WAITING)

    def _headline(self, choice: Choice, what: str) -> None:
        if self.session.report is not None:
            self.session.report.note(f"── {choice.number}/{len(self.choices)}{what}  {words_text(choice.words)}")

    def has_result(self, choice: Choice) -> bool:
        assert choice.plan is not None
        found = explain(self.base.beside(choice.plan), [self.experiments.stage])[-1]
        return found.state in (FRESH, FROM_STORE)

    def _try(self, choice: Choice) -> None:
        """A short run of a choice. Its result is removed at the end, unless it was there before."""
        words = {**choice.words, **self.experiments.smoke}
        self._headline(choice, ", short")
        built: list[str] = []
        try:
            plan = self._plan(words)
        except (ValueError, GraphError) as error:
            choice.state, choice.message = NOT_VALID, f"as a short run: {error}"
            return
        self._build(choice, plan, built)
        for stage in self.stages:
            key = links.linked_key(plan.build, EXPERIMENTS, stage)
            if stage in built and key is not None:
                self._tried[key] = stage

    def _build(self, choice: Choice, plan: Plan | None, built: list[str]) -> None:
        """Bring all stages of a plan up to date; a failure is noted in the choice."""
        assert plan is not None
        look = self.base.beside(plan)
        self.session.turn_to(look)
        for name in plan.chain(self.stages):
            state = look.state(plan.stages[name])
            if state.fresh:
                continue
            failure = self._broken.get((name, state.key or ""))
            if failure is None:
                outcome, failure = self._stage(look, name)
                if outcome == build.BUILT:
                    built.append(name)
            if failure is not None:
                if state.key is not None:
                    self._broken[name, state.key] = failure
                choice.state, choice.message = FAILED, failure
                apart = attempts.apart_name(name, state.key or "")
                if os.path.isdir(f"{plan.build}/run/{apart}"):
                    choice.evidence = apart
                return

    def _stage(self, look: Look, name: str) -> tuple[str, str | None]:
        """(outcome, how it failed) of one stage."""
        stage, report, started = look.plan.stages[name], self.session.report, time.monotonic()
        if report is not None:
            report.started(name, usual_s(look, stage))
        failure = None
        try:
            outcome = build.bring_up_to_date(self.session, stage, apart=True)
        except (GraphError, OSError) as error:
            outcome, failure = "failed", disk.described(error, look.plan.build)
        if report is not None:
            report.ended(name, outcome, time.monotonic() - started)
        return outcome, failure

    def _forget_tried(self) -> None:
        """Remove the results of short runs that nothing else uses."""
        kept = {choice.key for choice in self.choices}
        for key, stage in self._tried.items():
            here = f"{EXPERIMENTS}/.current/{stage}"
            if key in kept or [link for link in links.links_to(self.base.plan.build, key) if link != here]:
                continue
            if links.linked_key(self.base.plan.build, EXPERIMENTS, stage) == key:
                links.unlink(self.base.plan.build, EXPERIMENTS, stage, {})
            self.base.store.remove(key)


def last_line(message: str) -> str:
    """What a failure says, in one line: the last one that a command printed, else the first of the message."""
    lines = message.splitlines()
    printed = [line.strip() for line in lines if line.startswith("    ")]
    return (printed or lines or [""])[-1 if printed else 0]
