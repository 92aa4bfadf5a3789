"""`doit use`: go back to a stored result. Its stage is held at it, and so are the stages of the same scope that it was
made from; what comes after is made from these by the next build.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence

from ..decide.look import Look
from ..declare.stage import Stage
from ..errors import GraphError
from ..keep import holds
from ..keep.receipt import Receipt
from ..read.digest import canonical
from .results import Results


def use(look: Look, results: Results, receipt: Receipt) -> list[tuple[Stage, str]]:
    """Hold the stage of a result at it; returns each stage that is held, with the key. The caller holds the lock.

    Raises GraphError where the result cannot take the place of today's, and then holds nothing.
    """
    stage = look.plan.stages.get(receipt["stage"])
    if stage is None:
        raise GraphError(f"there is no stage {receipt['stage']} now; choose the preset that has it")
    chosen = {stage.name: receipt}
    for key in results.ancestors(receipt):
        upstream = results.receipts[key]
        other = look.plan.stages.get(upstream["stage"])
        if other is None or other.scope != stage.scope:
            continue
        if chosen.setdefault(other.name, upstream) is not upstream:
            raise GraphError(f"{receipt['key'][:10]} was made from two results of {other.name}")
    for name, each in chosen.items():
        missing = sorted(set(look.plan.stages[name].outputs).difference(each["outputs"]))
        if missing:
            raise GraphError(f"{name} {each['key'][:10]} has no {', '.join(missing)}, which {name} makes today")
        if look.store.good(each["key"]) is None:
            raise GraphError(f"the result {each['key'][:10]} of {name} is corrupt")
    order = [name for name in look.plan.order if name in chosen]
    for name in order:
        held = look.plan.stages[name]
        holds.hold(look.plan.build, held.scope, name, chosen[name]["key"], dict(held.links))
    look.invalidate()
    return [(look.plan.stages[name], chosen[name]["key"]) for name in order]


def other_words(results: Results, receipt: Receipt, held: Sequence[Stage]) -> list[str]:
    """The parameters in which a result differs from today's choice, as words for the command line: stages after it that
    take them too need them. One that is at its default in the result is written without a value.
    """
    then = results.parameters(receipt)
    now = {name: value for stage in held for name, value in stage.params.items()}
    found = []
    for name in sorted(then.keys() | now.keys()):
        if canonical(then.get(name)) != canonical(now.get(name)):
            value = then.get(name)
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            found.append(shlex.quote(f"{name}={text}") if name in then else f"{name} (at its default)")
    return found


def let_go(look: Look, names: Sequence[str]) -> list[str]:
    """End the holds of the named stages, or all of this choice; returns the stages that were held."""
    found = []
    for stage in look.plan.stages.values():
        if look.held(stage) is not None and (not names or stage.name in names):
            holds.let_go(look.plan.build, stage.scope, stage.name)
            found.append(stage.name)
    look.invalidate()
    return found
