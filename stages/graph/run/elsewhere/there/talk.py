"""Requests in, answers out: what the modules of the other side share."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from typing import Any, BinaryIO

CHUNK_BYTES = 1 << 18


class Refused(Exception):
    """What cannot be done here; the text says why."""


def answer(**found: Any) -> None:
    """One line of an answer."""
    sys.stdout.buffer.write(json.dumps(found).encode() + b"\n")
    sys.stdout.buffer.flush()


def digest_of(file: BinaryIO) -> str:
    found = hashlib.sha256()
    while data := file.read(CHUNK_BYTES):
        found.update(data)
    return found.hexdigest()


def remove(path: str) -> None:
    """Remove a file or a folder, also one that a command made read-only."""
    for folder, _, _ in os.walk(path):
        os.chmod(folder, 0o700)
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)
