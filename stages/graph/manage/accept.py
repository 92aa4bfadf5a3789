"""accept: keep a stage's result after a change that a person vouches for.

The stage's current key gets an entry of its own that holds the linked result's outputs. Its receipt records that:

    accepted: {from: old key, differences: [{kind, name, old, new}], reason, when, earlier: the old one's own, if any}

The outputs are hard links: both entries are immutable, so large weights are not stored twice.
"""

from __future__ import annotations

import os
import time

from ..decide import key as keys
from ..decide.key import Reason
from ..decide.look import Look, State
from ..decide.why import FRESH, FROM_STORE, explain
from ..declare.names import RECEIPT
from ..declare.stage import Stage
from ..errors import GraphError
from ..keep import links
from ..keep import store as stores
from ..keep.receipt import Receipt
from ..read.digest import walk


def accept(look: Look, stage: Stage, reason: str | None) -> list[Reason]:
    """Link the outputs of the linked result as those of the current key; returns what differs. The caller holds the
    lock.

    Raises GraphError where there is nothing to accept, or the result cannot stand for the current one.
    """
    *upstream, itself = explain(look, [stage.name])
    if itself.state == FRESH:
        raise GraphError(f"{stage.name} is fresh: there is nothing to accept")
    stale = [each.stage for each in upstream if each.state != FRESH]
    if stale:
        words = " and ".join(f"`doit {name}`" for name in stale)
        raise GraphError(f"{stage.name} is made from {', '.join(stale)}, not fresh; run {words}, or accept that first")
    if itself.state == FROM_STORE:
        raise GraphError(f"the store has today's result of {stage.name}; run `doit {stage.name}` to link it")
    state = look.state(stage)
    receipt = _acceptable(look, stage, state)
    assert state.key is not None and state.components is not None
    differences = keys.differences(receipt["components"], state.components)
    accepted = {
        "from": receipt["key"],
        "differences": [each._asdict() for each in differences],
        "reason": reason,
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **({"earlier": receipt["accepted"]} if "accepted" in receipt else {}),
    }
    folder = look.store.new_folder("accepted")
    try:
        _link_files(look.store.entry(receipt["key"]), folder)
        current = {**receipt, "key": state.key, "components": state.components, "accepted": accepted}
        look.store.publish(folder, state.key, current)
    finally:
        if os.path.lexists(folder):
            stores.remove_tree(folder)
    links.link(look.plan.build, stage.scope, stage.name, state.key, stage.links)
    look.invalidate()
    return differences


def _acceptable(look: Look, stage: Stage, state: State) -> Receipt:
    """The receipt of the linked result, if that may stand for the current one. Raises GraphError if not."""
    name, receipt = stage.name, state.receipt
    if state.linked is None:
        raise GraphError(f"{name} was never built: there is nothing to accept; run `doit {name}`")
    if receipt is None or look.store.good(state.linked) is None:
        raise GraphError(f"the result of {name} is corrupt; run `doit {name}`")
    if state.key is None:
        unknown = "; ".join(reason.text() for reason in state.reasons)
        raise GraphError(f"the current key of {name} is not known: {unknown}")
    if sorted(receipt["outputs"]) != sorted(stage.outputs):
        had, has = ", ".join(sorted(receipt["outputs"])), ", ".join(sorted(stage.outputs))
        raise GraphError(f"{name} makes {has} today, the result to accept has {had}; run `doit {name}`")
    return receipt


def _link_files(entry: str, folder: str) -> None:
    """Hard-link the files of an entry, except its receipt, into `folder`; copy them where links do not work."""
    for file in walk(entry):
        if file.name == RECEIPT:
            continue
        target = f"{folder}/{file.name}"
        os.makedirs(os.path.dirname(target), exist_ok=True)
        try:
            os.link(file.path, target)
        except OSError:
            stores.copy_file(file.path, target)
    for path, folders, _ in os.walk(entry):
        for each in folders:
            os.makedirs(os.path.join(folder, os.path.relpath(f"{path}/{each}", entry)), exist_ok=True)
