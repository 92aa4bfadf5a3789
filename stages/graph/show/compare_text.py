"""What `doit diff`, `doit history` and `doit blame` print."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..decide.key import Reason
from ..manage.blame import CONFOUNDED, Blame, Factor
from ..manage.compare_results import Comparison
from ..manage.results import Leaf
from .results_text import value_text
from .units import listed, size_text

SHOWN_GROUPS = 2  # sets of factors that one is confounded with
SHOWN_CONFOUNDED = 5  # factors
SHOWN_PARTS = 4  # of what always changes together
SHOWN_CHANGES = 8
SHOWN_SOURCES = 3  # of one kind
KINDS = {"source": "sources", "environment": "variables", "tool": "tools", "external": "files", "input": "inputs"}


def comparison_text(found: Comparison) -> str:
    """One block for each kind of difference; what is equal is not shown, but for metrics and sizes."""
    lines = []
    for title, block in (
        ("parameters", [_reason(each, each.name) for each in found.parameters]),
        ("sources", list(_sources(found))),
        ("tools and the like", [each.text() for each in found.others]),
        ("metrics", [_metric(*each) for each in found.metrics]),
        ("sizes", [_size(found, *each) for each in found.sizes]),
    ):
        if block:
            lines += [title, *(f"  {line}" for line in block)]
    if not (found.parameters or found.sources or found.others):
        lines.insert(0, "made from the same parameters, sources and tools")
    return "\n".join(lines)


def _reason(each: Reason, name: str) -> str:
    return f"{name}: {_default(each.old)} → {_default(each.new)}"


def _default(value: Any) -> str:
    return "(default)" if value is None else value_text(value)


def _sources(found: Comparison) -> Iterator[str]:
    for each in found.sources:
        if each.lines is None:
            what = f"{_digest(each.old)} → {_digest(each.new)}, their texts were not kept"
            yield f"{each.name} of {each.stage}: {what}"
        else:
            yield f"{each.name} of {each.stage}:"
            yield from (f"  {line}" for line in each.lines)


def _digest(key: str | None) -> str:
    return "none" if key is None else key.removeprefix("python:")[:10]


def _metric(name: str, old: float | None, new: float | None) -> str:
    if old is None or new is None:
        return f"{name}: {value_text(old)} → {value_text(new)}"
    if old == new:
        return f"{name}: {value_text(old)}, the same"
    share = f", {(new - old) / abs(old):+.1%}" if old else ""
    return f"{name}: {value_text(old)} → {value_text(new)} ({new - old:+.4g}{share})"


def _size(found: Comparison, name: str, old: int | None, new: int | None) -> str:
    if name in found.equal_outputs:
        return f"{name}: {size_text(new or 0)}, the same bytes"
    sizes = ["none" if size is None else size_text(size) for size in (old, new)]
    return f"{name}: {sizes[0]} → {sizes[1]}" if sizes[0] != sizes[1] else f"{name}: {sizes[0]}, other bytes"


def changes_text(changed: list[tuple[Leaf, Any, Any]]) -> str:
    """One line: parameters and the profile with their values, of the rest a few names of each kind."""
    words, others = [], dict[str, dict[str, str]]()  # kind -> name -> as people call it alone
    for leaf, old, new in changed:
        if leaf.kind in ("parameter", "profile"):
            words.append(f"{leaf.name} {_values(old)} → {_values(new)}")
        else:
            others.setdefault(leaf.kind, {}).setdefault(leaf.name, leaf.text())
    words = list(dict.fromkeys(words))
    for kind in sorted(others, key=lambda kind: kind == "source"):
        names = sorted(others[kind])
        if len(names) > 1 or kind == "source":
            words.append(f"{KINDS.get(kind, kind)} {listed(names, SHOWN_SOURCES)}")
        else:
            words.append(others[kind][names[0]])
    return "; ".join(words[:SHOWN_CHANGES]) + ("; ..." if len(words) > SHOWN_CHANGES else "")


def blame_text(found: Blame) -> str:
    """A block for each factor, what matters first."""
    lines = [f"{found.metric} of {found.results} results; {found.pairs} pairs differ in one component alone"]
    if found.noise is not None:
        lines.append(f"the noise, by what should decide nothing: up to {found.noise:.4g}")
    if not found.factors:
        lines.append("nothing differs between them" if found.results > 1 else "two results are needed to compare")
    unknown = [factor for factor in found.factors if factor.verdict == CONFOUNDED]
    for factor in found.factors:
        if factor not in unknown[SHOWN_CONFOUNDED:]:
            lines += ["", *_factor(factor)]
    if len(unknown) > SHOWN_CONFOUNDED:
        lines += ["", f"{len(unknown) - SHOWN_CONFOUNDED} more are confounded (--json has them; --filter leaves fewer)"]
    return "\n".join(lines)


def _factor(factor: Factor) -> Iterator[str]:
    yield f"{_name(factor)}: {factor.verdict}"
    if factor.verdict == CONFOUNDED and factor.changes:
        yield "  these always change together, so their effects cannot be told apart"
    for change in factor.changes[:SHOWN_CHANGES]:
        spread = f"{min(change.effects):+.4g} to {max(change.effects):+.4g}" if len(change.effects) > 1 else ""
        pairs = f" over {len(change.effects)} pairs, {spread}" if spread else ", one pair"
        yield f"  {_values(change.old)} → {_values(change.new)}: {change.mean:+.4g}{pairs}"
    if len(factor.changes) > SHOWN_CHANGES:
        yield f"  ... and {len(factor.changes) - SHOWN_CHANGES} more"
    for group in factor.company[:SHOWN_GROUPS]:
        yield f"  never changes alone: with {_few([_few(other.parts, ' + ', 1) for other in group], ' and ')}"


def _name(factor: Factor) -> str:
    return _few(factor.parts, " + ")


def _few(names: list[str], between: str, most: int = SHOWN_PARTS) -> str:
    more = [f"{len(names) - most} more"] * (len(names) > most)
    return between.join([*names[:most], *more])


def _values(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({_few([_values(each) for each in value], ', ')})"
    text = _default(value).removeprefix("python:").split("\n")[0]
    return text[:10] if len(text) == 64 else text if len(text) <= 40 else f"{text[:37]}..."
