"""Names and pins: results that people keep. `doit gc` takes them for linked results, and so for needed ones.

build/names/.current/NAME -> ../../store/<key>
build/pins/.current/KEY   -> ../../store/<key>
"""

from __future__ import annotations

import os
import re

from ..errors import UsageError
from . import links

NAMES, PINS = "names", "pins"
_NAME = re.compile(r"[A-Za-z_][\w.-]*")


def check_name(name: str) -> None:
    """Raises UsageError for what cannot be a name."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be a name: a letter first, then letters, digits, '_', '.' and '-'")


def named(build: str) -> dict[str, str]:
    """name -> key of the result that has it, sorted by name."""
    return _targets(build, NAMES)


def pinned(build: str) -> set[str]:
    """The keys that are pinned."""
    return set(_targets(build, PINS).values())


def give_name(build: str, name: str, key: str) -> None:
    """Let `name` stand for a result. The one that had it is pinned: a new run never orphans an old one."""
    check_name(name)
    before = links.linked_key(build, NAMES, name)
    if before not in (None, key) and os.path.isdir(f"{build}/store/{before}"):
        pin(build, str(before))
    links.link(build, NAMES, name, key, {})


def pin(build: str, key: str) -> None:
    """Keep a result."""
    links.link(build, PINS, key, key, {})


def release(build: str, key: str) -> list[str]:
    """Remove the pin and the names of a result; returns the names."""
    gone = [name for name, target in named(build).items() if target == key]
    for name in gone:
        links.unlink(build, NAMES, name, {})
    links.unlink(build, PINS, key, {})
    return gone


def _targets(build: str, folder: str) -> dict[str, str]:
    path = f"{build}/{folder}/.current"
    found = {}
    for name in sorted(os.listdir(path)) if os.path.isdir(path) else ():
        key = links.linked_key(build, folder, name)
        if key is not None:
            found[name] = key
    return found
