"""A file damaged in many ways, the same in every run: cut at each sixteenth, and bytes changed anywhere."""

from __future__ import annotations

import random
from collections.abc import Iterator


def damaged(data: bytes, changes: int, end: int | None = None) -> Iterator[bytes]:
    """Cut at each sixteenth, then `changes` times with one to four bytes of the first `end` changed."""
    for sixteenth in range(16):
        yield data[: len(data) * sixteenth // 16]
    generator = random.Random(0)
    for _ in range(changes):
        changed = bytearray(data)
        for _ in range(generator.randrange(1, 5)):
            at = generator.randrange(end or len(data))
            changed[at] = generator.choice([changed[at] ^ 1 << generator.randrange(8), generator.randrange(256)])
        yield bytes(changed)
