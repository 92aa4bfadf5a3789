"""How long a stage usually takes, by its receipts. Shown to people; no key depends on it."""

from __future__ import annotations

from collections.abc import Iterable

from ..declare.stage import Stage
from .look import Look


def usual_s(look: Look, stage: Stage) -> float | None:
    """The seconds that the linked result took to make; where nothing is linked, the newest one in the store."""
    return usual_times(look, [stage])[stage.name]


def usual_times(look: Look, stages: Iterable[Stage]) -> dict[str, float | None]:
    """`usual_s` of several stages, with one look through the store."""
    receipts = {stage.name: look.linked_receipt(stage)[1] for stage in stages}
    unknown = {name for name, receipt in receipts.items() if receipt is None}
    if unknown:
        for receipt in look.store.receipts():
            if receipt.get("stage") in unknown:
                receipts[receipt["stage"]] = receipt
                unknown.remove(receipt["stage"])
                if not unknown:
                    break
    return {
        name: None if receipt is None else float(receipt["run"]["duration_s"]) for name, receipt in receipts.items()
    }
