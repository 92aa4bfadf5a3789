"""The stored results as people compare them: receipts in; parameters, metrics, names and what made each out.

A result depends on its own components and on those of every result upstream. Its recipe holds both, as leaves: one
for each parameter, source, tool and the like of each stage. Where an input's maker is known, its leaves stand in place
of the input's digest; makers that gave equal bytes count as one.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from ..decide.key import KINDS, called
from ..decide.look import Look
from ..declare.stage import Stage
from ..errors import GraphError
from ..keep import links, names
from ..keep.receipt import Receipt

PREFIX = re.compile(r"[0-9a-f]{4,64}")


class Leaf(NamedTuple):
    """One thing that a result depends on."""

    stage: str
    kind: str  # as in decide/key.py: parameter, source, tool, ...
    name: str

    def text(self) -> str:
        """As people call it: a parameter has a section in its name, all else belongs to a stage."""
        return self.name if self.kind == "parameter" else f"{called(self.kind, self.name)} of {self.stage}"


Recipe = dict[Leaf, Any]


class Results:
    """The results in the store of one build folder, read once."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.receipts: dict[str, Receipt] = {receipt["key"]: receipt for receipt in look.store.receipts()}
        self.pins = names.pinned(look.plan.build)
        self.by_name = names.named(look.plan.build)
        self.names: dict[str, list[str]] = {}
        for name, key in self.by_name.items():
            self.names.setdefault(key, []).append(name)
        self._recipes: dict[str, Recipe] = {}
        self._makers: dict[tuple[str, str, str], str] = {}  # (stage, output, digest) -> the key that stands for it
        self._origins: dict[str, set[str]] = {}

    def of(self, stage: str) -> list[Receipt]:
        """The results of one stage, the newest first."""
        found = [receipt for receipt in self.receipts.values() if receipt["stage"] == stage]
        return sorted(found, key=lambda each: (-float(each["run"].get("started", 0)), each["key"]))

    def find(self, text: str) -> Receipt:
        """The result that a name, a stage (SCOPE/STAGE; of the chosen scope: STAGE) or the beginning of a key means.

        Raises GraphError where there is none, or more than one.
        """
        key = self.by_name.get(text)
        if key is None and text in self.look.plan.stages:
            key = self.look.linked(self.look.plan.stages[text])[0]
            if key is None:
                raise GraphError(f"stage {text} has no result here; run `doit {text}`")
        if key is None and text.count("/") == 1:
            scope, _, stage = text.partition("/")
            key = links.linked_key(self.look.plan.build, scope, stage)
        if key is None and PREFIX.fullmatch(text):
            found = [each for each in self.receipts if each.startswith(text)]
            if len(found) > 1:
                raise GraphError(f"{text} begins {len(found)} keys: {', '.join(each[:12] for each in found[:5])}, ...")
            key = found[0] if found else None
        if key is not None and key in self.receipts:
            return self.receipts[key]
        if key is not None:
            raise GraphError(f"the result of {text}, {key[:10]}, is no longer in the store, or corrupt")
        import difflib

        near = difflib.get_close_matches(text, [*self.by_name, *self.look.plan.stages], n=1)
        advice = f"did you mean {near[0]}?" if near else "`doit exp show` and `doit history STAGE` show them"
        raise GraphError(f"{text!r} is neither a name, a stage nor the beginning of a key (4 digits or more); {advice}")

    # ── What a result was made from ──

    def recipe(self, receipt: Receipt) -> Recipe:
        """Every leaf that a result depends on, with its value."""
        known = self._recipes.get(receipt["key"])
        if known is None:
            known = self._recipes[receipt["key"]] = {}
            for label, maker in self._upstream(receipt):
                if isinstance(maker, str):
                    known[Leaf(receipt["stage"], "input", label)] = maker
                else:
                    known.update(self.recipe(maker))
            known.update(own_leaves(receipt))
        return known

    def _upstream(self, receipt: Receipt) -> Iterator[tuple[str, Receipt | str]]:
        """(input, the result that stands for what it came from); its digest where that is not known."""
        origins = receipt["run"].get("inputs", {})
        for label, digest in receipt["components"]["inputs"].items():
            origin = origins.get(label) or {}
            key, stage = origin.get("key"), origin.get("stage")
            made = (str(stage), str(origin.get("output")), digest)
            if key in self.receipts:
                yield label, self.receipts[self._makers.setdefault(made, key)]
            else:
                yield label, self.receipts[self._makers[made]] if made in self._makers else digest

    def parameters(self, receipt: Receipt) -> dict[str, Any]:
        """Every parameter of a result and of what it was made from."""
        return {leaf.name: value for leaf, value in self.recipe(receipt).items() if leaf.kind == "parameter"}

    def ancestors(self, receipt: Receipt) -> set[str]:
        """The keys of the results that a result was made from, as its receipt and theirs tell."""
        key = receipt["key"]
        if key not in self._origins:
            found = self._origins[key] = set()
            for origin in receipt["run"].get("inputs", {}).values():
                upstream = self.receipts.get((origin or {}).get("key") or "")
                if upstream is not None:
                    found |= {upstream["key"], *self.ancestors(upstream)}
        return self._origins[key]

    # ── What came out ──

    def metrics(self, receipt: Receipt) -> dict[str, float]:
        """The metrics of a result, and as STAGE.NAME those of what was made from it: of each stage the newest."""
        found = self._declared(receipt)
        for later in self._made_from.get(receipt["key"], ()):
            for name, value in self._declared(later).items():
                found.setdefault(f"{later['stage']}.{name}", value)
        return found

    @cached_property
    def _made_from(self) -> dict[str, list[Receipt]]:
        """key -> the results with metrics that were made from it, the newest first."""
        found: dict[str, list[Receipt]] = {}
        for stage in self.look.plan.stages.values():
            for receipt in self.of(stage.name) if stage.metrics else ():
                for key in self.ancestors(receipt):
                    found.setdefault(key, []).append(receipt)
        return found

    def _declared(self, receipt: Receipt) -> dict[str, float]:
        """The metrics that today's stage declares, of an older result too. One that is not there is left out."""
        stage = self.look.plan.stages.get(receipt["stage"])
        return {} if stage is None else read_metrics(stage, receipt, self.look.store.entry(receipt["key"]))

    def size_bytes(self, receipt: Receipt) -> int:
        """Of all outputs."""
        return sum(int(output.get("size_bytes", 0)) for output in receipt["outputs"].values())

    def is_kept(self, key: str) -> bool:
        """Whether it is pinned or named."""
        return key in self.pins or key in self.names


