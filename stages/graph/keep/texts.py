"""The texts of sources, kept beside the store so that two results can be compared line by line later.

build/sources/DIGEST holds a source whose digest in some receipt is DIGEST; of a Python source that is the digest of its
syntax tree, so it is one of the texts that mean the same. Nothing depends on these files: where one is missing, only
its digest is shown.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable

from ..read.expand import UNKEYED, Expansion
from .receipt import Receipt

LARGEST_BYTES = 1 << 19  # a larger source is data, and nobody reads its differences


def keep(build: str, sources: Expansion, snapshot: str) -> None:
    """Keep the texts of a snapshot. What cannot be written is left out."""
    folder = f"{build}/sources"
    with contextlib.suppress(OSError):
        os.makedirs(folder, exist_ok=True)
        there = set(os.listdir(folder))
        for name, digests in sources.items():
            file = file_name(digests.key)
            if digests.key == UNKEYED or file in there:
                continue
            there.add(file)
            path = f"{snapshot}/{name}"
            if os.path.getsize(path) > LARGEST_BYTES:
                continue
            with open(path, "rb") as opened:
                data = opened.read()
            if b"\0" not in data:
                temporary = f"{folder}/.{os.getpid()}-{threading.get_ident()}.tmp"
                with open(temporary, "wb") as out:
                    out.write(data)
                os.replace(temporary, f"{folder}/{file}")


def read(build: str, key: str) -> list[str] | None:
    """The lines of the source that has this digest in a receipt; None where its text was not kept."""
    try:
        with open(f"{build}/sources/{file_name(key)}", encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return None


def sweep(build: str, receipts: Iterable[Receipt]) -> None:
    """Remove the texts that none of these receipts names."""
    named = {file_name(key) for receipt in receipts for key in receipt["components"].get("sources", {}).values()}
    with contextlib.suppress(FileNotFoundError):
        for file in os.listdir(f"{build}/sources"):
            if file not in named:
                os.unlink(f"{build}/sources/{file}")


def file_name(key: str) -> str:
    """The digest in a source's key, without what says how it was made and whether the file may be executed."""
    return key.removeprefix("python:").partition(" ")[0]
