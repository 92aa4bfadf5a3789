"""`doit inspect`: an artifact in, the chain of results that made it out, back to the sources.

An artifact is found by its place in a store, or anywhere else by its digest among the stores' receipts. For a bundle
that no store knows, the chain is read from the provenance.json in it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..decide.look import Look
from ..declare.names import LOG, within
from ..errors import GraphError
from ..keep.receipt import Receipt, digest_in
from ..keep.store import Store
from ..read.digest import file_digest, is_executable, tree_digest, walk
from ..read.expand import expand

PROVENANCE = "provenance.json"


@dataclass(frozen=True)
class Origin:
    """An artifact and what made it."""

    what: str  # what it is, for a person
    chain: list[Step]  # the stage that made it first, then what that needs


@dataclass
class Step:
    """One stage of a chain. Fields that only a receipt has are None in a chain read from a provenance.json."""

    stage: str
    key: str
    about: dict[str, Any]  # command, inputs, sources, external, params, tools, environment, outputs, perhaps accepted
    needs: dict[str, str] = field(default_factory=dict)  # input -> key of the step that it came from, where known
    run: dict[str, Any] | None = None  # started (seconds since 1970), duration_s, host
    changed: list[str] | None = None  # sources and external files that differ now; None where that is not known
    log: str | None = None

    def as_json(self) -> dict[str, Any]:
        """All fields."""
        return {"stage": self.stage, "key": self.key, **self.about, "run": self.run, "changed": self.changed} | {
            "needs": self.needs,
            "log": self.log,
        }


def inspect(look: Look, name: str) -> Origin:
    """The chain behind `name`: a stage, or the path of an artifact, of a part of one or of a copy.

    Raises GraphError where there is no such thing, or nothing tells how it was made.
    """
    stores = [store for store in (look.store, look.shared) if store is not None]
    if name in look.plan.stages:
        receipt = look.linked_receipt(look.plan.stages[name])[1]
        if receipt is None:
            raise GraphError(f"stage {name} has no result; run `doit {name}`")
        return Origin(f"the result of {name}", _chain(look, stores, receipt))
    path = os.path.realpath(name)
    if not os.path.exists(path):
        raise GraphError(f"{name} is neither a stage nor a file; `doit list` shows the stages")
    for store in stores:
        inside = os.path.relpath(path, os.path.realpath(store.path)).split(os.sep)
        receipt = store.receipt(inside[0]) if inside[0] not in (".", "..") else None
        if receipt is not None:
            part = "/".join(inside[1:])
            _check(name, store.entry(inside[0]), part, receipt)
            return Origin(f"{part or 'the result'} of {receipt['stage']}", _chain(look, stores, receipt))
    digest = _digest(path)
    for match in (_same_output, _same_part):  # a copy of model.bin is export's, though a bundle holds it too
        for store in stores:
            for receipt in store.receipts():
                output = match(path, digest, store, receipt)
                if output is not None:
                    what = f"a copy of {output or 'all'} of {receipt['stage']}"
                    return Origin(what, _chain(look, stores, receipt))
    found = _from_provenance(path)
    if found is None:
        raise GraphError(f"{name} (SHA-256 {digest}) is nothing that a result in {look.store.path} holds")
    return found


# ── Finding the receipt ──


def _digest(path: str, but: Collection[str] = ()) -> str:
    """Of a file or a folder, as results are measured. but: what is no part of the folder."""
    if not os.path.isdir(path):
        return file_digest(path)
    return tree_digest((found.name, file_digest(found.path), is_executable(found.stat)) for found in walk(path, but))


def _check(name: str, entry: str, part: str, receipt: Receipt) -> None:
    """Raises GraphError if the outputs that `part` is or lies in, or that lie in it, are not what the receipt says."""
    for output, expected in receipt["outputs"].items():
        concerned = part in ("", output.rstrip("/")) or (output.endswith("/") and part.startswith(output))
        made = f"{entry}/{output}".rstrip("/")
        if concerned and _digest(made, within(output, receipt["outputs"])) != expected["digest"]:
            raise GraphError(
                f"{name} is corrupt: it is not what {receipt['stage']} made; run `doit {receipt['stage']}`"
            )


def _same_output(path: str, digest: str, store: Store, receipt: Receipt) -> str | None:
    """The name of the output that has this digest; "": all outputs together."""
    is_folder = os.path.isdir(path)
    for name, found in receipt["outputs"].items():
        if name.endswith("/") != is_folder:
            continue
        but = within(name, receipt["outputs"])
        if found["digest"] == (_digest(path, but) if but else digest):
            return str(name)
    return "" if is_folder and digest_in(receipt, "") == digest else None


def _same_part(path: str, digest: str, store: Store, receipt: Receipt) -> str | None:
    """The name of the file in an output that has this digest."""
    size_bytes = os.path.getsize(path)
    for name in receipt["outputs"]:
        folder = f"{store.entry(receipt['key'])}/{name}"
        if name.endswith("/") and os.path.isdir(folder) and not os.path.isdir(path):
            for file in walk(folder.rstrip("/")):
                if file.stat.st_size == size_bytes and store.cache.digest(file.path, file.stat) == digest:
                    return f"{name}{file.name}"
    return None


# ── The chain from receipts ──


def _chain(look: Look, stores: list[Store], receipt: Receipt) -> list[Step]:
    """The step of a receipt and, once each, all that it needs."""
    steps: dict[str, Step] = {}
    waiting = [receipt]
    while waiting:
        this = waiting.pop(0)
        if this["key"] in steps:
            continue
        step = steps[this["key"]] = _step(look, stores, this)
        for name, made in step.about["inputs"].items():
            upstream = _maker(stores, made)
            if upstream is not None:
                made["stage"] = upstream["stage"]
                step.needs[name] = upstream["key"]
                waiting.append(upstream)
    return list(steps.values())


def _maker(stores: list[Store], made: Mapping[str, Any]) -> Receipt | None:
    """The receipt of the result that an input came from; where that is gone, of one that is equal."""
    if made["key"] is not None:
        for store in stores:
            receipt = store.receipt(made["key"])
            if receipt is not None:
                return receipt
    for store in stores:
        for receipt in store.receipts(made["stage"]):
            outputs = [made["output"]] if made["output"] is not None else [*receipt["outputs"], ""]
            if any(digest_in(receipt, output) == made["digest"] for output in outputs):
                return receipt
    return None


def _step(look: Look, stores: list[Store], receipt: Receipt) -> Step:
    made_from, run = receipt["components"], receipt.get("run", {})
    origins = run.get("inputs", {})
    unknown = {"stage": None, "output": None, "key": None}
    about = {
        "command": made_from["command"],
        "inputs": {name: {**origins.get(name, unknown), "digest": d} for name, d in made_from["inputs"].items()},
        **{what: made_from[what] for what in ("sources", "external", "params", "profile", "tools")},
        "environment": {**made_from["env"], **made_from["set_env"]},
        "outputs": receipt["outputs"],
        **({"accepted": receipt["accepted"]} if "accepted" in receipt else {}),
    }
    ran = {what: run.get(what) for what in ("started", "duration_s", "host")}
    log = next((path for store in stores if os.path.exists(path := f"{store.entry(receipt['key'])}/{LOG}")), None)
    return Step(receipt["stage"], receipt["key"], about, run=ran, changed=_changed(look, receipt), log=log)


def _changed(look: Look, receipt: Receipt) -> list[str] | None:
    """The sources and external files of a receipt that differ now; None if there is no such stage any more."""
    stage = look.plan.stages.get(receipt["stage"])
    if stage is None:
        return None
    now: dict[str, str] = {}
    try:
        now = {name: digests.key for name, digests in expand(stage.sources, look.new_view()).items()}
        now |= {path: digest for paths in look.external(stage).values() for path, digest in paths.items()}
    except GraphError:  # one is gone: show all as changed, rather than nothing
        pass
    made_from = receipt["components"]
    then = {**made_from["sources"], **{p: d for paths in made_from["external"].values() for p, d in paths.items()}}
    return sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))


# ── The chain from a provenance.json ──


def _from_provenance(path: str) -> Origin | None:
    """The chain in a provenance.json: `path` itself, or the one in the folder `path`. None where there is none."""
    file = f"{path}/{PROVENANCE}" if os.path.isdir(path) else path
    try:
        with open(file, encoding="utf-8") as opened:
            stages = json.load(opened)["stages"]
        steps = [_provenance_step(name, stages) for name in _outermost_first(stages)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    what = "a file that no store here knows; its chain as it tells it itself"
    if os.path.isdir(path):
        what = "a folder that no store here knows; its chain as its provenance.json tells it"
        for step in steps:
            for output, made in step.about["outputs"].items():
                if os.path.isfile(f"{path}/{output}"):
                    same = _digest(f"{path}/{output}") == made["digest"]
                    what += f"; {output} {'is' if same else 'is NOT'} the one that it names"
    return Origin(what, steps)


def _provenance_step(name: str, stages: Mapping[str, Any]) -> Step:
    """Raises KeyError, TypeError or ValueError for what merge() does not write."""
    entry = stages[name]
    about = {what: dict(entry[what]) for what in ("inputs", "sources", "params", "tools", "environment", "outputs")}
    about |= {what: entry[what] for what in ("command", "profile", "accepted") if what in entry}
    about["external"] = {
        group: {file["name"]: file["digest"] for file in files} for group, files in entry["external"].items()
    }
    texts = [name, entry["key"], *about["command"], *(made["digest"] for made in about["outputs"].values())]
    numbers = [made["size_bytes"] for made in about["outputs"].values()]
    if not all(isinstance(text, str) for text in texts) or not all(isinstance(number, int) for number in numbers):
        raise TypeError("a text or a number is something else")
    needs = {label: stages[made["stage"]]["key"] for label, made in about["inputs"].items()}
    return Step(name, entry["key"], about, needs)


def _outermost_first(stages: Mapping[str, Any]) -> Iterator[str]:
    """Stages that no other needs, then the rest."""
    needed = {made["stage"] for each in stages.values() for made in each["inputs"].values()}
    yield from sorted(stages, key=lambda name: (name in needed, name))
