"""Sizes, ages and counts as a person writes and reads them: `10GB`, `1.5GiB`, `30d`, `1 result`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import UsageError

SIZES = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
AGES = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_NUMBER = r"(\d+(?:\.\d+)?)"


def parse_size(text: str) -> int:
    """Bytes. Raises UsageError for anything but a number with a unit such as GB (10^9) or GiB (2^30)."""
    found = re.fullmatch(rf"{_NUMBER}\s*([a-z]*)", text.strip().lower())
    if found is None or found[2] not in SIZES:
        raise UsageError(f"{text!r} is not a size; write 10GB, 500MB, 1.5GiB or 0")
    return int(float(found[1]) * SIZES[found[2]])


def parse_age(text: str) -> float:
    """Seconds. Raises UsageError for anything but a number with one of the units m, h, d, w."""
    found = re.fullmatch(rf"{_NUMBER}\s*([a-z])", text.strip().lower())
    if found is None or found[2] not in AGES:
        raise UsageError(f"{text!r} is not an age; write 30d, 12h or 2w")
    return float(found[1]) * AGES[found[2]]


def listed(names: Sequence[str], most: int) -> str:
    """a, b and 3 more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def counted(number: int, noun: str) -> str:
    """1 result, 2 results."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def size_text(size_bytes: int) -> str:
    """999 B, 12.3 kB, 4.0 GB."""
    size, unit = float(size_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 999.95:
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
