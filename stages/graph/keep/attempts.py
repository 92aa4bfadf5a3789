"""The last attempts at a stage: what its command was run with, how it went, and what a failed one left.

    build/run/STAGE/src            the snapshot that it ran in
    build/run/STAGE/params.json    its parameters
    build/run/STAGE/log.txt        what it printed; locked (flock) while it runs, so a dead run looks like none
    build/run/STAGE/attempt.json   the record below
    build/run/STAGE/out            what a failed command had made
    build/run/STAGE+2              the same, of a second one of the same stage that runs at the same time
    build/run/STAGE@KEY            the same, of a choice of `doit exp run` that failed

A failure stays until the stage succeeds (that of a choice: until that choice does), or `gc` takes the folder.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..declare.names import LOG
from .store import remove_tree

RECORD, OUT = "attempt.json", "out"
RUNNING, FAILED, STOPPED, BUILT = "running", "failed", "stopped", "built"
_FOLDER = re.compile(r"([A-Za-z0-9][\w.-]*)(?:\+\d+|@[0-9a-f]+)?")


@dataclass(frozen=True)
class Attempt:
    """How a command was run. Words hold their placeholders; no variable's value that came from outside is here."""

    stage: str
    key: str
    run: Sequence[str]
    cwd: str
    env: Sequence[str]  # names alone
    set_env: Mapping[str, str]
    pythonpath: Sequence[str]
    values: Mapping[str, str]  # of the placeholders, but for those that lie in this folder
    started: float  # Unix time
    state: str = RUNNING
    seconds: float = 0.0
    how: str = ""  # it failed: "ended with status 1"
    on: str = ""  # where it ran, if not here


def folder_name(stage: str, number: int = 1) -> str:
    """The folder of the first, second, ... command of a stage at the same time."""
    return stage if number == 1 else f"{stage}+{number}"


def apart_name(stage: str, key: str) -> str:
    """The folder of a choice that failed."""
    return f"{stage}@{key[:10]}"


def save(folder: str, attempt: Attempt) -> None:
    """Write the record in one step."""
    with open(f"{folder}/{RECORD}.new", "w", encoding="utf-8", errors="surrogateescape") as file:
        json.dump(dataclasses.asdict(attempt), file, indent=1)
    os.replace(f"{folder}/{RECORD}.new", f"{folder}/{RECORD}")


def load(folder: str) -> Attempt | None:
    """The record of a folder; None where there is none, or another version wrote it."""
    try:
        with open(f"{folder}/{RECORD}", encoding="utf-8", errors="surrogateescape") as file:
            return Attempt(**json.load(file))
    except (OSError, ValueError, TypeError):
        return None


def ended(folder: str, attempt: Attempt, state: str, how: str = "") -> None:
    """Note how an attempt ended. Nothing else hangs on it: where the disk is full, it stays unsaid."""
    with contextlib.suppress(OSError):
        seconds = round(time.time() - attempt.started, 3)
        save(folder, dataclasses.replace(attempt, state=state, seconds=seconds, how=how))


def forget(build: str, folder: str, stage: str, key: str, log: bool) -> None:
    """The stage has its result: remove what failures left, and where `log`, what was printed (the result's own folder
    has it).
    """
    with contextlib.suppress(OSError):
        if log:
            os.unlink(f"{folder}/{RECORD}")
            os.unlink(f"{folder}/{LOG}")
    for path in (f"{folder}/{OUT}", f"{build}/run/{apart_name(stage, key)}"):
        if os.path.lexists(path):
            remove_tree(path)


def is_running(folder: str) -> bool:
    """Whether the command of this folder runs now."""
    try:
        fd = os.open(f"{folder}/{LOG}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(fd)


def newest(build: str, word: str) -> str | None:
    """The folder that a stage's name means: of one that runs, else of the last one that did; None where none did. A
    word such as STAGE@KEY means that one.
    """
    found, run = [], f"{build}/run"
    for name in os.listdir(run) if _FOLDER.fullmatch(word) and os.path.isdir(run) else ():
        parts = _FOLDER.fullmatch(name)
        if parts is not None and word in (name, parts[1]):
            with contextlib.suppress(OSError):
                folder = f"{run}/{name}"
                found.append((is_running(folder), os.stat(f"{folder}/{LOG}").st_mtime_ns, folder))
    return max(found)[2] if found else None
