"""A shuffled order: which of n things comes at each place. That of few is drawn, that of many computed and never kept.

A Feistel network over pairs of digits to the base ceil(sqrt(n)) permutes base² >= n numbers; one that falls outside of
the n is permuted again until it does not, in a fraction 2 / sqrt(n) of all cases where n is large. So the order of a
terabyte's windows takes as much memory as that of ten.
Source: Luby & Rackoff 1988; Black & Rogaway 2002, "Ciphers with arbitrary finite domains"; the function of a round is
the finalizer of SplitMix64 (Steele et al. 2014).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

MOST_KEPT = 1 << 24  # 64 MiB; windows of 256 tokens of 4 G tokens
ROUNDS = 8
SMALLEST_BASE = 8  # to the base 3 some orders of five things came three times as often as others, after any rounds
_WORD = (1 << 64) - 1


def shuffled(n: int, random: np.random.Generator) -> Order:
    """A permutation of 0 ... n - 1, n at least 1."""
    return random.permutation(n).astype(np.uint32) if n <= MOST_KEPT else Shuffle(n, random)


class Shuffle:
    """A permutation of 0 ... n - 1, n at least 1."""

    def __init__(self, n: int, random: np.random.Generator) -> None:
        """random: eight words are drawn from it."""
        self.n = n
        self.base = max(SMALLEST_BASE, math.isqrt(n - 1) + 1)
        self.keys: list[int] = random.integers(0, _WORD, ROUNDS, np.uint64, endpoint=True).tolist()

    def __getitem__(self, place: int) -> int:
        """What comes at a place, 0 ... n - 1."""
        assert 0 <= place < self.n, f"place {place} of {self.n}"
        while True:
            high, low = divmod(place, self.base)
            for key in self.keys:
                high, low = low, (high + mixed(low ^ key)) % self.base
            place = high * self.base + low
            if place < self.n:
                return place


def mixed(word: int) -> int:
    """A word of 64 bits each of which depends on all bits of the given one."""
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & _WORD
    word = (word ^ word >> 27) * 0x94D049BB133111EB & _WORD
    return word ^ word >> 31


Order = NDArray[np.uint32] | Shuffle  # both are asked by the place
