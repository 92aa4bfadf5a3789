"""The graph: stages in, doit tasks out, and what is known of each stage now.

`evaluate` only looks: it hashes what a stage depends on (behind the stat cache) and compares with the linked
result. `builder.py` runs.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from inspect import Signature
from typing import TYPE_CHECKING, Any

from ..declare.stage import Output, Setup, Stage, Tool
from ..errors import GraphError, UsageError
from ..keep import store as stores
from ..keep.receipt import NAME as RECEIPT
from ..keep.receipt import Receipt, digest_in, key_of
from ..keep.store import Store
from ..read import versions as tools
from ..read.sources import Expansion, View, expand
from ..read.statcache import StatCache
from ..run.lock import Lock
from . import key as keys
from .key import Components, Reason

if TYPE_CHECKING:
    from ..keep.remote import Remote
    from ..run.process import Processes
    from ..show.report import Report


STORE_VARIABLE = "POCKETLM_STORE"  # off, a folder of results that several build folders share, or a remote's URL


class State:
    """What one look found out about a stage."""

    def __init__(self, store: Store, linked: str | None, gist: Receipt | None) -> None:
        self.components: Components | None = None  # stays None where a source is missing; holds what is known
        self.key: str | None = None  # None where components are not all known
        self.linked = linked  # the key that the stage's link names
        self.gist = gist  # of the linked result's receipt, see Store.linked
        self.reasons: list[Reason] = []  # empty: fresh
        self.missing_tools: list[str] = []
        self._store = store

    @cached_property
    def receipt(self) -> Receipt | None:
        """The whole receipt of the linked result: read only where the gist does not do."""
        return None if self.linked is None or self.gist is None else self._store.receipt(self.linked)

    def recorded(self) -> Components:
        """The components of the linked result, by its receipt; empty where there is none."""
        return self.receipt["components"] if self.receipt is not None else {}

    @property
    def fresh(self) -> bool:
        """Whether the linked result is that of today's key, whole and linked."""
        return not self.reasons


class Freshness:
    """The `uptodate` of a stage. Writes nothing. An error is left for the action to report.

    Not a function: doit asks for its signature before every call, which for a function costs as much as half the look.
    """

    __signature__ = Signature()

    def __init__(self, graph: Graph, stage: Stage) -> None:
        self.graph = graph
        self.stage = stage

    def __call__(self) -> bool:
        """Whether the stage's result is today's."""
        return self.graph.state(self.stage).fresh


