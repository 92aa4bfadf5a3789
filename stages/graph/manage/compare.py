"""Where two results differ, byte by byte: two folders and an output in, the differing files out."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import NamedTuple

from ..declare.names import within
from ..read.digest import Found, file_digest, is_executable, walk

BLOCK_BYTES = 1 << 20
MISSING = "missing"


class Difference(NamedTuple):
    """One file that differs between two builds of a result."""

    file: str  # relative to the result's folder
    old: str  # digest in the linked result, or "missing"
    new: str  # digest in the other one, or "missing"
    offset: int | None  # of the first byte that differs; None where a file is missing or only its mode differs

    def text(self) -> str:
        """One line for a person."""
        where = "" if self.offset is None else f", first at byte {self.offset}"
        if self.old == self.new:
            return f"{self.file}: executable in one of the two only"
        return f"{self.file}: {self.old[:10]} → {self.new[:10]}{where}"


def differences(old: str, new: str, output: str, outputs: Collection[str]) -> list[Difference]:
    """The files of one of the outputs (a file, or a folder if it ends in "/") that differ between the results in the
    folders `old` and `new`.

    Raises GraphError or OSError where one of them cannot be read.
    """
    but = within(output, outputs)
    before, after = _files(old, output, but), _files(new, output, but)
    found = []
    for name in sorted(before.keys() | after.keys()):
        one, two = before.get(name), after.get(name)
        if one is None or two is None:
            found.append(Difference(name, _digest(one), _digest(two), None))
            continue
        offset = first_difference(one.path, two.path)
        if offset is not None or is_executable(one.stat) != is_executable(two.stat):
            found.append(Difference(name, _digest(one), _digest(two), offset))
    return found


def first_difference(one: str, two: str) -> int | None:
    """The offset of the first byte in which two files differ, the end of the shorter one included; None if equal."""
    with open(one, "rb") as left, open(two, "rb") as right:
        offset = 0
        while True:
            a, b = left.read(BLOCK_BYTES), right.read(BLOCK_BYTES)
            if a != b:
                shorter = min(len(a), len(b))
                return offset + next((i for i in range(shorter) if a[i] != b[i]), shorter)
            if not a:
                return None
            offset += len(a)


def _files(folder: str, output: str, but: Collection[str]) -> dict[str, Found]:
    path = f"{folder}/{output}"
    if output.endswith("/"):
        return {output + file.name: file for file in walk(path.rstrip("/"), but)}
    return {output: Found(output, path, os.lstat(path))}


def _digest(file: Found | None) -> str:
    return MISSING if file is None else file_digest(file.path)
