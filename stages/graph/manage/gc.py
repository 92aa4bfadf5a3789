"""gc: remove the results that are needed least.

Never those that are linked in any scope of the build folder, named or pinned (which are links too), nor the results
that they were made from: `verify` and `inspect` follow those. Of the rest, the least recently used go first. A result
counts as used when a link is set to it or away from it (`links.link` sets the time of its folder). The folders that
commands leave logs in (`Stage.leaves`) are among the rest: each of what is in them, by when something in it changed.

Each is renamed before it is deleted, so a kill leaves whole entries, and leftovers that the next run removes.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field

from ..decide.key import partial_name
from ..decide.look import Look
from ..declare.stage import expand_placeholders
from ..keep import links, texts
from ..keep import store as stores
from ..keep.receipt import Receipt, digest_in

PARTIAL_S = 7 * 86_400.0  # how long {partial} and run folders are kept
KEY = re.compile(r"[0-9a-f]{64}")
REMOVED = ".removed-"  # prefix of folders that are being removed: a kill may leave them half deleted


@dataclass
class Entry:
    """One result in the store."""

    key: str
    used_s: float  # Unix time
    inodes: dict[int, int]  # of its files, to their sizes in bytes: accepted results share files
    receipt: Receipt | None


@dataclass
class Logs:
    """What a command left that is no result."""

    path: str
    used_s: float
    size_bytes: int


@dataclass
class Removal:
    """What is to be removed."""

    entries: list[tuple[Entry, int]] = field(default_factory=list)  # with the bytes that each frees
    folders: list[tuple[str, int]] = field(default_factory=list)  # build/partial/KEY, build/run/STAGE, logs
    kept_bytes: int = 0
    kept: int = 0
    needed_bytes: int = 0  # of the kept ones, those that links need


def plan(look: Look, keep_bytes: int | None, older_than_s: float | None) -> Removal:
    """Choose what to remove: results until `keep_bytes` are left, and those not used for `older_than_s` seconds."""
    now = time.time()
    entries = {entry.key: entry for entry in _entries(look)}
    needed = _needed(look, entries)
    owners: dict[int, int] = {}
    for entry in entries.values():
        for inode in entry.inodes:
            owners[inode] = owners.get(inode, 0) + 1
    sizes = {inode: size for entry in entries.values() for inode, size in entry.inodes.items()}
    found = Removal(kept_bytes=sum(sizes.values()), kept=len(entries))
    found.needed_bytes = sum({i: s for key in needed for i, s in entries[key].inodes.items()}.values())
    logs = _logs(look)
    logs_bytes = sum(each.size_bytes for each in logs)
    others: list[Entry | Logs] = [*logs, *(entry for entry in entries.values() if entry.key not in needed)]
    for each in sorted(others, key=lambda each: (not _corrupt(each), each.used_s)):
        too_much = keep_bytes is not None and found.kept_bytes + logs_bytes > keep_bytes
        too_old = older_than_s is not None and now - each.used_s > older_than_s
        if not (too_much or too_old or _corrupt(each)):
            continue
        if isinstance(each, Logs):
            logs_bytes -= each.size_bytes
            found.folders.append((each.path, each.size_bytes))
            continue
        freed = 0
        for inode, size in each.inodes.items():
            owners[inode] -= 1
            freed += size if owners[inode] == 0 else 0
        found.kept_bytes -= freed
        found.kept -= 1
        found.entries.append((each, freed))
    age_s = PARTIAL_S if older_than_s is None else older_than_s
    found.folders += [(path, size) for path, used_s, size in _scratch(look) if now - used_s > age_s]
    return found


def _corrupt(each: Entry | Logs) -> bool:
    return isinstance(each, Entry) and each.receipt is None


def remove(look: Look, chosen: Removal) -> None:
    """Remove what `plan` chose. The caller holds the lock."""
    for entry, _ in chosen.entries:
        look.store.remove(entry.key)
    if chosen.entries:
        texts.sweep(look.plan.build, look.store.receipts())
    for path, _ in chosen.folders:
        folder, name = os.path.split(path)
        aside = f"{folder}/{REMOVED}{name.removeprefix(REMOVED)}"
        os.rename(path, aside)
        stores.remove_tree(aside)
        look.cache.forget(f"{path}/")


def _entries(look: Look) -> list[Entry]:
    found = []
    names = os.listdir(look.store.path) if os.path.isdir(look.store.path) else ()
    for name in filter(KEY.fullmatch, names):
        path = look.store.entry(name)
        inodes, _ = _measure(path)
        found.append(Entry(name, os.stat(path).st_mtime, inodes, look.store.receipt(name)))
    return found


def _needed(look: Look, entries: dict[str, Entry]) -> set[str]:
    """The keys that links name, and those of what these were made from."""
    makers: dict[str, list[Entry]] = {}  # digest of an output -> results that have it, the most recently used first
    for entry in sorted(entries.values(), key=lambda each: -each.used_s):
        for output in (*(entry.receipt or {}).get("outputs", ()), ""):
            digest = digest_in(entry.receipt, output)
            if digest is not None:
                makers.setdefault(digest, []).append(entry)
    linked = links.linked_keys(look.plan.build)
    needed: set[str] = set()
    waiting = [key for key in linked if key in entries]
    while waiting:
        key = waiting.pop()
        if key in needed:
            continue
        needed.add(key)
        receipt = entries[key].receipt or {}
        origins = receipt.get("run", {}).get("inputs", {})
        for name, digest in receipt.get("components", {}).get("inputs", {}).items():
            origin = origins.get(name, {}).get("key") if isinstance(origins, dict) else None
            made = [entry.key for entry in makers.get(digest, ())]
            if origin in entries:  # what it was really made from
                waiting.append(origin)
            elif not needed.intersection(made) and not linked.intersection(made):
                waiting += made[:1]
    return needed


def _scratch(look: Look) -> list[tuple[str, float, int]]:
    """(path, last change, bytes) of each {partial} that no stage would resume from now, and of the run folders of
    stages that are no longer declared.
    """
    found = []
    resumable = [(stage, look.state(stage).components) for stage in look.plan.stages.values() if stage.resumable]
    today = {partial_name(stage, components) for stage, components in resumable if components is not None}
    partial, run = f"{look.plan.build}/partial", f"{look.plan.build}/run"
    for name in os.listdir(partial) if os.path.isdir(partial) else ():
        if name not in today:
            found.append(f"{partial}/{name}")
    for name in os.listdir(run) if os.path.isdir(run) else ():
        gone = name not in look.plan.stages and os.path.isfile(f"{run}/{name}/params.json")  # where a command ran
        if gone or name.startswith(REMOVED):
            found.append(f"{run}/{name}")
    return [(path, changed_s, sum(inodes.values())) for path in sorted(found) for inodes, changed_s in [_measure(path)]]


def _logs(look: Look) -> list[Logs]:
    """What lies in the folders that commands leave things in."""
    places = {"build": look.plan.build, "root": look.plan.root}
    words = dict.fromkeys(word for stage in look.plan.stages.values() for word in stage.leaves)
    found = []
    for folder in (expand_placeholders(word, places) for word in words):
        for path in sorted(f"{folder}/{name}" for name in os.listdir(folder)) if os.path.isdir(folder) else ():
            if os.path.isdir(path):
                inodes, changed_s = _measure(path)
                found.append(Logs(path, changed_s, sum(inodes.values())))
    return found


def _measure(folder: str) -> tuple[dict[int, int], float]:
    """({inode: size in bytes} of the files below a folder, when the last of them changed)."""
    inodes, changed_s = {}, os.lstat(folder).st_mtime
    for path, _, names in os.walk(folder):
        for name in names:
            st = os.lstat(f"{path}/{name}")
            inodes[st.st_ino] = st.st_size
            changed_s = max(changed_s, st.st_mtime)
    return inodes, changed_s
