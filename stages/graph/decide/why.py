"""`doit why`: for each stage, whether it is fresh and if not, what changed and what follows. The dry run too; it
writes nothing.

Exact as long as every result upstream is linked, in the store or at the remote, since receipts have the digests of
outputs. Beyond that a stage may run: what it needs is made again, and if that comes out equal, the stage is fresh.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from ..keep.receipt import Receipt, digest_in
from .key import Reason
from .look import Input, Look

FRESH = "fresh"
WILL_RUN = "will run"
MAY_RUN = "may run: cut off if unchanged"
FROM_STORE = "comes from the store"
FROM_REMOTE = "comes from the remote store"


@dataclass(frozen=True)
class Explanation:
    """The state of one stage and its reasons."""

    stage: str
    state: str
    reasons: list[Reason]

    def as_json(self) -> dict[str, Any]:
        """{stage, state, reasons: [{kind, name, old, new}]}."""
        return {"stage": self.stage, "state": self.state, "reasons": [reason._asdict() for reason in self.reasons]}


def explain(
    look: Look, names: Collection[str] = (), at_remote: Callable[[str], Receipt | None] = lambda key: None
) -> list[Explanation]:
    """Explain the named stages and all that they need, in graph order; every stage if none is named. `at_remote`: the
    receipt that the remote store has for a key; asked only for what would have to run.
    """
    found = []
    receipts: dict[str, Receipt | None] = {}  # of the results that there will be; None where that is not known
    for name in look.plan.chain(names):
        stage = look.plan.stages[name]
        inputs = {}
        for label, output in stage.inputs.items():
            made = receipts[output.stage]
            inputs[label] = Input(None if made is None else made["key"], digest_in(made, output.path))
        state = look.evaluate(stage, inputs)
        receipt = None
        if state.fresh:
            verdict, receipt = FRESH, state.summary
        elif any(given.digest is None for given in inputs.values()):
            verdict = MAY_RUN if all(reason.kind == "upstream" for reason in state.reasons) else WILL_RUN
        else:
            found_result = look.reusable(stage, state)
            if found_result is not None:
                verdict, receipt = FROM_STORE, found_result[1]
            else:
                receipt = None if state.key is None else at_remote(state.key)
                verdict = WILL_RUN if receipt is None else FROM_REMOTE
        receipts[name] = receipt
        held = [Reason("held", f"whatever changed; `doit use --today {name}` lets it go", None, None)] * state.held
        found.append(Explanation(name, verdict, [*state.reasons, *held, *accepted(receipt)]))
    return found


def accepted(receipt: Receipt | None) -> list[Reason]:
    """What a person vouched for, oldest first: reasons that make nothing stale."""
    found: list[Reason] = []
    key, note = (receipt or {}).get("key"), (receipt or {}).get("accepted")
    while isinstance(note, dict):
        found.append(Reason("accepted", str(note.get("reason") or "no reason given"), note.get("from"), key))
        key, note = note.get("from"), note.get("earlier")
    return found[::-1]


def as_text(explanations: list[Explanation]) -> str:
    """One line a stage, one below it for each reason."""
    width = max((len(e.stage) for e in explanations), default=0) + 2
    lines = []
    for explanation in explanations:
        lines.append(f"{explanation.stage:<{width}}{explanation.state}")
        lines += [f"{'':<{width + 2}}{reason.text()}" for reason in explanation.reasons]
    return "\n".join(lines)
