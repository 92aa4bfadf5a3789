"""The key: everything that a stage's result depends on, as one map of components, and what differs between two of them.

A component that is missing gives wrong results; one that is not used gives needless runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..declare.stage import Stage
from ..keep.receipt import key_of
from ..read.digest import canonical
from ..read.expand import Expansion

FORMAT = 2  # raised when the engine's own part in a result changes (the environment, the snapshot's layout)

Components = dict[str, Any]

# component -> the kind of reason that `doit why` gives
KINDS = {
    "inputs": "input",
    "sources": "source",
    "external": "external",
    "params": "parameter",
    "tools": "tool",
    "env": "environment",
    "set_env": "environment",
    "command": "command",
    "pythonpath": "command",
    "cwd": "command",
    "outputs": "command",
    "volatile": "command",
    "profile": "profile",
    "format": "engine",
    "stage": "stage",
}


class Reason(NamedTuple):
    """Why a stage is not fresh."""

    kind: str
    name: str
    old: Any
    new: Any

    def text(self) -> str:
        """One line for a person: long digests are cut."""
        if self.old is None and self.new is None:
            return f"{self.kind}: {self.name}"
        return f"{called(self.kind, self.name)}: {_short(self.old)} → {_short(self.new)}"


def components(
    stage: Stage,
    inputs: Mapping[str, str],
    sources: Expansion,
    external: Mapping[str, Mapping[str, str]],
    tools: Mapping[str, str],
    env: Mapping[str, str | None],
) -> Components:
    """The component map of a stage, from its declaration and what was found."""
    found: Components = {
        "format": FORMAT,
        "stage": stage.name,
        "command": list(stage.run),
        "cwd": stage.cwd,
        "outputs": sorted(stage.outputs),
        "inputs": dict(inputs),
        "sources": {name: digests.key for name, digests in sources.items()},
        "external": {name: dict(paths) for name, paths in external.items()},
        "params": dict(stage.params),
        "tools": dict(tools),
        "env": dict(env),
        "set_env": dict(stage.set_env),
        "pythonpath": list(stage.pythonpath),
        "profile": stage.profile if stage.profile_in_key else None,
    }
    if stage.volatile:
        found["volatile"] = sorted(stage.volatile)
    return found


def partial_name(stage: Stage, components: Components) -> str:
    """The name of the folder {partial}: equal for runs that may resume each other."""
    left_out = set(stage.resumes_over)
    return key_of(
        {
            component: {name: value for name, value in found.items() if (component, name) not in left_out}
            if isinstance(found, dict)
            else found
            for component, found in components.items()
        }
    )


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Reason]:
    """Every component that differs, old to new, one reason for each file, parameter, tool or variable."""
    reasons = []
    for component, kind in KINDS.items():
        before, after = old.get(component), new.get(component)
        if canonical(before) == canonical(after):  # as the key sees it: 1 and 1.0 differ
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            reasons += _dict_differences(kind, "", before, after)
        else:
            reasons.append(Reason(kind, component, before, after))
    return reasons


def _dict_differences(kind: str, prefix: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Reason]:
    reasons = []
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if canonical(before) == canonical(after) and (name in old) == (name in new):
            continue
        if kind == "external" and not prefix and isinstance(before, dict) and isinstance(after, dict):
            reasons += _dict_differences(kind, f"{name}: ", before, after)
        else:
            reasons.append(Reason(kind, prefix + name, before, after))
    return reasons


def called(kind: str, name: str) -> str:
    """A component as people call it: `source a.py`, but not `command command`."""
    return kind if name == kind else f"{kind} {name}"


def _short(value: Any) -> str:
    text = "none" if value is None else value if isinstance(value, str) else repr(value)
    digest, space, rest = text.removeprefix("python:").partition(" ")
    if len(digest) == 64 and set(digest) <= set("0123456789abcdef"):
        return digest[:10] + space + rest
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:57] + "..."