class Graph:
    """A checked set of stages over one project (`root`) and one build folder (`build`)."""

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
    ) -> None:
        """`path`: folders before PATH for commands and tools. `grace_s`: time between SIGTERM and SIGKILL. `store`:
        what counts instead of the variable POCKETLM_STORE. `remote`: asked for the URL of the remote store when the
        first stage is built; the variable goes before it.

        Raises ValueError for stages or inputs that do not fit together.
        """
        self.root = os.path.abspath(root)
        self.build = os.path.abspath(build)
        self.path = tuple(path)
        self.stages: dict[str, Stage] = {}
        self.setups: dict[str, Setup] = {setup.name: setup for setup in setups}
        for stage in stages:
            if stage.name in self.stages:
                raise ValueError(f"two stages are called {stage.name}")
            self.stages[stage.name] = stage
            for setup in stage.needs:
                self.setups.setdefault(setup.name, setup)
        for stage in stages:
            for name, output in stage.inputs.items():
                source = self.stages.get(output.stage)
                compared = source.compared if source else []
                if source is None or output.path not in (*compared, RECEIPT, *([""] if compared else [])):
                    what = f"input {name} is {output.path or 'all'} of {output.stage}"
                    kinds = ["no such stage"] if source is None else [f"makes {compared}"]
                    if source is not None and source.uncompared:
                        kinds.append(f"{list(source.uncompared)} differ from run to run and are no input")
                    raise ValueError(f"stage {stage.name}: {what}: {'; '.join(kinds)}")
        self.order = _in_order(self.stages)
        self.cache = StatCache(f"{self.build}/.stat-cache.json")
        self.store = Store(f"{self.build}/store", self.cache)
        self.lock = Lock(self.build)
        self.grace_s = grace_s
        self.stopping = False  # a signal came: nothing new is started, nothing more is published
        self.report: Report | None = None
        self.always = False  # `-a`: run, whatever the store has
        setting = os.environ.get(STORE_VARIABLE, "") if store is None else store
        url = "://" in setting
        scheme, colon, rest = setting.partition(":")
        if colon and not url and scheme.isalnum():
            raise UsageError(
                f"{STORE_VARIABLE}={setting} is neither off, a folder nor a URL; as a URL: {scheme}://{rest}"
            )
        self.reuse = setting != "off"  # off: what no link holds is not reused
        self.shared = Store(os.path.abspath(setting), self.cache) if setting not in ("", "off") and not url else None
        self._remote_url = remote if setting == "" else lambda: setting if url else None
        self.setup_guards: dict[str, threading.Lock] = {}  # Setup.exclusive -> held while one is installed
        self._view: View | None = None
        self._states: dict[str, State] = {}
        self._versions: dict[Tool, str | None] = {}

    @cached_property
    def processes(self) -> Processes:
        """The commands that run now."""
        from ..run.process import Processes  # only what really runs pays for it

        return Processes(self.grace_s, lambda: self.stopping)

    @cached_property
    def remote(self) -> Remote | None:
        """The remote store of this run, if there is one."""
        url = self._remote_url()
        return self.remote_at(url) if url else None

    def remote_at(self, url: str) -> Remote:
        """The remote store at a URL; what it has to say goes to the report."""
        from ..keep.remote import Remote  # only what really runs pays for it

        def note(text: str) -> None:
            if self.report is not None:
                self.report.note(text)

        return Remote(url, note, lambda: self.stopping)

    # ── doit ──

    def tasks(self) -> Iterator[dict[str, Any]]:
        """The doit tasks: one a stage, in graph order, and `setup:NAME` for each setup."""
        from ..front.tasks import SetupAction, StageAction

        for name in self.order:
            stage = self.stages[name]
            yield {
                "basename": name,
                "doc": stage.doc,
                "actions": [StageAction(self, stage)],
                "task_dep": sorted({output.stage for output in stage.inputs.values()}),
                "uptodate": [Freshness(self, stage)],
                "io": {"capture": False},
                "meta": {"graph": self, "stage": name},
            }
        if self.setups:
            yield {"basename": "setup", "name": None, "doc": "Install every tool that some stage needs."}
        for setup in self.setups.values():
            yield {
                "basename": "setup",
                "name": setup.name,
                "doc": setup.doc,
                "actions": [SetupAction(self, setup)],
                "uptodate": [(setup.is_ready, [])],
                "io": {"capture": False},
                "meta": {"graph": self, "setup": setup.name},
            }

    def doit_config(self) -> dict[str, Any]:
        """What DOIT_CONFIG must hold: no state file (the store is the truth), threads for `-n`."""
        return {"backend": "sqlite3", "dep_file": ":memory:", "par_type": "thread", "verbosity": 2}

    # ── What is known now ──

    def new_view(self) -> View:
        """A fresh look at the tree."""
        return View(self.root, self.cache)

    def time_passed(self) -> None:
        """Forget what was seen: a command ran, and anything may have changed meanwhile."""
        self._view = None
        self._states = {}
        self._versions = {}

    def state(self, stage: Stage) -> State:
        """The state of a stage as of this look."""
        known = self._states.get(stage.name)
        if known is None:
            known = self.evaluate(stage, self.linked_inputs(stage))
            self._states[stage.name] = known
        return known

    def linked_inputs(self, stage: Stage) -> dict[str, str | None]:
        """The digest of each input, by the receipts of the linked results; None where there is none."""
        return {name: self.linked_digest(output) for name, output in stage.inputs.items()}

    def linked_digest(self, output: Output) -> str | None:
        """The digest of another stage's output, by the receipt of its linked result."""
        return digest_in(self._linked(self.stages[output.stage])[1], output.path)

    def linked_receipt(self, stage: Stage) -> tuple[str | None, Receipt | None]:
        """(key, receipt) of the result that a stage's link names."""
        known = self._states.get(stage.name)
        if known is not None:
            return known.linked, known.receipt
        linked = stores.linked_key(self.build, stage.scope, stage.name)
        return linked, None if linked is None else self.store.receipt(linked)

    def _linked(self, stage: Stage) -> tuple[str | None, Receipt | None]:
        """(key, gist of the receipt) of the result that a stage's link names."""
        known = self._states.get(stage.name)
        if known is not None:
            return known.linked, known.gist
        return self.store.linked(self.build, stage.scope, stage.name)

    def evaluate(self, stage: Stage, inputs: Mapping[str, str | None], sources: Expansion | None = None) -> State:
        """Compare a stage, given its inputs' digests, with its linked result. `sources`: those of a snapshot
        instead of the tree's.
        """
        state = State(self.store, *self._linked(stage))
        try:
            if sources is None:
                view = self._view = (
                    self._view or self.new_view()
                )  # `time_passed` in another thread may clear it meanwhile
                sources = expand(stage.sources, view)
            external = self.external(stage)
        except GraphError as error:
            state.reasons.append(Reason("error", str(error), None, None))
            return state
        versions = self.versions(stage, state)
        known = {name: digest for name, digest in inputs.items() if digest is not None}
        env = {name: os.environ.get(name) for name in stage.env}
        components = keys.components(stage, known, sources, external, versions, env)
        state.components = components
        if len(known) == len(inputs) and all(tool.name in versions for tool in stage.tools):
            state.key = key_of(components)
        self._compare(stage, state, components, inputs)
        return state

    def _compare(self, stage: Stage, state: State, components: Components, inputs: Mapping[str, str | None]) -> None:
        """Add to `state.reasons` whatever keeps the linked result from being today's."""
        reasons = state.reasons
        if state.linked is None:
            reasons.append(Reason("never built", stage.name, None, None))
        elif state.gist is None:
            reasons.append(Reason("receipt", RECEIPT, state.linked, "missing or damaged"))
        elif state.key != state.linked:
            found = keys.differences(state.recorded(), components)
            unknown = {name for name, digest in inputs.items() if digest is None}
            reasons += [reason for reason in found if not (reason.kind == "input" and reason.name in unknown)]
            reasons += [Reason("upstream", stage.inputs[name].stage, None, None) for name in sorted(unknown)]
            reasons += [
                Reason("tool", name, None, "not found")
                for name in state.missing_tools
                if name not in components["tools"]
            ]
            if not reasons:
                reasons.append(Reason("receipt", RECEIPT, state.linked, "does not belong to its key"))
        elif not state.gist["sound"]:
            reasons.append(Reason("receipt", RECEIPT, state.linked, "does not belong to its key"))
        if state.gist is not None:
            assert state.linked is not None
            for name, expected, found_digest in self.store.problems(state.linked, state.gist):
                reasons.append(Reason("output", name, expected, found_digest))
            if state.key == state.linked:
                for name in stores.public_links_good(self.build, stage.scope, stage.name, stage.links):
                    reasons.append(
                        Reason("link", f"{stage.scope}/{name}", "a link to this result", "missing or changed")
                    )

    def reusable(self, stage: Stage, state: State) -> tuple[Store, Receipt] | None:
        """A whole result that today's key may take, and the store that has it; None if the command has to run.

        Where a tool is missing, a result that differs in nothing but that tool's version will do.
        """
        if self.always:
            return None
        for store in (self.store, self.shared):
            if store is None:
                continue
            candidates = [] if state.key is None else [state.key]
            if state.missing_tools and state.components is not None:
                wanted = _without_tools(state.components, state.missing_tools)
                candidates += [
                    r["key"]
                    for r in store.receipts(stage.name)
                    if _without_tools(r["components"], state.missing_tools) == wanted
                ]
            for key in candidates:
                if self.reuse or key == state.linked:
                    receipt = store.good(key)
                    if receipt is not None:
                        return store, receipt
        return None

    def external(self, stage: Stage) -> dict[str, dict[str, str]]:
        """Digests of the external files, by group and path (relative to the root where they lie below it).

        Raises GraphError if one cannot be read.
        """
        found: dict[str, dict[str, str]] = {}
        for name, paths in stage.external.items():
            group = found[name] = {}
            for path in paths:
                full = os.path.join(self.root, os.fspath(path))
                try:
                    group[full.removeprefix(f"{self.root}/")] = self.cache.digest(full)
                except OSError as error:
                    raise GraphError(f"{name}: {full} cannot be read: {error.strerror}") from error
        return found

    def versions(self, stage: Stage, state: State) -> dict[str, str]:
        """The version of each tool. A missing one counts as the recorded version, and is named in the state."""
        found = {"python": tools.PYTHON} if any("{python}" in word for word in stage.run) else {}
        memo = self._versions
        for tool in stage.tools:
            if tool not in memo:
                memo[tool] = tools.version(tool, self.root, self.path, self.cache)
            version = memo[tool]
            if version is None:
                state.missing_tools.append(tool.name)
                version = state.recorded().get("tools", {}).get(tool.name)
            if version is not None:
                found[tool.name] = version
        return found


def _without_tools(components: Components, names: list[str]) -> Components:
    tools = {name: version for name, version in components.get("tools", {}).items() if name not in names}
    return {**components, "tools": tools}


def _in_order(stages: Mapping[str, Stage]) -> list[str]:
    """Names so that inputs come first, else as they were given. Raises ValueError for a cycle."""
    order: dict[str, None] = {}
    for start in stages:
        path = {start: iter(stages[start].inputs.values())}  # the stages being visited; no recursion: chains are long
        while path:
            name = next(reversed(path))
            for output in path[name]:
                if output.stage in path:
                    raise ValueError(f"stages form a cycle: {' -> '.join([*path, output.stage])}")
                if output.stage not in order:
                    path[output.stage] = iter(stages[output.stage].inputs.values())
                    break
            else:
                order[name] = None
                del path[name]
    return list(order)


def tasks_for(graph: Graph) -> Iterator[dict[str, Any]]:
    """The doit tasks of a graph, for a `task_...` function of dodo.py."""
    return graph.tasks()
