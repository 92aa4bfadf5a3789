"""The snapshot: a stage's sources copied to build/run/<stage>/src, so that editing the project while a command runs
is harmless.

In: an expansion of the live tree. Out: the same files below the snapshot folder, and the expansion that was really
copied. Only content that differs is written, with fresh times (cargo and make trust times). What is no source any
more goes; other files there stay, such as cargo's target folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Sequence

from ..errors import GraphError
from ..read.digest import bytes_digest, is_executable
from ..read.sources import Expansion, Source, View, expand
from ..read.statcache import StatCache

ATTEMPTS = 5


def take(sources: Sequence[Source], new_view: Callable[[], View], dest: str, cache: StatCache) -> Expansion:
    """Copy the sources to `dest`; returns what was copied, as one consistent state of the tree.

    Raises GraphError where a source is missing, or the tree changes faster than it can be copied.
    """
    wanted = expand(sources, new_view())
    for _ in range(ATTEMPTS):
        view = new_view()
        if _sync(wanted, view.root, dest, cache):
            again = expand(sources, view)
            if again == wanted:
                return wanted
            wanted = again
        else:
            wanted = expand(sources, new_view())
    raise GraphError("the sources keep changing while they are copied; try again when they rest")


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
    """Make `dest` hold `wanted`. False if a file of the tree moved meanwhile."""
    manifest = f"{dest}.json"
    before = _read_manifest(manifest)
    if before is None:
        shutil.rmtree(dest, ignore_errors=True)
        before = set()
    os.makedirs(dest, exist_ok=True)
    if before != set(wanted):
        _write_manifest(manifest, before | set(wanted))
    for name in sorted(before - set(wanted)):
        _remove(dest, name)
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
    if before != set(wanted):
        _write_manifest(manifest, set(wanted))
    return True


def _write(target: str, data: bytes, executable: bool, temporary: str) -> None:
    """Write a file in one step. `temporary` lies outside the snapshot: half a file must not be a source."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.isdir(target) and not os.path.islink(target):
        shutil.rmtree(target)
    with open(temporary, "wb") as file:
        file.write(data)
        os.fchmod(file.fileno(), 0o755 if executable else 0o644)
    os.replace(temporary, target)


def _remove(dest: str, name: str) -> None:
    """Remove a file and the folders that it leaves empty."""
    with contextlib.suppress(OSError):
        os.unlink(f"{dest}/{name}")
    folder = os.path.dirname(name)
    while folder:
        try:
            os.rmdir(f"{dest}/{folder}")
        except OSError:
            return
        folder = os.path.dirname(folder)


def _read_manifest(path: str) -> set[str] | None:
    try:
        with open(path, "rb") as file:
            return set(json.loads(file.read()))
    except (OSError, ValueError, TypeError):
        return None


def _write_manifest(path: str, names: set[str]) -> None:
    temporary = f"{path}.tmp"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(sorted(names), file)
    os.replace(temporary, path)
