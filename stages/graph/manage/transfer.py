"""push and pull: copy the results of stages to a remote store, and from one.

The key of a stage is known only once its inputs are, so both walk the graph in its order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from ..decide.look import Look
from ..keep import links
from ..keep.remote import Remote

Say = Callable[[str, str], None]  # (state of a stage, its name and details)


@dataclass
class Totals:
    """What a push or a pull did."""

    moved: int = 0
    size_bytes: int = 0  # of what was moved
    there: int = 0  # nothing to do
    missing: int = 0


def push(look: Look, remote: Remote, names: Collection[str], say: Say) -> Totals:
    """Send the linked results of the named stages and of all that they need; every stage if none is named.

    Stops where the remote cannot be written: `remote.trouble` then says why.
    """
    done = Totals()
    for name in look.plan.chain(names):
        key = look.linked_receipt(look.plan.stages[name])[0]
        if key is None or look.store.good(key) is None:
            done.missing += 1
            say("no result", f"{name}: {'never built' if key is None else 'corrupt'}; run `doit {name}`")
            continue
        sent = remote.send(key, look.store, unless_there=True)
        if sent is None:
            break
        is_new, size_bytes = sent
        done.moved += is_new
        done.there += not is_new
        done.size_bytes += size_bytes if is_new else 0
        say("pushed" if is_new else "there", f"{name}  {size_bytes:,} bytes")
    return done


def pull(look: Look, remote: Remote, names: Collection[str], say: Say) -> Totals:
    """Link what the graph would otherwise build, from the store or the remote, as far as keys can be known.

    Stops where the remote cannot be read: `remote.trouble` then says why.
    """
    done = Totals()
    for name in look.plan.chain(names):
        stage = look.plan.stages[name]
        state = look.state(stage)
        if state.fresh:
            done.there += 1
            say("fresh", name)
            continue
        if state.key is None:
            done.missing += 1
            say("not known", f"{name}: {_unknown(look, name)}")
            continue
        found = look.reusable(stage, state)
        if found is not None and found[0] is look.store:
            key, size_bytes = found[1]["key"], None
        else:
            key, size_bytes = state.key, remote.fetch(state.key, look.store)
            if size_bytes is None:
                if remote.trouble is not None:
                    break
                done.missing += 1
                say("not there", f"{name}: {key[:10]}")
                continue
        links.link(look.plan.build, stage.scope, name, key, stage.links)
        look.invalidate()
        if size_bytes is None:
            done.there += 1
            say("from the store", name)
        else:
            done.moved += 1
            done.size_bytes += size_bytes
            say("pulled", f"{name}  {size_bytes:,} bytes")
    return done


def _unknown(look: Look, name: str) -> str:
    """Why the key of a stage is not known."""
    stage = look.plan.stages[name]
    state = look.state(stage)
    lacking = sorted({stage.inputs[name].stage for name, each in look.inputs(stage).items() if each.digest is None})
    if lacking:
        return f"it needs {', '.join(lacking)} first"
    if state.missing_tools:
        return f"not found on PATH: {', '.join(state.missing_tools)}"
    return "; ".join(reason.name for reason in state.reasons)
