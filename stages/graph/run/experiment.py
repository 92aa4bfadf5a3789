"""Experiments: choices of parameters in, one result each out, built under one lock, several at a time where asked.

Each choice is a plan of its own, linked in the scope EXPERIMENTS, so no preset's links move. What several choices share
is built once, since its key is the same; what is in the store is not built again, so a run that was killed goes on when
it is started again. A failed choice does not stop the others. Results are pinned as soon as they are there.

Several at a time: each thread takes the next choice and links its stages in a scope of its own, EXPERIMENTS.2 and so
on, which goes at the end. A result that two choices need is made by the one that comes first; the other waits for it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from ..decide.look import Look
from ..decide.times import usual_s
from ..decide.why import FRESH, FROM_STORE, explain
from ..declare.experiments import Experiments, Words, words_text
from ..declare.names import EXPERIMENTS
from ..declare.plan import Plan
from ..errors import GraphError
from ..keep import attempts, links, names
from ..keep.store import remove_tree
from . import build, disk
from .ahead import Ahead, pieces_of
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
    keys: dict[str, str] = field(default_factory=dict)  # stage -> the key of its result, of all that were asked for
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
        self.stages = tuple(dict.fromkeys((experiments.stage, *also)))
        self.choices = [self.choice(number, words) for number, words in enumerate(choices, 1)]
        self.total = len(self.choices)  # how many there will be
        self.ahead = Ahead(self.base)
        self._broken: dict[tuple[str, str], str] = {}  # (stage, key) -> how it failed
        self._guard = threading.Lock()  # of names and pins
        self._labelled = False  # several at a time: reports say which choice a stage belongs to
        self._tried: dict[str, str] = {}  # key of a result of a short run -> stage

    def choice(self, number: int, words: Words) -> Choice:
        """A choice that does not count yet."""
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

    def run(
        self, name: str = "", smoke: bool = False, at_once: int = 1, more: Callable[[], Choice | None] | None = None
    ) -> None:
        """Build every choice; first, where asked, a short run of each that has no result yet.

        name: results are called NAME-1, NAME-2, ... by their place among the choices. at_once: how many at a time.
        more: asked for further choices, one thread at a time, until there is none.
        """
        self._labelled = at_once > 1
        self.session.slots.limit(at_once)
        self.ahead.at_once = at_once
        for choice in self.choices:
            if choice.plan is not None:
                self.ahead.expect(choice.plan, self.stages)
        try:
            if smoke:
                self._each(at_once, self._try)
            self._each(at_once, lambda choice, scope: self._finish(choice, scope, name))
            if more is not None:

                def go_on(choice: Choice, scope: str) -> None:
                    if smoke:
                        self._try(choice, scope)
                    if not choice.failed:
                        self._finish(choice, scope, name)

                self._each(at_once, go_on, more)
        finally:
            self._forget_scopes()
            self._forget_tried()

    def _each(
        self, at_once: int, work: Callable[[Choice, str], None], more: Callable[[], Choice | None] | None = None
    ) -> None:
        """Do something with each choice that has no result yet and did not fail, given the scope of its links; or with
        each that `more` gives.
        """
        waiting = (
            iter([choice for choice in self.choices if choice.state == WAITING]) if more is None else iter(more, None)
        )
        if at_once == 1:
            for choice in waiting:
                work(choice, EXPERIMENTS)
            return
        defects: list[BaseException] = []

        def take(scope: str) -> None:
            try:
                while not defects and not self.session.stopping:
                    with self._guard:
                        choice = next(waiting, None)
                    if choice is None:
                        return
                    work(choice, scope)
            except BaseException as error:
                defects.append(error)

        threads = [threading.Thread(target=take, args=(scope,)) for scope in scopes(at_once)]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except BaseException:  # Ctrl-C comes to this thread
            self.session.stop_all()
            for thread in threads:
                thread.join()
            raise
        if defects:
            raise defects[0]

    def _finish(self, choice: Choice, scope: str, name: str) -> None:
        """Build a choice, pin its results and name the one that is compared."""
        assert choice.plan is not None
        self._headline(choice, "")
        self._build(choice, choice.plan, scope, choice.built)
        self.ahead.drop(choice.plan, self.stages)
        if choice.failed:
            return
        build_folder = self.base.plan.build
        with self._guard:
            for stage in self.stages:
                choice.keys[stage] = str(links.linked_key(build_folder, scope, stage))
                names.pin(build_folder, choice.keys[stage])
            choice.key = choice.keys[self.experiments.stage]
            if name:
                names.give_name(build_folder, f"{name}-{choice.number}", choice.key)
        choice.state = DONE

    def _headline(self, choice: Choice, what: str) -> None:
        if self.session.report is not None:
            self.session.report.note(f"── {choice.number}/{self.total}{what}  {words_text(choice.words)}")

    def has_result(self, choice: Choice) -> bool:
        """Whether the store has what a choice would build, but for the stages asked for beside it."""
        assert choice.plan is not None
        found = explain(self.base.beside(choice.plan), [self.experiments.stage])[-1]
        return found.state in (FRESH, FROM_STORE)

    def _try(self, choice: Choice, scope: str) -> None:
        """A short run of a choice that has no result yet. Its own is removed at the end, unless it was there before."""
        if self.has_result(choice):
            return
        words = {**choice.words, **self.experiments.smoke}
        self._headline(choice, ", short")
        built: list[str] = []
        try:
            plan = self._plan(words)
        except (ValueError, GraphError) as error:
            choice.state, choice.message = NOT_VALID, f"as a short run: {error}"
            return
        self._build(choice, plan, scope, built)
        for stage in self.stages:
            key = links.linked_key(plan.build, scope, stage)
            if stage in built and key is not None:
                self._tried[key] = stage

    def _build(self, choice: Choice, plan: Plan, scope: str, built: list[str]) -> None:
        """Bring all stages of a plan up to date; a failure is noted in the choice."""
        look = self.base.beside(plan if scope == EXPERIMENTS else _linked_in(plan, scope))
        pieces = pieces_of(plan, self.stages)
        for name in plan.chain(self.stages):
            state = look.state(look.plan.stages[name])
            if state.fresh:
                continue
            made = name, state.key or ""
            with self.session.alone(f"{name} {made[1]}"):
                failure = self._broken.get(made)
                if failure is None:
                    self.ahead.started(pieces[name])
                    outcome, failure = self._stage(look, name, choice)
                    self.ahead.ended(pieces[name], outcome == build.BUILT)
                    if outcome == build.BUILT:
                        built.append(name)
                if failure is not None and state.key is not None:
                    self._broken[made] = failure
            if failure is not None:
                choice.state, choice.message = FAILED, failure
                apart = attempts.apart_name(*made)
                if os.path.isdir(f"{plan.build}/run/{apart}"):
                    choice.evidence = apart
                return

    def _stage(self, look: Look, name: str, choice: Choice) -> tuple[str, str | None]:
        """(outcome, how it failed) of one stage."""
        stage, report, started = look.plan.stages[name], self.session.report, time.monotonic()
        label = f"{name} {choice.number}" if self._labelled else name
        if report is not None:
            report.started(label, usual_s(look, stage))
        failure = None
        try:
            outcome = build.bring_up_to_date(self.session, stage, look, label=label, apart=True)
        except (GraphError, OSError) as error:
            outcome, failure = "failed", disk.described(error, look.plan.build)
        if report is not None:
            report.ended(label, outcome, time.monotonic() - started)
        return outcome, failure

    def _forget_scopes(self) -> None:
        """Remove the links of all threads but the first; those of a run that was killed too."""
        for folder in os.listdir(self.base.plan.build):
            if folder.startswith(f"{EXPERIMENTS}."):
                remove_tree(f"{self.base.plan.build}/{folder}")

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


def scopes(at_once: int) -> list[str]:
    """Where each thread links its stages."""
    return [EXPERIMENTS, *(f"{EXPERIMENTS}.{number}" for number in range(2, at_once + 1))]


def _linked_in(plan: Plan, scope: str) -> Plan:
    """The same plan, its links in another scope."""
    stages = [replace(stage, scope=scope) for stage in plan.stages.values()]
    return Plan(stages, list(plan.setups.values()), root=plan.root, build=plan.build, path=plan.path)


def last_line(message: str) -> str:
    """What a failure says, in one line: the last one that a command printed, else the first of the message."""
    lines = message.splitlines()
    printed = [line.strip() for line in lines if line.startswith("    ")]
    return (printed or lines or [""])[-1 if printed else 0]
