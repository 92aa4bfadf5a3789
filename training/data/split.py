"""Which documents are held out, for validation and for the test: by name, by a hash of the name, or, of a single
document, its last part.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from mmap import mmap

from training.config.data import Data
from training.data.sources import matches


def held_out(names: Sequence[str], data: Data) -> set[str]:
    """The names that data.val_documents, else data.val_fraction, keeps for validation.

    names: two or more, or val_documents not empty. Both sides keep at least one document.
    Raises ValueError where a glob matches nothing or where nothing would be left for training.
    """
    if data.val_documents:
        chosen = _matched("val_documents", data.val_documents, names)
        if len(chosen) == len(set(names)):
            raise ValueError("data.val_documents holds out every document; leave at least one for training")
        return chosen
    shares = {name: int(hashlib.sha256(name.encode()).hexdigest()[:13], 16) / 16**13 for name in names}  # in [0, 1)
    ordered = sorted(shares, key=lambda name: (shares[name], name))
    below = sum(share < data.val_fraction for share in shares.values())
    return set(ordered[: min(max(below, 1), len(ordered) - 1)])


def tested(names: Sequence[str], data: Data) -> set[str]:
    """The names that data.test_documents keeps for the test.

    Raises ValueError where a glob matches nothing, or where fewer than two documents would be left.
    """
    chosen = _matched("test_documents", data.test_documents, names)
    if chosen and len(set(names) - chosen) < 2:
        raise ValueError("data.test_documents leaves fewer than two documents; one is for training, one for validation")
    return chosen


def _matched(field: str, patterns: Sequence[str], names: Sequence[str]) -> set[str]:
    """The names that the globs of a field match. Raises ValueError where one matches nothing."""
    chosen: set[str] = set()
    for pattern in patterns:
        found = {name for name in names if matches(pattern, name if "/" in pattern else name.rpartition("/")[2])}
        if not found:
            some = ", ".join(sorted(names)[:5])
            raise ValueError(
                f"data.{field}: {pattern!r} matches no document; there are {len(names)}: {some}"
                + (", ..." if len(names) > 5 else "")
            )
        chosen |= found
    return chosen


def cut(name: str, text: bytes | mmap, fraction: float) -> int:
    """Where a lone document's first part, for training, ends and its last, about `fraction` of it, for validation,
    begins: a position in bytes.

    The cut is made between paragraphs (after an empty line), else between lines, at the place nearest to the wanted
    one. Raises ValueError where there is only one line.
    """
    wanted = len(text) * (1.0 - fraction)
    for boundary in (rb"\n(?:[ \t]*\n)+", rb"\n"):
        best: int | None = None
        for found in re.finditer(boundary, text):
            at = found.end()
            if at < len(text) and (best is None or abs(at - wanted) < abs(best - wanted)):
                best = at
            elif at > wanted:
                break
        if best is not None:
            return best
    raise ValueError(
        f"{name}: one document of one line cannot be split into training and validation text; "
        "add line breaks, or a second document"
    )
