"""The snapshot: a stage's sources copied to build/run/<stage>/src, so that editing the project while a command runs
is harmless.

In: an expansion of the live tree. Out: the same files below the snapshot folder, and the expansion that was really
copied. Only content that differs is written, with fresh times (cargo and make trust times). What an earlier run left
there is removed, or it would reach the next one; only the caches of build tools (KEPT) stay.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence

from ..declare.sources import Source
from ..errors import GraphError
from ..keep.store import remove_tree
from ..read.digest import bytes_digest, is_executable
from ..read.expand import Expansion, expand
from ..read.statcache import StatCache
from ..read.tree import View

ATTEMPTS = 5
KEPT = ("target", "node_modules")  # cargo's and npm's: never sources (read/tree.py ignores them)


def take(
    sources: Sequence[Source],
    seen: tuple[Expansion, View] | None,
    new_view: Callable[[], View],
    dest: str,
    cache: StatCache,
) -> Expansion:
    """Copy the sources to `dest`; returns what was copied, as one consistent state of the tree. `seen`: what an earlier
    look found, which holds as long as nothing that it looked at has moved.

    Raises GraphError where a source is missing, or the tree keeps changing while it is copied.
    """
    for _ in range(ATTEMPTS):
        if seen is None:
            view = new_view()
            seen = expand(sources, view), view
        wanted, view = seen
        if _sync(wanted, view.root, dest, cache) and not view.moved():
            return wanted
        seen = None
    raise GraphError("the sources keep changing while they are copied; try again when nothing edits them")


def changed(expansion: Expansion, dest: str, cache: StatCache) -> list[str]:
    """The names of snapshot files that are no longer what was copied."""
    moved = []
    for name, digests in expansion.items():
        try:
            same = cache.digest(f"{dest}/{name}") == digests.content
        except OSError:
            same = False
        if not same:
            moved.append(name)
    return moved


def _sync(wanted: Expansion, root: str, dest: str, cache: StatCache) -> bool:
    """Make `dest` hold `wanted` and nothing else. False if a file of the tree moved meanwhile."""
    os.makedirs(dest, exist_ok=True)
    _sweep(dest, wanted)
    for name, digests in wanted.items():
        target = f"{dest}/{name}"
        try:
            executable = is_executable(os.stat(f"{root}/{name}"))
            with contextlib.suppress(OSError):
                if is_executable(os.lstat(target)) == executable and cache.digest(target) == digests.content:
                    continue
            with open(f"{root}/{name}", "rb") as file:
                data = file.read()
        except OSError:
            return False
        if bytes_digest(data) != digests.content:
            return False
        _write(target, data, executable, f"{dest}.new")
    return True


def _sweep(dest: str, wanted: Expansion) -> None:
    """Remove whatever is no source, and folders that hold none."""
    folders = {"", *(name[:at] for name in wanted for at, letter in enumerate(name) if letter == "/")}
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        with os.scandir(f"{dest}/{folder}") as entries:
            for entry in entries:
                name = f"{folder}/{entry.name}" if folder else entry.name
                is_folder = entry.is_dir(follow_symlinks=False)
                if entry.name in KEPT and is_folder:
                    continue
                if is_folder and name in folders:
                    waiting.append(name)
                elif is_folder:
                    remove_tree(entry.path)
                elif name not in wanted or entry.is_symlink():
                    os.unlink(entry.path)


def _write(target: str, data: bytes, executable: bool, temporary: str) -> None:
    """Write a file in one step. `temporary` lies outside the snapshot: half a file must not be a source."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(temporary, "wb") as file:
        file.write(data)
        os.fchmod(file.fileno(), 0o755 if executable else 0o644)
    os.replace(temporary, target)
