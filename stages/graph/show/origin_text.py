"""A chain of results as a tree, for a person."""

from __future__ import annotations

import json
import textwrap
import time
from collections.abc import Iterator, Mapping

from ..manage.origin import Origin, Step
from .units import listed

AS_TODAY, DIFFERS = "as in the tree today", "differ from the tree today"


def as_text(found: Origin, width: int = 120) -> str:
    """The chain as a tree: a stage, what is known of it, and below it what it was made from. Each stage once."""
    steps = {step.key: step for step in found.chain}
    lines = [found.what]
    shown: set[str] = set()

    def draw(key: str, title: str, first: str, rest: str) -> None:
        step = steps[key]
        lines.append(f"{first}{title}{step.stage} {key[:10]}{'  (see above)' if key in shown else ''}")
        if key in shown:
            return
        shown.add(key)
        labels: dict[str, list[str]] = {}  # the inputs that come from one step, together
        for name, made in step.about["inputs"].items():
            labels.setdefault(step.needs.get(name, f"?{name}"), []).append(f"{name}")
            if name not in step.needs:
                lost[f"?{name}"] = f"{made['digest'][:10]}, made by a result that is in no store here"
        bar = "│  " if labels else "   "
        for label, text in _rows(step):
            lines.extend(_wrapped(f"{rest}{bar}", label, text, width))
        for index, (upstream, names) in enumerate(labels.items()):
            last = index == len(labels) - 1
            fork, below = (f"{rest}└─ ", f"{rest}   ") if last else (f"{rest}├─ ", f"{rest}│  ")
            heading = f"{', '.join(names)}: "
            if upstream in steps:
                draw(upstream, "" if names == [steps[upstream].stage] else heading, fork, below)
            else:
                lines.append(f"{fork}{heading}{lost[upstream]}")

    lost: dict[str, str] = {}
    needed = {key for step in found.chain for key in step.needs.values()}
    for step in found.chain:
        if step.key not in needed:
            draw(step.key, "", "", "")
    # The text may come from a stranger's file: no control characters reach the terminal
    return "\n".join("".join(c if c.isprintable() else " " for c in line) for line in lines)


def _rows(step: Step) -> Iterator[tuple[str, str]]:
    """What is known of a step, as (label, text)."""
    about = step.about
    if step.run and step.run["started"] is not None:
        when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(step.run["started"]))
        host = step.run["host"] or {}
        yield "ran", f"{when}, {step.run['duration_s']} s, on {host.get('system')} {host.get('machine')}"
    if "accepted" in about:
        yield "accepted", json.dumps(about["accepted"], ensure_ascii=False)
    yield "command", " ".join(about["command"])
    n_sources = len(about["sources"])
    n_outside = sum(len(paths) for paths in about["external"].values())
    state = ""
    if step.changed is not None:
        state = f", {DIFFERS}: {listed(step.changed, 5)}" if step.changed else f", {AS_TODAY}"
    if n_sources or n_outside:
        yield "sources", f"{n_sources} files" + (f" and {n_outside} from outside" if n_outside else "") + state
    if about["params"]:
        yield (
            "params",
            _listed({name: json.dumps(value, ensure_ascii=False) for name, value in about["params"].items()}),
        )
    if about["tools"]:
        yield "tools", _listed({name: str(version).partition("\n")[0] for name, version in about["tools"].items()})
    if about["environment"]:
        yield "env", _listed({n: "not set" if value is None else value for n, value in about["environment"].items()})
    for name, made in about["outputs"].items():
        yield "output", f"{name} {made['digest'][:10]}, {made['size_bytes']:,} bytes"
    if step.log is not None:
        yield "log", step.log


def _listed(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {_short(str(value))}" for name, value in sorted(values.items()))


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def _wrapped(prefix: str, label: str, text: str, width: int) -> list[str]:
    head = f"{prefix}{label:<9} "
    lines = textwrap.wrap(text, max(width - len(head), 40), break_long_words=False, break_on_hyphens=False)
    return [(head if index == 0 else f"{prefix}{'':<9} ") + line for index, line in enumerate(lines or [""])]
