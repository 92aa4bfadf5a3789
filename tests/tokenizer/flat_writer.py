"""A writer of the tokenizer's flat form that knows rust/tokenizer/FORMAT.md and nothing of the crate, and the vectors
that the Rust tests read as well.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import hf_oracle as oracle

VECTORS: dict[str, Any] = json.loads(
    (oracle.ROOT / "rust" / "tokenizer" / "tests" / "vectors" / "flat_form.json").read_text(encoding="utf-8")
)
FREE = 0xFFFFFFFF
GOLDEN = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1


def tokens_of(vector: dict[str, Any]) -> list[bytes]:
    """The tokens' bytes by id: "00..ff" stands for the 256 bytes."""
    tokens: list[bytes] = []
    for token in vector["tokens"]:
        tokens += [bytes([byte]) for byte in range(256)] if token == "00..ff" else [bytes.fromhex(token)]
    return tokens


def flat_form(vector: dict[str, Any]) -> bytes:
    """The flat form of a vector."""
    tokens = tokens_of(vector)
    added, merges = vector["added"], vector["merges"]
    own = [
        id
        for id, token in enumerate(tokens)
        if token and not any(added_id == id and not flags & 32 for added_id, flags in added)
    ]
    token_table, token_attempt = table(own, lambda id, attempt: token_hash(tokens[id], attempt))
    pair_table, pair_attempt = table(
        range(len(merges)), lambda place, attempt: pair_hash(merges[place][0], merges[place][1], attempt)
    )
    ends, end = [], 0
    for token in tokens:
        end += len(token)
        ends.append(end)
    words = [*ends, *chain(*added), *chain(*merges), *token_table, *pair_table]
    tail = b"".join(tokens) + vector["split"].encode()
    header = (
        2,
        1,
        vector["ignore_merges"],
        vector["normalizer"],
        vector["merge_order"],
        len(tokens),
        len(added),
        len(merges),
        token_attempt,
        pair_attempt,
        len(token_table),
        end,
        len(vector["split"].encode()),
        0,
        72 + 4 * len(words) + len(tail),
    )
    return struct.pack("<8s14IQ", b"PLMTOKEN", *header) + struct.pack(f"<{len(words)}I", *words) + tail


def table(numbers: Sequence[int], hash_of: Callable[[int, int], int]) -> tuple[list[int], int]:
    """The places of the numbers, and the attempt."""
    size = 16
    while size < 2 * len(numbers):
        size *= 2
    for attempt in range(32):
        places = [FREE] * size
        farthest = 0
        for number in numbers:
            home = hash_of(number, attempt) >> (64 - (size.bit_length() - 1))
            distance = next(distance for distance in range(size) if places[(home + distance) % size] == FREE)
            places[(home + distance) % size] = number
            farthest = max(farthest, distance)
        if farthest <= 255:
            return places, attempt
    raise AssertionError("no hash spreads them")


def token_hash(token: bytes, attempt: int) -> int:
    """The hash of a token's bytes."""
    state = attempt * GOLDEN & MASK ^ len(token)
    padded = token + bytes(8 - len(token) % 8)
    for at in range(0, len(padded), 8):
        rotated = (state << 5 | state >> 59) & MASK
        product = (rotated ^ int.from_bytes(padded[at : at + 8], "little")) * GOLDEN & MASK
        state = (product ^ product >> 32) * GOLDEN & MASK
    return state


def pair_hash(left: int, right: int, attempt: int) -> int:
    """The hash of a pair of ids."""
    factor = GOLDEN
    for _ in range(attempt):
        product = factor * GOLDEN & MASK
        factor = (product << 29 | product >> 35) & MASK | 1
    return (left << 32 | right) * factor & MASK
