"""A full disk: an operating-system error or a command's last lines in, a sentence that says what to do out."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable

from ..show.units import size_text

FULL = (errno.ENOSPC, errno.EDQUOT)
ALMOST_FULL_BYTES = 1 << 20  # a command that failed with less than this left most likely failed for want of room


def described(error: Exception, build: str) -> str:
    """The error as text; for a full disk, with the file system and what to do. `build`: where the engine writes, for
    errors that name no file.
    """
    if not isinstance(error, OSError) or error.errno not in FULL:
        return str(error)
    path = error.filename if isinstance(error.filename, str) else build
    return f"{error.strerror}: {path}\n  {_advice(path)}"


def advice_after(tail: Iterable[str], build: str) -> str | None:
    """What to do after a command failed, by its last lines; None where it did not fail for want of room."""
    said = any(os.strerror(number) in line for line in tail for number in FULL)
    return _advice(build) if said or shutil.disk_usage(build).free < ALMOST_FULL_BYTES else None


def _advice(path: str) -> str:
    path = os.path.abspath(path)
    while not os.path.exists(path):
        path = os.path.dirname(path)
    found = shutil.disk_usage(path)
    place = os.path.realpath(path)
    while not os.path.ismount(place):
        place = os.path.dirname(place)
    return (
        f"the disk is full: {size_text(found.free)} of {size_text(found.total)} are free on the file system at "
        f"{place}; make room there (`doit gc` removes results that nothing links to) and run again: what was finished "
        "is kept"
    )
