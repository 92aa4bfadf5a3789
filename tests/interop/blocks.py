"""Blocks of the types that have no layout in model.bin: random bytes, and scales that are numbers.

Of some types the `gguf` package reads blocks and writes none.
"""

from __future__ import annotations

from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind
from numpy.typing import NDArray

NOT_WRITTEN = (Kind.Q2_K, Kind.Q3_K, Kind.Q4_K, Kind.Q5_K, Kind.Q6_K, Kind.IQ4_NL, Kind.IQ4_XS)
# Where a block has its scale, and what scales its least values, an f16 each.
PLACES: dict[Kind, tuple[int, ...]] = {
    Kind.Q4_1: (0, 2),
    Kind.Q5_0: (0,),
    Kind.Q5_1: (0, 2),
    Kind.Q4_K: (0, 2),
    Kind.Q5_K: (0, 2),
    Kind.Q6_K: (208,),
    Kind.Q2_K: (80, 82),
    Kind.Q3_K: (108,),
    Kind.IQ4_NL: (0,),
    Kind.IQ4_XS: (0,),
}
# Of random bytes: how much the weights spread at a scale of 1, and the least values' scale at which they lie around 0.
SPREADS = {
    Kind.Q2_K: (13.5, 1.5),
    Kind.Q3_K: (42.0,),
    Kind.Q4_K: (38 * 7.5, 7.5),
    Kind.Q5_K: (38 * 15.5, 15.5),
    Kind.Q6_K: (38 * 36.0,),
    Kind.IQ4_NL: (71.0,),
    Kind.IQ4_XS: (18.5 * 71.0,),
}
# Bits of f16: zeros, the least and the largest subnormal number, the least normal one, negative ones, one half, ten.
EXTREMES = (0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x0400, 0x8400, 0x3800, 0xB800, 0x4900)


def random_rows(kind: Kind, shape: tuple[int, ...], sd: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Rows in a type of NOT_WRITTEN, of weights around 0 that spread by about `sd`. shape: (rows, weights of one)."""
    rows, columns = shape
    blocks = _random_bytes(kind, rows * columns // gguf.GGML_QUANT_SIZES[kind][0], rng)
    spread, *least = SPREADS[kind]
    for place, factor in zip(PLACES[kind], (1.0, *least), strict=True):
        _put(blocks, place, np.full(len(blocks), factor * sd / spread, "<f2"))
    return blocks.reshape(rows, -1)


def extreme_rows(kind: Kind, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Rows of one block: each of EXTREMES with each other one, over random bytes, zeros and bytes of 255."""
    n_pairs = len(EXTREMES) ** 2
    blocks = _random_bytes(kind, 3 * n_pairs, rng)
    blocks[n_pairs : 2 * n_pairs] = 0
    blocks[2 * n_pairs :] = 255
    halves = np.array(EXTREMES, "<u2")
    for place, column in zip(PLACES[kind], (halves.repeat(len(halves)), np.tile(halves, len(halves))), strict=False):
        _put(blocks, place, np.tile(column, 3))
    return blocks


def _random_bytes(kind: Kind, count: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Blocks, (count, bytes of one)."""
    return rng.integers(256, size=(count, gguf.GGML_QUANT_SIZES[kind][1]), dtype=np.uint8)


def _put(blocks: NDArray[np.uint8], place: int, halves: NDArray[Any]) -> None:
    blocks[:, place : place + 2] = halves.view(np.uint8).reshape(-1, 2)
