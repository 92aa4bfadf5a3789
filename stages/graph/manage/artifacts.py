"""artifacts.lock: the digests that a team agreed on, committed beside the sources and compared by `doit verify`.

    {"version": 1, "hosts": {"linux-x86_64": {"tiny/export": [
        {"profile": "repro", "tools": {"torch": "2.15.0"}, "made_from": DIGEST, "outputs": {"model.bin": DIGEST}}]}}}

It says that on this class of host, with these tools, these sources give these bytes. `made_from` is the
stage's recipe: all that its key holds, with the recipe of each stage upstream in place of that stage's bytes. So a
commit that changes no source of a stage leaves its entry valid, and where one stage's bytes differ those behind it
are still compared. An entry with another recipe says nothing about the current result: it is shown and counted, and is
neither agreement nor failure. A stage whose tools differ from every entry's is treated in the same way.

One entry for each stage, profile and set of tools. Those of other tools and hosts stay when the file is brought up to
date: other machines compare with them.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..decide.key import Components
from ..decide.look import Look
from ..errors import GraphError
from ..read.digest import bytes_digest, canonical

NAME = "artifacts.lock"
VERSION = 1

SAME = "same"
DIFFERS = "differs"
OTHER_SOURCES = "other sources"
OTHER_TOOLS = "other tools"
NOT_LOCKED = "no entry"
NOT_COMPARABLE = (OTHER_SOURCES, OTHER_TOOLS, NOT_LOCKED)


@dataclass(frozen=True)
class Recipe:
    """What a result is made from, itself and upstream; equal recipes should give equal bytes."""

    digest: str
    tools: dict[str, str]  # first line of each version, of every stage upstream too
    profile: str | None  # None where no profile changes it


class Compared(NamedTuple):
    """What the lock says of one result."""

    state: str
    differences: list[tuple[str, str | None, str | None]]  # (output, digest in the lock, digest here)


def host_class() -> str:
    """Operating system and processor, such as linux-x86_64: what compiled code and floating point depend on."""
    return f"{platform.system()}-{platform.machine()}".lower()


def recipes(look: Look, components: Mapping[str, Components]) -> dict[str, Recipe]:
    """The recipe of each stage in `components` (name -> what its result was made from) whose upstream is there too."""
    found: dict[str, Recipe] = {}
    for name in look.plan.order:
        stage = look.plan.stages[name]
        if name not in components or any(output.stage not in found for output in stage.inputs.values()):
            continue
        own = components[name]
        upstream = {n: [found[output.stage].digest, output.path] for n, output in stage.inputs.items()}
        before = [found[output.stage] for output in stage.inputs.values()]
        versions: dict[str, set[str]] = {n: {version.split("\n")[0]} for n, version in own["tools"].items()}
        for recipe in before:
            for tool, version in recipe.tools.items():
                versions.setdefault(tool, set()).update(version.split(" + "))
        profiles = {recipe.profile for recipe in before} | {own["profile"]}
        found[name] = Recipe(
            bytes_digest(canonical({**own, "inputs": upstream})),
            {tool: " + ".join(sorted(versions[tool])) for tool in sorted(versions)},
            "+".join(sorted(profile for profile in profiles if profile)) or None,
        )
    return found


class ArtifactsLock:
    """The lock file of a project, as this host sees it."""

    def __init__(self, root: str) -> None:
        """Raises GraphError where there is a file that is not such a lock."""
        self.path = f"{root}/{NAME}"
        self._hosts: dict[str, dict[str, list[dict[str, Any]]]] = {}
        with contextlib.suppress(FileNotFoundError):
            with open(self.path, "rb") as file:
                text = file.read()
            try:
                data = json.loads(text)
                if data["version"] != VERSION:
                    raise ValueError(f"its version is {data['version']}, expected {VERSION}")
                self._hosts = data["hosts"]
                for places in self._hosts.values():
                    for entries in places.values():
                        _check(entries)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                advice = "take either side of a merge, or remove it, and run `doit verify --update-lock`"
                raise GraphError(f"{self.path} cannot be used ({error}); {advice}") from error

    def compare(self, place: str, recipe: Recipe, outputs: Mapping[str, str]) -> Compared:
        """Compare the digests of a result's outputs with the entry of its `place` (scope/stage), if there is one."""
        here = [e for e in self._hosts.get(host_class(), {}).get(place, []) if e["profile"] == recipe.profile]
        entry = next((e for e in here if e["tools"] == recipe.tools), None)
        if entry is None:
            return Compared(OTHER_TOOLS if here else NOT_LOCKED, [])
        if entry["made_from"] != recipe.digest:
            return Compared(OTHER_SOURCES, [])
        locked = entry["outputs"]
        names = sorted({*locked, *outputs})
        found = [(n, locked.get(n), outputs.get(n)) for n in names if locked.get(n) != outputs.get(n)]
        return Compared(DIFFERS if found else SAME, found)

    def put(self, place: str, recipe: Recipe, outputs: Mapping[str, str]) -> None:
        """Replace the entry of the same place, profile and tools, or add one."""
        entries = self._hosts.setdefault(host_class(), {}).setdefault(place, [])
        entries[:] = [e for e in entries if (e["profile"], e["tools"]) != (recipe.profile, recipe.tools)]
        entries.append(
            {
                "profile": recipe.profile,
                "tools": dict(recipe.tools),
                "made_from": recipe.digest,
                "outputs": dict(outputs),
            }
        )
        entries.sort(key=lambda e: (e["profile"] or "", sorted(e["tools"].items())))

    def save(self) -> bool:
        """Write the file by a rename; returns whether that changed it."""
        data = {"version": VERSION, "hosts": self._hosts}
        text = json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        with contextlib.suppress(OSError), open(self.path, encoding="utf-8") as file:
            if file.read() == text:
                return False
        temporary = f"{self.path}.{os.getpid()}.tmp"
        try:
            with open(temporary, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(temporary, self.path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
        return True


def _check(entries: list[dict[str, Any]]) -> None:
    """Raises KeyError, TypeError or ValueError for malformed entries."""
    for entry in entries:
        entry["profile"], entry["made_from"]
        for table in (entry["tools"], entry["outputs"]):
            if not all(isinstance(value, str) for value in table.values()):
                raise ValueError("an entry's tools and outputs must be texts")
