"""`doit verify`: whether each linked result is what its receipt says, was made from what is there today, comes out
the same when it is built again, and is what the team agreed on (artifacts.py).

Every byte is read: the stat cache is emptied first, so a file that changed while its times and size did not is found.
The new cache holds the true digests, so the next run makes such a result again.

A stale result fails, since checking it says nothing about the current sources; the message says what to type. What was
never built fails only where it was asked for, or where something built needs it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..decide.key import Reason
from ..decide.look import Look
from ..declare.stage import Stage
from ..keep import links
from ..keep.receipt import Receipt, digest_in, key_of
from . import artifacts
from .artifacts import ArtifactsLock, Recipe
from .compare import Difference, differences

VERIFIED, CORRUPT, STALE, NOT_BUILT = "verified", "corrupt", "stale", "not built"
IDENTICAL, DIFFERS, MOVED = "identical", "differs", "changed meanwhile"
NOT_REBUILT = "not rebuilt"
CORRUPTION = ("receipt", "output", "link")  # kinds of reasons that say that a result is not what was published


@dataclass
class Verdict:
    """What was found out about one stage."""

    stage: str
    result: str  # VERIFIED, CORRUPT, STALE or NOT_BUILT
    reasons: list[Reason] = field(default_factory=list)
    required: bool = True  # whether it is a failure that it was not built
    accepted: bool = False  # a person vouched for it: `doit accept`
    rebuilt: str | None = None  # IDENTICAL, DIFFERS, MOVED, or NOT_REBUILT and why; None if that was not asked
    differences: list[Difference] = field(default_factory=list)  # linked → built again
    cause: str | None = None  # the input that came out different, where that is why this did
    lock: str | None = None  # what artifacts.lock says; None where it is not asked
    locked: list[tuple[str, str | None, str | None]] = field(default_factory=list)  # output, in the lock, here

    @property
    def failed(self) -> bool:
        """Whether this makes `doit verify` exit with 1."""
        bad = self.result in (CORRUPT, STALE) or (self.result == NOT_BUILT and self.required)
        return bad or self.rebuilt in (DIFFERS, MOVED) or self.lock == artifacts.DIFFERS

    def as_json(self) -> dict[str, Any]:
        """One stage of `doit verify --json`."""
        return {
            "stage": self.stage,
            "ok": not self.failed,
            "result": self.result,
            "accepted": self.accepted,
            "reasons": [reason._asdict() for reason in self.reasons],
            "rebuilt": self.rebuilt,
            "differences": [difference._asdict() for difference in self.differences],
            "lock": self.lock,
            "locked": [{"name": name, "old": old, "new": new} for name, old, new in self.locked],
        }


def check(look: Look, names: Collection[str] = ()) -> list[Verdict]:
    """Check the named stages and all that they need, or all that is linked, in graph order. Reads every byte."""
    look.cache.forget_all()
    look.invalidate()
    linked = [name for name, stage in look.plan.stages.items() if look.linked_receipt(stage)[0] is not None]
    required = look.plan.needed(names or linked)
    shown = required if names else look.plan.order
    found = [_check(look, look.plan.stages[name], name in required) for name in look.plan.order if name in shown]
    look.cache.save()
    return found


def _check(look: Look, stage: Stage, required: bool) -> Verdict:
    key, receipt = look.linked_receipt(stage)
    if key is None:
        return Verdict(stage.name, NOT_BUILT, required=required)
    reasons = look.state(stage).reasons
    damage = [reason for reason in reasons if reason.kind in CORRUPTION]
    if receipt is not None and not any(reason.kind == "receipt" for reason in damage):
        damage += [Reason("receipt", "receipt.json", old, new) for old, new in _contradictions(stage, key, receipt)]
    accepted = bool((receipt or {}).get("accepted"))
    stale = [reason for reason in reasons if reason.kind not in CORRUPTION]
    result = CORRUPT if damage else STALE if stale else VERIFIED
    return Verdict(stage.name, result, damage + stale, required, accepted)


def _contradictions(stage: Stage, key: str, receipt: Receipt) -> Iterable[tuple[Any, Any]]:
    """What in a receipt does not fit its key, as (expected, found)."""
    made = key_of(receipt["components"])
    if made != key:
        yield key, made
    if receipt.get("stage") != stage.name:
        yield stage.name, receipt.get("stage")
    if sorted(receipt["outputs"]) != receipt["components"].get("outputs"):
        yield receipt["components"].get("outputs"), sorted(receipt["outputs"])


# ── artifacts.lock ──


def compare_with_lock(look: Look, verdicts: Collection[Verdict], lock: ArtifactsLock, update: bool) -> None:
    """Compare each verified result with its entry in the lock, or update that entry.

    Results that are accepted or differ from run to run, and those made from them, have no entry.
    """
    sound = {verdict.stage: verdict for verdict in verdicts if verdict.result == VERIFIED}
    made = recipes_of(look, sound)
    for name, verdict in sound.items():
        stage = look.plan.stages[name]
        receipt = look.linked_receipt(stage)[1]
        if name not in made or receipt is None or not_alike(look, name) is not None:
            continue
        digests = {output: str(digest_in(receipt, output)) for output in stage.compared}
        place = f"{stage.scope}/{name}"
        if update:
            lock.put(place, made[name], digests)
        verdict.lock, verdict.locked = lock.compare(place, made[name], digests)


def recipes_of(look: Look, names: Iterable[str]) -> dict[str, Recipe]:
    """The recipes of linked results."""
    receipts = {name: look.linked_receipt(look.plan.stages[name])[1] for name in names}
    return artifacts.recipes(look, {name: r["components"] for name, r in receipts.items() if r is not None})


def not_alike(look: Look, name: str) -> str | None:
    """Why equal sources need not give the bytes of a linked result, as a few words; None if they do."""
    for other in look.plan.chain([name]):
        stage = look.plan.stages[other]
        receipt = look.linked_receipt(stage)[1]
        why = None
        if receipt is not None and receipt.get("accepted"):
            why = "accepted"
        elif not stage.reproducible:
            why = "differs from run to run"
        if why is not None:
            return why if other == name else f"{other}: {why}"
    return None


# ── Built again ──


def compare_with_rebuilt(look: Look, verdicts: Collection[Verdict], other: Look, rebuilt: Collection[str]) -> None:
    """Compare each linked result with that of the other build folder, byte by byte."""
    here = recipes_of(look, [verdict.stage for verdict in verdicts])
    there = recipes_of(other, rebuilt)
    differing: set[str] = set()
    for verdict in verdicts:
        name = verdict.stage
        if name not in rebuilt:
            verdict.rebuilt = f"{NOT_REBUILT}: {not_alike(look, name)}"
            continue
        if name not in here or name not in there or here[name].digest != there[name].digest:
            verdict.rebuilt = MOVED
            continue
        stage = look.plan.stages[name]
        old, new = (g.store.entry(str(g.linked_receipt(stage)[0])) for g in (look, other))
        for output in stage.compared:
            verdict.differences += differences(old, new, output, stage.outputs)
        verdict.rebuilt = DIFFERS if verdict.differences else IDENTICAL
        if verdict.differences:
            differing.add(name)
            verdict.cause = next((o.stage for o in stage.inputs.values() if o.stage in differing), None)


def seed_accepted(look: Look, other: Look, names: Collection[str]) -> None:
    """Link the accepted results in the other build folder as they are, for the stages that are made from them."""
    for name in names:
        stage = look.plan.stages[name]
        key, receipt = look.linked_receipt(stage)
        if (
            key is not None
            and receipt is not None
            and receipt.get("accepted")
            and other.store.import_from(key, look.store)
        ):
            links.link(other.plan.build, stage.scope, name, key, stage.links)


def as_json(verdicts: Collection[Verdict]) -> Mapping[str, Any]:
    """What `doit verify --json` prints: {ok, host, stages}."""
    return {
        "ok": not any(verdict.failed for verdict in verdicts),
        "host": artifacts.host_class(),
        "stages": [verdict.as_json() for verdict in verdicts],
    }
