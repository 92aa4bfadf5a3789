"""`doit diff`: two results in, all that differs out: what they were made from, what came out, how large it is."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Any

from ..decide.key import Reason
from ..keep import texts
from ..keep.receipt import Receipt
from ..read.digest import canonical
from .results import Leaf, Results

CONTEXT = 3  # lines around a change


@dataclass(frozen=True)
class SourceChange:
    """One source that differs."""

    stage: str
    name: str
    old: str | None  # its digest; None where the result has no such source
    new: str | None
    lines: list[str] | None  # a unified diff; None where a text was not kept

    def as_json(self) -> dict[str, Any]:
        """All fields."""
        return dict(vars(self))


@dataclass
class Comparison:
    """Everything in which two results differ."""

    parameters: list[Reason] = field(default_factory=list)
    sources: list[SourceChange] = field(default_factory=list)
    others: list[Reason] = field(default_factory=list)  # tools, commands, variables, external files, ...
    metrics: list[tuple[str, float | None, float | None]] = field(default_factory=list)  # all, also equal ones
    sizes: list[tuple[str, int | None, int | None]] = field(default_factory=list)  # bytes of each output
    equal_outputs: list[str] = field(default_factory=list)  # those with the same bytes

    def as_json(self) -> dict[str, Any]:
        """{parameters, sources, others, metrics, sizes, equal_outputs}."""
        return {
            "parameters": [each._asdict() for each in self.parameters],
            "sources": [each.as_json() for each in self.sources],
            "others": [each._asdict() for each in self.others],
            "metrics": {name: {"old": old, "new": new} for name, old, new in self.metrics},
            "size_bytes": {name: {"old": old, "new": new} for name, old, new in self.sizes},
            "equal_outputs": self.equal_outputs,
        }


def changed_leaves(results: Results, old: Receipt, new: Receipt) -> list[tuple[Leaf, Any, Any]]:
    """The leaves in which two recipes differ, as the key sees it: 1 and 1.0 differ."""
    before, after = results.recipe(old), results.recipe(new)
    found = []
    for leaf in sorted(before.keys() | after.keys()):
        one, two = before.get(leaf), after.get(leaf)
        if canonical(one) != canonical(two):
            found.append((leaf, one, two))
    return found


def compare(results: Results, old: Receipt, new: Receipt) -> Comparison:
    """Everything in which `new` differs from `old`."""
    found = Comparison()
    named: set[str] = set()  # one parameter may stand in several stages
    changed_sources: dict[tuple[str, Any, Any], str] = {}  # so may one source
    for leaf, before, after in changed_leaves(results, old, new):
        if leaf.kind == "source":
            first = changed_sources.setdefault((leaf.name, before, after), leaf.stage)
            if first == leaf.stage:
                lines = _unified(results, leaf.name, before, after)
                found.sources.append(SourceChange(leaf.stage, leaf.name, before, after, lines))
        elif leaf.kind == "parameter":
            if leaf.name not in named:
                named.add(leaf.name)
                found.parameters.append(Reason(leaf.kind, leaf.name, before, after))
        else:
            found.others.append(Reason(leaf.kind, f"{leaf.name} of {leaf.stage}", before, after))
    before_metrics, after_metrics = results.metrics(old), results.metrics(new)
    for name in dict.fromkeys([*before_metrics, *after_metrics]):
        found.metrics.append((name, before_metrics.get(name), after_metrics.get(name)))
    for name in sorted(old["outputs"].keys() | new["outputs"].keys()):
        before, after = old["outputs"].get(name), new["outputs"].get(name)
        found.sizes.append((name, before and before.get("size_bytes"), after and after.get("size_bytes")))
        if before is not None and after is not None and before["digest"] == after["digest"]:
            found.equal_outputs.append(name)
    return found


def _unified(results: Results, name: str, old: str | None, new: str | None) -> list[str] | None:
    build = results.look.plan.build
    before = [] if old is None else texts.read(build, old)
    after = [] if new is None else texts.read(build, new)
    if before is None or after is None:
        return None
    return list(difflib.unified_diff(before, after, f"a/{name}", f"b/{name}", lineterm="", n=CONTEXT))
