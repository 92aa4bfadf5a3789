"""What is known of each stage now, and whether its linked result is current.

Only looks: hashes what a stage depends on (behind the stat cache) and compares with the linked result. run/build.py
runs commands.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Collection, Mapping
from functools import cached_property
from typing import NamedTuple

from ..declare.names import RECEIPT
from ..declare.plan import Plan
from ..declare.stage import Stage, Tool
from ..errors import GraphError
from ..keep import holds, links
from ..keep.receipt import Receipt, digest_in, key_of
from ..keep.setting import Setting
from ..keep.store import Store
from ..read import versions
from ..read.digest import with_mode
from ..read.expand import Expansion, expand
from ..read.statcache import StatCache
from ..read.tree import View
from . import key as keys
from .key import Components, Reason


class Input(NamedTuple):
    """What an input of a stage is now."""

    key: str | None  # of the result that it comes from
    digest: str | None  # None where there is no such result


class State:
    """What one look found out about a stage."""

    def __init__(self, store: Store, linked: str | None, summary: Receipt | None) -> None:
        self.components: Components | None = None  # what is known of them; None where a source is missing
        self.key: str | None = None  # None where components are not all known
        self.linked = linked  # the key that the stage's link names
        self.summary = summary  # of the linked result's receipt, see Store.linked
        self.reasons: list[Reason] = []  # empty: fresh
        self.missing_tools: list[str] = []
        self.held = False  # a person has chosen the linked result (`doit use`): it is current, whatever changed
        self.sources: tuple[Expansion, View] | None = None  # those of the tree, and the view that found them
        self._store = store

    @cached_property
    def receipt(self) -> Receipt | None:
        """The whole receipt of the linked result: read only where the summary does not do."""
        return None if self.linked is None or self.summary is None else self._store.receipt(self.linked)

    def recorded(self) -> Components:
        """The components of the linked result, by its receipt; empty where there is none."""
        return self.receipt["components"] if self.receipt is not None else {}

    @property
    def fresh(self) -> bool:
        """Whether the linked result has the current key, and it and its links are intact."""
        return not self.reasons


class Look:
    """What a look at a plan's sources, tools and results finds. `invalidate` it whenever something may have changed."""

    def __init__(self, plan: Plan, setting: Setting) -> None:
        self.plan = plan
        self.cache = StatCache(f"{plan.build}/.stat-cache.json")
        self.store = Store(f"{plan.build}/store", self.cache)
        self.shared = None if setting.shared is None else Store(setting.shared, self.cache)
        self._reuse = setting.reuse
        self._view: View | None = None
        self._states: dict[str, State] = {}
        self._versions: dict[Tool, str | None] = {}
        self._held: dict[str, dict[str, str]] = {}  # scope -> stage -> key

    def beside(self, plan: Plan) -> Look:
        """A look at another plan of the same build folder: one store, one stat cache."""
        other = copy.copy(self)
        other.plan = plan
        other.invalidate()
        return other

    def new_view(self) -> View:
        """A fresh look at the tree."""
        return View(self.plan.root, self.cache)

    def invalidate(self) -> None:
        """Forget what was seen: a command ran, and anything may have changed meanwhile."""
        self._view = None
        self._states = {}
        self._versions = {}
        self._held = {}

    def state(self, stage: Stage) -> State:
        """The state of a stage as of this look."""
        known = self._states.get(stage.name)
        if known is None:
            known = self.evaluate(stage, self.inputs(stage))
            self._states[stage.name] = known
        return known

    def seen(self, stage: Stage) -> tuple[Expansion, View] | None:
        """The sources of a stage as this look has found them, if it has."""
        known = self._states.get(stage.name)
        return None if known is None else known.sources

    def inputs(self, stage: Stage) -> dict[str, Input]:
        """Every input of a stage, by the receipts of the linked results."""
        found = {}
        for name, output in stage.inputs.items():
            key, summary = self.linked(self.plan.stages[output.stage])
            found[name] = Input(key, digest_in(summary, output.path))
        return found

    def linked_receipt(self, stage: Stage) -> tuple[str | None, Receipt | None]:
        """(key, receipt) of the result that a stage's link names."""
        known = self._states.get(stage.name)
        if known is not None:
            return known.linked, known.receipt
        linked = links.linked_key(self.plan.build, stage.scope, stage.name)
        return linked, None if linked is None else self.store.receipt(linked)

    def linked(self, stage: Stage) -> tuple[str | None, Receipt | None]:
        """(key, summary of the receipt) of the result that a stage's link names."""
        known = self._states.get(stage.name)
        if known is not None:
            return known.linked, known.summary
        return self.store.linked(self.plan.build, stage.scope, stage.name)

    def evaluate(self, stage: Stage, inputs: Mapping[str, Input], sources: Expansion | None = None) -> State:
        """Compare a stage, given its inputs, with its linked result. `sources`: those of a snapshot instead of the
        tree's.
        """
        state = State(self.store, *self.linked(stage))
        if state.summary is not None and self.held(stage) == state.linked:
            state.held, state.key, state.components = True, state.linked, state.recorded()
            self._compare_outputs(stage, state)
            return state
        try:
            if sources is None:
                # a local name: `invalidate` in another thread may clear the attribute meanwhile
                view = self._view = self._view or self.new_view()
                sources = expand(stage.sources, view)
                state.sources = sources, view
            external = self.external(stage)
        except GraphError as error:
            state.reasons.append(Reason("error", str(error), None, None))
            return state
        found_versions = self.versions(stage, state)
        known = {name: given.digest for name, given in inputs.items() if given.digest is not None}
        env = {name: os.environ.get(name) for name in stage.env}
        keyed = {name: digest for name, digest in known.items() if name not in self.plan.in_no_key(stage)}
        components = keys.components(stage, keyed, sources, external, found_versions, env)
        state.components = components
        if len(known) == len(inputs) and all(tool.name in found_versions for tool in stage.tools):
            state.key = key_of(components)
        self._compare(stage, state, components, inputs.keys() - known.keys())
        return state

    def _compare(self, stage: Stage, state: State, components: Components, unknown: Collection[str]) -> None:
        """Add to `state.reasons` why the linked result is not current. unknown: inputs that have no digest yet."""
        reasons = state.reasons
        if state.linked is None:
            reasons.append(Reason("never built", stage.name, None, None))
        elif state.summary is None:
            reasons.append(Reason("receipt", RECEIPT, state.linked, "missing or corrupt"))
        elif state.key != state.linked:
            found = keys.differences(state.recorded(), components)
            reasons += [reason for reason in found if not (reason.kind == "input" and reason.name in unknown)]
            makers = dict.fromkeys(stage.inputs[name].stage for name in sorted(unknown))
            reasons += [Reason("upstream", maker, None, None) for maker in makers]
            reasons += [
                Reason("tool", name, None, "not found")
                for name in state.missing_tools
                if name not in components["tools"]
            ]
            if not reasons:
                reasons.append(Reason("receipt", RECEIPT, state.linked, "does not belong to its key"))
        elif not state.summary["sound"]:
            reasons.append(Reason("receipt", RECEIPT, state.linked, "does not belong to its key"))
        if state.summary is not None:
            self._compare_outputs(stage, state)

    def _compare_outputs(self, stage: Stage, state: State) -> None:
        """Add to `state.reasons` what is wrong with the outputs of the linked result, and with its links."""
        assert state.linked is not None and state.summary is not None
        for name, expected, found in self.store.problems(state.linked, state.summary):
            state.reasons.append(Reason("output", name, expected, found))
        if state.key == state.linked:
            for name in links.wrong_links(self.plan.build, stage.scope, stage.name, stage.links):
                state.reasons.append(
                    Reason("link", f"{stage.scope}/{name}", "a link to this result", "missing or changed")
                )

    def held(self, stage: Stage) -> str | None:
        """The key of the result that a stage is held at, or None."""
        scope = self._held.get(stage.scope)
        if scope is None:
            scope = self._held[stage.scope] = holds.held(self.plan.build, stage.scope)
        return scope.get(stage.name)

    def reusable(self, stage: Stage, state: State) -> tuple[Store, Receipt] | None:
        """An intact result for the current key, and the store that has it; None if the command has to run.

        Where a tool is missing, a result that differs only in that tool's version will do.
        """
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
                if self._reuse or key == state.linked:
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
                full = os.path.join(self.plan.root, os.fspath(path))
                try:
                    st = os.stat(full)
                    group[full.removeprefix(f"{self.plan.root}/")] = with_mode(self.cache.digest(full, st), st)
                except OSError as error:
                    raise GraphError(f"{name}: {full} cannot be read: {error.strerror}") from error
        return found

    def versions(self, stage: Stage, state: State) -> dict[str, str]:
        """The version of each tool. A missing one counts as the recorded version, and is named in the state."""
        found = {"python": versions.python()} if any("{python}" in word for word in stage.run) else {}
        memo = self._versions
        for tool in stage.tools:
            if tool not in memo:
                memo[tool] = versions.version(tool, self.plan.root, self.plan.path, self.cache)
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
