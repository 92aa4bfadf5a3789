"""Links: which result each stage has now, and the names under which people open its outputs.

build/<scope>/.current/<stage> -> ../../store/<key>        flipped atomically
build/<scope>/NAME             -> .current/<stage>/PATH
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping

from ..errors import GraphError


def linked_key(build: str, scope: str, stage: str) -> str | None:
    """The key that a stage's link names, or None."""
    try:
        target = os.readlink(f"{build}/{scope}/.current/{stage}")
    except OSError:
        return None
    return target.removeprefix("../../store/") if target.startswith("../../store/") else None


def link(build: str, scope: str, stage: str, key: str, links: Mapping[str, str]) -> None:
    """Flip a stage's link to a key, and make the links that people open.

    Marks the old result and the new one as used now, by the times of their folders, for `doit gc`.
    """
    for used in (linked_key(build, scope, stage), key):
        with contextlib.suppress(OSError):
            os.utime(f"{build}/store/{used}")
    replace_link(f"../../store/{key}", f"{build}/{scope}/.current/{stage}")
    for name, path in links.items():
        up = "../" * name.count("/")
        replace_link(f"{up}.current/{stage}/{path}".rstrip("/"), f"{build}/{scope}/{name}".rstrip("/"))


def check_free(build: str, scope: str, stage: str, links: Mapping[str, str]) -> None:
    """Raises GraphError where a link of a stage would take the place of something that is no link."""
    for name in (*links, f".current/{stage}"):
        _check_free(f"{build}/{scope}/{name}".rstrip("/"))


def unlink(build: str, scope: str, stage: str, links: Mapping[str, str]) -> None:
    """Remove a stage's link, and those that people open."""
    for name in (*links, f".current/{stage}"):
        path = f"{build}/{scope}/{name}".rstrip("/")
        if os.path.islink(path):
            os.unlink(path)


def linked_keys(build: str) -> set[str]:
    """Every key that some link names, in any scope."""
    return {key for _, key in _links(build) if key is not None}


def links_to(build: str, key: str) -> list[str]:
    """The links that name a key, as SCOPE/.current/STAGE: presets share equal results."""
    return [link for link, named in _links(build) if named == key]


def _links(build: str) -> Iterator[tuple[str, str | None]]:
    """(SCOPE/.current/STAGE, the key that it names) of every stage's link, sorted."""
    for scope in sorted(os.listdir(build)):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for stage in sorted(os.listdir(f"{build}/{scope}/.current")):
                yield f"{scope}/.current/{stage}", linked_key(build, scope, stage)


def wrong_links(build: str, scope: str, stage: str, links: Mapping[str, str]) -> list[str]:
    """The names of public links that are not as `link` makes them."""
    wrong = []
    for name, path in links.items():
        try:
            target = os.readlink(f"{build}/{scope}/{name}".rstrip("/"))
        except OSError:
            target = ""
        if target != f"{'../' * name.count('/')}.current/{stage}/{path}".rstrip("/"):
            wrong.append(name)
    return wrong


def _check_free(path: str) -> None:
    if os.path.lexists(path) and not os.path.islink(path):
        kind = "folder" if os.path.isdir(path) else "file"
        raise GraphError(f"{path} is a {kind} where a link to a result belongs; move it away and run again")


def replace_link(target: str, path: str) -> None:
    """Make `path` a link to `target` in one step. Raises GraphError if anything but a link lies there."""
    with contextlib.suppress(OSError):
        if os.readlink(path) == target:
            return
    _check_free(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{os.path.dirname(path)}/.tmp-{os.path.basename(path)}"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    os.symlink(target, temporary)
    os.replace(temporary, path)