def own_leaves(receipt: Receipt) -> Recipe:
    """The leaves of a result's own components but its inputs."""
    found: Recipe = {}
    stage = receipt["stage"]
    for component, kind in KINDS.items():
        value = receipt["components"].get(component)
        if component in ("inputs", "stage") or value is None:
            continue
        if not isinstance(value, dict):
            found[Leaf(stage, kind, component)] = value
            continue
        for name, each in value.items():
            for inner, one in each.items() if kind == "external" else [("", each)]:
                found[Leaf(stage, kind, inner or name)] = one
    return found


def read_metrics(stage: Stage, receipt: Receipt, entry: str) -> dict[str, float]:
    """The numbers that a stage declares, from the files of one of its results."""
    files: dict[str, Any] = {}
    found: dict[str, float] = {}
    for name, where in stage.metrics.items():
        output, _, path = where.partition(":")
        if output not in files:
            try:
                with open(os.path.join(entry, output), "rb") as file:
                    files[output] = json.load(file)
            except (OSError, ValueError):
                files[output] = None
        value = value_at(files[output], path)
        if isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = value
    return found


def value_at(tree: Any, path: str) -> Any:
    """What a path such as `a.b` leads to in JSON; None where it leads nowhere."""
    for part in path.split("."):
        if not isinstance(tree, Mapping) or part not in tree:
            return None
        tree = tree[part]
    return tree
