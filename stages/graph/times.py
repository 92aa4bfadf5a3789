"""How long a stage usually takes, by receipts: for people, never for a key."""

from __future__ import annotations

from .graph import Graph
from .stage import Stage


def usual_s(graph: Graph, stage: Stage) -> float | None:
    """The seconds that the linked result took; where nothing is linked, that the newest in the store took."""
    receipt = graph.linked_receipt(stage)[1]
    if receipt is None:
        receipt = next(iter(graph.store.receipts(stage.name)), None)
    try:
        return None if receipt is None else float(receipt["run"]["duration_s"])
    except (KeyError, TypeError, ValueError):
        return None
