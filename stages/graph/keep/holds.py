"""Holds: stages that keep a result which a person has chosen, whatever changes (`doit use`).

build/<scope>/.held/<stage> -> ../../store/<key>. A hold counts while the stage's link names the same result.
"""

from __future__ import annotations

import contextlib
import os

from . import links

FOLDER = ".held"


def held(build: str, scope: str) -> dict[str, str]:
    """stage -> key of the result that it is held at."""
    found = {}
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for stage in sorted(os.listdir(f"{build}/{scope}/{FOLDER}")):
            with contextlib.suppress(OSError):
                found[stage] = os.path.basename(os.readlink(f"{build}/{scope}/{FOLDER}/{stage}"))
    return found


def hold(build: str, scope: str, stage: str, key: str, public: dict[str, str]) -> None:
    """Link a result and hold its stage there. public: `Stage.links`, those that people open."""
    links.link(build, scope, stage, key, public)
    links.replace_link(f"../../store/{key}", f"{build}/{scope}/{FOLDER}/{stage}")


def let_go(build: str, scope: str, stage: str) -> None:
    """The next build brings the stage up to date again."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{build}/{scope}/{FOLDER}/{stage}")
