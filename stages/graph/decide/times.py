"""How long stages usually take, by their receipts, and so what is left of a run. Shown to people; no key depends on
it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from ..declare.plan import Plan
from ..declare.stage import Stage
from .look import Look
from .why import MAY_RUN, WILL_RUN, explain


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


def expected_times(
    look: Look, names: Collection[str], anew: Callable[[str], bool] = lambda stage: False
) -> dict[str, float | None]:
    """The usual seconds of each stage whose command a run of these stages would start, as far as that is known. anew:
    whether one runs even if it is fresh.
    """
    wanted = [each.stage for each in explain(look, names) if anew(each.stage) or each.state in (WILL_RUN, MAY_RUN)]
    return usual_times(look, [look.plan.stages[name] for name in wanted])


def time_left_s(plan: Plan, left: Mapping[str, float], at_once: int = 1) -> float:
    """How long stages with so many seconds left take together: their sum, shared by those that run at once, and no less
    than the longest chain of stages that wait for one another.
    """
    chains: dict[str, float] = {}
    for name in plan.order:
        before = (chains[output.stage] for output in plan.stages[name].inputs.values())
        chains[name] = left.get(name, 0.0) + max(before, default=0.0)
    return max(max(chains.values(), default=0.0), sum(left.values()) / at_once)
