"""Bringing one stage up to date: take a snapshot, make the key from it, then link what the store has, or run the
command and publish.

Snapshot, then key, then run: the result is filed under what was really read, so editing the project meanwhile is
harmless. A crash at any point leaves the old result or the new one.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..decide.key import Components, partial_name
from ..decide.look import Input, Look, State
from ..declare.names import LOG
from ..declare.site import Site
from ..declare.stage import Ended, Stage, expand_placeholders, nested
from ..errors import GraphError, Interrupted, StageFailed
from ..keep import attempts, links, store, texts
from ..keep.receipt import VERSION as RECEIPT_VERSION
from ..read import environment
from ..read.expand import Expansion
from ..read.tree import View
from . import audit, disk, snapshot
from .session import Session
from .setup import ensure

if TYPE_CHECKING:
    from .elsewhere.errand import Errand

SAVE_EVERY_S = 2.0  # a kill loses the digests of at most so many seconds; the end of a run saves all
BUILT, FROM_STORE, HELD = "built", "from the store", "held"


def bring_up_to_date(
    session: Session, stage: Stage, look: Look | None = None, *, label: str = "", apart: bool = False
) -> str:
    """Make the stage's link name the result of the current key; returns BUILT, FROM_STORE or HELD.

    look: where the stage belongs to another plan than the session's. label: what the report calls it. apart: what a
    failure leaves moves out of the way of the same stage's next command (keep/attempts.py).

    Raises StageFailed if the command fails, GraphError where an input or a source is missing, OSError for a full
    disk and the like.
    """
    look = look or session.look
    if look.held(stage) is not None and (state := look.state(stage)).held:
        if state.fresh:
            return HELD
        what = state.reasons[0].text()
        raise StageFailed(f"it is held at a damaged result ({what}); `doit use --today {stage.name}` lets it go")
    seen = look.seen(stage)
    look.invalidate()
    try:
        with session.place(stage.name) as number:
            return _Build(session, look, stage, number, label or stage.name, apart).run(seen)
    finally:
        look.invalidate()
        look.cache.save(SAVE_EVERY_S)


class _Build:
    """One stage being brought up to date."""

    def __init__(
        self, session: Session, look: Look, stage: Stage, number: int = 1, label: str = "", apart: bool = False
    ) -> None:
        """number: from 1, of the commands of this stage that run now."""
        self.session, self.look, self.stage, self.store = session, look, stage, look.store
        self.label, self.apart = label, apart
        self.name = attempts.folder_name(stage.name, number)
        self.folder = f"{look.plan.build}/run/{self.name}"
        self.snapshot = f"{self.folder}/src"
        self.log = f"{self.folder}/log.txt"
        self.inputs: dict[str, Input] = {}
        self.full = False  # the command failed for want of room: what it made must go
        self.site: Site | None = None  # where the command runs; None: here, as it is
        self.errand: Errand | None = None  # the command, where it runs on another machine

    def run(self, seen: tuple[Expansion, View] | None) -> str:
        """`seen`: the sources as an earlier look has found them."""
        links.check_free(self.look.plan.build, self.stage.scope, self.stage.name, self.stage.links)
        self.inputs = self._inputs()
        sources = snapshot.take(self.stage.sources, seen, self.look.new_view, self.snapshot, self.look.cache)
        state = self._evaluate(sources)
        if self._reuse(state):
            attempts.forget(self.look.plan.build, self.folder, self.stage.name, str(state.key), log=True)
            return FROM_STORE
        self.site = self.session.site(self.stage.name)
        needs = self.stage.needs if self.site is None or self.site.is_here else ()
        installed = [ensure(self.session, setup, self.stage.background) for setup in needs]
        if any(installed) or state.missing_tools:
            self.look.invalidate()
            state = self._evaluate(sources)
            if state.missing_tools:
                raise StageFailed(f"not found on PATH: {', '.join(state.missing_tools)}")
            if self._reuse(state):
                return FROM_STORE
        assert state.components is not None
        partial = self._partial(state.components)
        with self.session.alone(partial) if self.stage.resumable else contextlib.nullcontext():
            self._execute(state, sources, partial)
        return BUILT

    def _inputs(self) -> dict[str, Input]:
        """Each input; its files are checked against its digest."""
        found = self.look.inputs(self.stage)
        for name, output in self.stage.inputs.items():
            key, receipt = self.look.linked(self.look.plan.stages[output.stage])
            if key is None or receipt is None or found[name].digest is None:
                missing = f"its input {name} is {output.path or 'what'} of {output.stage}, which has no result"
                raise StageFailed(f"{missing}; run `doit {output.stage}`")
            for wrong, expected, actual in self.store.problems(key, receipt):
                if output.path in (wrong, ""):
                    damage = f"{wrong} of {output.stage}, is corrupt: {expected[:10]} → {actual[:10]}"
                    raise StageFailed(f"its input {name}, {damage}; run `doit {output.stage}`")
        return found

    def _origins(self) -> dict[str, dict[str, str | None]]:
        """Which result each input came from this time: results of different keys may be equal."""
        return {
            name: {"stage": output.stage, "output": output.path, "key": self.inputs[name].key}
            for name, output in self.stage.inputs.items()
        }

    def _evaluate(self, sources: Expansion) -> State:
        state = self.look.evaluate(self.stage, self.inputs, sources)
        for reason in state.reasons:
            if reason.kind == "error":
                raise GraphError(reason.name)
        return state

    def _reuse(self, state: State) -> bool:
        """Link an intact result of this key, if the store, the shared or the remote store has one; returns whether."""
        anew = self.session.runs_anew(self.stage.name)
        found = None if anew else self.look.reusable(self.stage, state)
        if found is not None:
            where, receipt = found
            if where is self.store or self.store.import_from(receipt["key"], where):
                self._link(receipt["key"])
                if state.components is not None and self.stage.resumable:
                    partial = self._partial(state.components)
                    lock = self.session.alone(partial)
                    if lock.acquire(blocking=False):  # else another length of it runs there now
                        self._drop_partial(partial)  # a kill may have come after a result was published
                        lock.release()
                return True
        remote = None if anew else self.session.remote
        if remote is None or state.key is None or remote.fetch(state.key, self.store) is None:
            return False
        self._link(state.key)
        return True

    def _execute(self, state: State, sources: Expansion, partial: str) -> None:
        """Run the command in a temporary folder and publish what it made."""
        look, stage = self.look, self.stage
        assert state.key is not None
        out = self.store.new_folder(self.name)
        values = self._placeholders(out, partial)
        argv = [*self._prefix(values), *(expand_placeholders(word, values) for word in stage.run)]
        attempt = self._attempt(state.key, values)
        published = False
        if self.site is not None and not self.site.is_here:
            self.errand = self._errand(self.site, state, sources, partial)
        try:
            with self.session.slots.hold(self._taken(), self._waits) as variables:
                ended = self._run(argv, values, attempt, variables)
            self._check_unmoved(state, sources)
            audit.check(look, stage, self.folder)
            outputs = self.store.seal(out, stage.outputs)
            shutil.copyfile(self.log, f"{out}/{LOG}")  # not a rename: the store may be on another file system
            receipt = {
                "version": RECEIPT_VERSION,
                "key": state.key,
                "stage": stage.name,
                "components": state.components,
                "outputs": outputs,
                "run": {
                    "argv": argv if self.errand is None else self.errand.argv,
                    "started": int(attempt.started),
                    "duration_s": round(ended.seconds, 3),
                    "host": _host() if self.errand is None else self.errand.host,
                    "inputs": self._origins(),
                    "runtime": dict(stage.runtime),
                    **({} if self.site is None else {"on": self.site.kind}),  # its name would tell of a network
                },
            }
            texts.keep(look.plan.build, sources, self.snapshot)
            self.store.publish(out, state.key, receipt)
            published = True
        except StageFailed as error:
            self._keep_evidence(attempt, out, error)
            raise
        except Interrupted:
            attempts.ended(self.folder, attempt, attempts.STOPPED)
            raise
        finally:
            if self.errand is not None and not self.session.stopping:
                self.errand.forget(published)
            if os.path.exists(out):
                store.remove_tree(out)
        attempts.ended(self.folder, attempt, attempts.BUILT)
        attempts.forget(look.plan.build, self.folder, stage.name, state.key, log=False)
        self._link(state.key)
        self._share(state.key)
        self._drop_partial(partial)

    def _waits(self, what: str) -> None:
        if self.session.report is not None:
            self.session.report.line(self.label, "", f"waits for {what}")

    def _run(
        self, argv: list[str], values: dict[str, str], attempt: attempts.Attempt, variables: Mapping[str, str]
    ) -> Ended:
        """Run the command to its end. Raises StageFailed unless it ended well."""
        stage = self.stage
        _write_fresh(values["params"], self._params_text())
        _write_fresh(self.log, f"$ {' '.join(argv)}\n")
        attempts.save(self.folder, attempt)
        if stage.resumable and self.errand is None:
            os.makedirs(values["partial"], exist_ok=True)
        ended = self._command(argv, values, variables)
        if self.session.stopping:
            raise StageFailed(f"stage {stage.name} was stopped")
        if ended.status != 0:
            kept = f"{self._evidence(attempt)}/{LOG}"
            advice = disk.advice_after(ended.tail, self.look.plan.build)
            self.full = advice is not None
            text = failure_text(stage.name, argv, ended, kept)
            raise StageFailed(f"{text}\n  {advice}" if advice else text, how_ended(ended))
        return ended

    def _attempt(self, key: str, values: dict[str, str]) -> attempts.Attempt:
        stage = self.stage
        return attempts.Attempt(
            stage=stage.name,
            key=key,
            run=list(stage.run),
            cwd=stage.cwd,
            env=list(stage.env),
            set_env=dict(stage.set_env),
            pythonpath=list(stage.pythonpath),
            values={name: value for name, value in values.items() if name not in ("out", "params", "snapshot")},
            started=time.time(),
            on="" if self.site is None else self.site.on,
        )

    def _evidence(self, attempt: attempts.Attempt) -> str:
        """The folder in which what a failure leaves will lie."""
        if not self.apart:
            return self.folder
        return f"{self.look.plan.build}/run/{attempts.apart_name(self.stage.name, attempt.key)}"

    def _keep_evidence(self, attempt: attempts.Attempt, out: str, error: StageFailed) -> None:
        """Move what a failed command made to its snapshot, and both out of the way where asked."""
        if self.session.stopping:
            attempts.ended(self.folder, attempt, attempts.STOPPED)
            return
        attempts.ended(self.folder, attempt, attempts.FAILED, error.how)
        with contextlib.suppress(OSError):  # the failure itself is what must be said
            kept = f"{self.folder}/{attempts.OUT}"
            store.remove_tree(kept)
            if not self.full:
                shutil.move(out, kept)
            if (apart := self._evidence(attempt)) != self.folder:
                store.remove_tree(apart)
                os.rename(self.folder, apart)

    def _partial(self, components: Components) -> str:
        return f"{self.look.plan.build}/partial/{partial_name(self.stage, components)}"

    def _drop_partial(self, partial: str) -> None:
        """The stage has its result: remove what an interrupted run would have gone on from."""
        if self.stage.resumable:
            store.remove_tree(f"{partial}/done" if self.stage.resumes_over else partial)
            with contextlib.suppress(OSError):  # something is kept, or nothing was
                os.rmdir(partial)

    def _share(self, key: str) -> None:
        """Copy the result to the remote and the shared store. Where that fails, one line says so; the build goes on."""
        if self.session.remote is not None:
            self.session.remote.send(key, self.store)
        shared = self.look.shared
        if shared is None or os.path.lexists(shared.entry(key)):
            return
        try:
            done = shared.import_from(key, self.store)
        except OSError:
            done = False
        if not done and self.session.report is not None:
            self.session.report.note(f"{self.stage.name}: could not be copied to {shared.path}")

    def _prefix(self, values: Mapping[str, str]) -> list[str]:
        """The words that a person has put before the command."""
        try:
            return [expand_placeholders(word, values) for word in (self.site.prefix if self.site is not None else ())]
        except KeyError as error:
            known = ", ".join(f"{{{name}}}" for name in values)
            raise StageFailed(f"run.{self.stage.name}.on names {{{error.args[0]}}}; there are {known}") from error

    def _taken(self) -> Mapping[str, float]:
        """What the command takes of the slots: of this machine, or of the place elsewhere."""
        if self.errand is None or self.site is None:
            return self.stage.resources
        self.session.slots.offer(self.site.on, self.site.at_once)
        return {self.site.on: 1}

    def _errand(self, site: Site, state: State, sources: Expansion, partial: str) -> Errand:
        from .elsewhere.errand import Errand
        from .elsewhere.job import job_of

        look, stage, session = self.look, self.stage, self.session
        assert state.key is not None and state.components is not None and session.elsewhere is not None
        params, name = self._params_text(), os.path.basename(partial)
        job = job_of(look, stage, state.key, state.components, self.inputs, sources, self.snapshot, params, name)

        def note(text: str) -> None:
            if session.report is not None:
                session.report.note(f"{self.label}: {text}")

        return Errand(site, job, session.elsewhere, session.grace_s, lambda: session.stopping, note)

    def _command(self, argv: list[str], values: dict[str, str], variables: Mapping[str, str]) -> Ended:
        session, look, stage, report = self.session, self.look, self.stage, self.session.report

        def on_line(line: str, newest: str) -> None:
            if report is not None:
                report.line(self.label, line, newest)

        terminal = report is not None and report.terminal
        if self.errand is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(audit.note(self.folder))
            with session.errands.during(self.errand):
                return self.errand.run(self.log, on_line, terminal, values["out"], audit.note(self.folder))
        set_env = {name: expand_placeholders(value, values) for name, value in stage.set_env.items()}
        pythonpath = [expand_placeholders(word, values) for word in stage.pythonpath]
        env = environment.child_environment(stage.env, set_env, look.plan.path, pythonpath)
        env.update(variables)
        env.update(audit.prepare(look, stage, self.folder, values, env))
        cwd = expand_placeholders(stage.cwd, values)
        return session.processes.run(argv, cwd, env, self.log, on_line, session.lock.fd, terminal, stage.background)

    def _placeholders(self, out: str, partial: str) -> dict[str, str]:
        import sys

        look = self.look
        values = {
            "out": out,
            "params": f"{self.folder}/params.json",
            "partial": partial,
            "snapshot": self.snapshot,
            "build": look.plan.build,
            "root": look.plan.root,
            "python": sys.executable,
        }
        for name, output in self.stage.inputs.items():
            values[f"in.{name}"] = f"{self.store.entry(str(self.inputs[name].key))}/{output.path}".rstrip("/")
        return values

    def _params_text(self) -> str:
        params = {
            "params": nested(self.stage.params),
            "runtime": nested(self.stage.runtime),
            "profile": self.stage.profile if self.stage.profile_in_key else None,
        }
        return json.dumps(params, indent=1, sort_keys=True) + "\n"

    def _check_unmoved(self, state: State, sources: Expansion) -> None:
        """Raises StageFailed if anything that the key covers changed while the command ran."""
        assert state.components is not None
        moved = snapshot.changed(sources, self.snapshot, self.look.cache)
        moved += self.errand.moved if self.errand is not None else []
        if moved:
            names = ", ".join(moved[:5])
            raise StageFailed(f"the command changed its own sources: {names}; its result is not what the key says")
        if self.look.external(self.stage) != state.components["external"]:
            raise StageFailed("an external input changed while the command ran; nothing was published, run again")
        if self._inputs() != self.inputs:
            raise StageFailed("an input changed while the command ran; nothing was published, run again")

    def _link(self, key: str) -> None:
        links.link(self.look.plan.build, self.stage.scope, self.stage.name, key, self.stage.links)


def failure_text(stage: str, argv: list[str], ended: Ended, log: str) -> str:
    """The report of a failed command: stage, command, last lines, log."""
    lines, command = ended.last_lines(), " ".join(argv)
    said = f"stage {stage} {how_ended(ended)} after {ended.seconds:.1f} s"
    return f"{said}\n  command: {command}\n  last lines:\n{lines}  log: {log}"


def how_ended(ended: Ended) -> str:
    """How a command failed, in words."""
    if ended.status == 127:
        return "could not be started"
    if ended.status <= 128:
        return f"ended with status {ended.status}"
    import signal

    names = {number.value: number.name for number in signal.Signals}
    memory = " (out of memory?)" if ended.status == 137 else ""
    return f"was ended by {names.get(ended.status - 128, 'signal')}{memory}"


def _write_fresh(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)


def _host() -> dict[str, Any]:
    """The machine, for people: never part of a key, never compared."""
    import platform

    uname = platform.uname()
    return {
        "system": uname.system,
        "machine": uname.machine,
        "release": uname.release,
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
    }
