"""How weights are stored: f32, f16, and the block formats q8_0 and q4_0 (FORMAT.md §3).

In:  a tensor's values.
Out: the bytes of its section, and the values that these bytes stand for.

The block formats quantise 32 neighbouring weights of a row with one f16 scale, with GGUF's arithmetic and order inside
a block. All quants of a tensor come first and all scales after them, so that both can be read in whole words: GGUF's
blocks of 34 and 18 bytes begin at odd places. `from_gguf` and `to_gguf` only move bytes. numpy only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, cast, get_args

import numpy as np
from numpy.typing import NDArray

from training.format.errors import BadConfig, NotFinite
from training.format.families import TensorSpec

Dtype = Literal["f32", "f16", "q8_0", "q4_0"]
DTYPES: tuple[Dtype, ...] = get_args(Dtype)
BLOCK = 32  # weights that share a scale
QUANT_NBYTES = {"q8_0": 32, "q4_0": 16}  # of one block, without its scale of 2 bytes
PLAIN = {"f32": "<f4", "f16": "<f2"}


def nbytes(dtype: str, shape: tuple[int, ...]) -> int:
    """Length of the section of a tensor. A block format's last size is a multiple of 32 (`check_blocks`)."""
    if dtype in PLAIN:
        return math.prod(shape) * np.dtype(PLAIN[dtype]).itemsize
    return math.prod(shape) // BLOCK * (QUANT_NBYTES[dtype] + 2)


def check_blocks(where: str, dtype: str, shape: tuple[int, ...]) -> None:
    """Raise BadConfig where the rows of a block format are not whole blocks."""
    if dtype in QUANT_NBYTES and shape[-1] % BLOCK:
        raise BadConfig(where, f"rows of a multiple of {BLOCK} weights for {dtype}", shape[-1])


class Stored(NamedTuple):
    """A tensor as its section holds it."""

    dtype: str
    shape: tuple[int, ...]
    data: NDArray[np.uint8]  # (nbytes), read-only where it is a view of a file

    def values(self) -> NDArray[np.float32]:
        """The values that the bytes stand for, exactly, in `shape`."""
        if self.dtype in PLAIN:
            return self.data.view(PLAIN[self.dtype]).reshape(self.shape).astype(np.float32)
        quants, scales = self.planes()
        blocks = quants.astype(np.float32) * scales.astype(np.float32)[:, None]
        return cast("NDArray[np.float32]", blocks.reshape(self.shape))

    def planes(self) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
        """A block format's quants, (blocks, 32), and scales, (blocks)."""
        blocks = math.prod(self.shape) // BLOCK
        quants = self.data[: blocks * QUANT_NBYTES[self.dtype]].reshape(blocks, -1)
        scales = self.data[quants.size :].view("<f2")
        if self.dtype == "q8_0":
            return quants.view(np.int8), scales
        return np.concatenate([quants & 15, quants >> 4], axis=1).view(np.int8) - np.int8(8), scales

    def check_finite(self, name: str, original: NDArray[Any] | None = None) -> None:
        """Raise NotFinite with the first NaN or infinity; `original` holds the values before they were rounded."""
        plain = self.dtype in PLAIN
        values = self.data.view(PLAIN[self.dtype]) if plain else self.planes()[1]
        finite = np.isfinite(values)
        if not finite.all():
            index = int(np.flatnonzero(~finite)[0])
            got = float(values[index])
            index *= 1 if plain else BLOCK
            if original is not None:
                got = float(original.reshape(-1)[index])
            overflow = f", which overflows {self.dtype}" if math.isfinite(got) else ""
            raise NotFinite(f"{name}[{index}]", "a finite value", f"{got}{overflow}")


def as_stored(spec: TensorSpec, values: NDArray[Any], dtype: str) -> Stored:
    """`values` as a file of matrices in `dtype` stores them: rounded to nearest even, or quantised.

    Raises NotFinite for NaN, infinity, and for what overflows f16; BadConfig for another shape, or rows that are not
    whole blocks.
    """
    if tuple(values.shape) != spec.shape:
        raise BadConfig(f"{spec.name}.shape", list(spec.shape), list(values.shape))
    if not (finite := np.isfinite(values)).all():
        index = int(np.flatnonzero(~finite)[0])
        raise NotFinite(f"{spec.name}[{index}]", "a finite value", float(values.reshape(-1)[index]))
    dtype = spec.dtype(dtype)
    with np.errstate(over="ignore"):
        if dtype in PLAIN:
            data = np.ascontiguousarray(values, dtype=PLAIN[dtype])
        else:
            check_blocks(f"{spec.name}.shape", dtype, spec.shape)
            data = _quantised(np.ascontiguousarray(values, dtype=np.float32).reshape(-1, BLOCK), dtype)
    stored = Stored(dtype, spec.shape, data.reshape(-1).view(np.uint8))
    stored.check_finite(spec.name, values)
    return stored


def dtypes_of(specs: Sequence[TensorSpec], dtype: str) -> dict[str, Dtype]:
    """The dtype of each tensor in a file exported as `dtype`. Raises BadConfig for rows that are not whole blocks.

    With q4_0 the embedding and the output projection stay in q8_0: each of their rows is one token's alone, and errors
    there reach the logits directly.
    """
    if dtype not in DTYPES:
        raise BadConfig("export.dtype", " or ".join(DTYPES), dtype)
    chosen: dict[str, Dtype] = {}
    for spec in specs:
        at_the_ends = spec.name in ("model.embed_tokens.weight", "lm_head.weight")
        chosen[spec.name] = cast("Dtype", spec.dtype("q8_0" if dtype == "q4_0" and at_the_ends else dtype))
        check_blocks(f"{spec.name}.shape", chosen[spec.name], spec.shape)
    return chosen


def _quantised(blocks: NDArray[np.float32], dtype: str) -> NDArray[np.uint8]:
    """GGUF's reference quantisation in f32. blocks: (n, 32). Source: ggml's, as the `gguf` package has it."""
    if dtype == "q8_0":
        scales = np.abs(blocks).max(axis=1) / np.float32(127)
        quants = _round_half_away(blocks * _inverse(scales)).astype(np.int8).view(np.uint8)
    else:
        largest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=1, keepdims=True), axis=1)[:, 0]
        scales = largest / np.float32(-8)
        # In f64: ggml's f32 result depends on whether its compiler fuses the multiplication with the addition.
        shifted = np.trunc(blocks.astype(np.float64) * _inverse(scales) + 8.5).clip(0, 15).astype(np.uint8)
        quants = shifted[:, :16] | (shifted[:, 16:] << np.uint8(4))
    return np.concatenate([quants.reshape(-1), scales.astype("<f2").view(np.uint8)])


def _inverse(scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 / scale, and 0 where the scale rounds to zero in f16, so that the block is zero. (n) to (n, 1)."""
    zero = np.abs(scales) <= np.float32(2**-25)
    return (np.float32(1) / np.where(zero, np.float32(1), scales) * ~zero).astype(np.float32)[:, None]


def _round_half_away(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """C's roundf: halves away from zero."""
    whole = np.floor(np.abs(x))
    return cast("NDArray[np.float32]", np.copysign(whole + np.floor(2 * (np.abs(x) - whole)), x))


def from_gguf(dtype: str, shape: tuple[int, ...], data: NDArray[np.uint8]) -> Stored:
    """A tensor of GGUF's bytes in the same dtype; of a block format the scales move behind the quants."""
    if dtype in PLAIN:
        return Stored(dtype, shape, np.ascontiguousarray(data).reshape(-1))
    blocks = np.ascontiguousarray(data).reshape(-1, QUANT_NBYTES[dtype] + 2)
    return Stored(dtype, shape, np.concatenate([blocks[:, 2:].reshape(-1), blocks[:, :2].reshape(-1)]))


def to_gguf(stored: Stored) -> NDArray[np.uint8]:
    """GGUF's bytes of a tensor: each block's scale, then its quants."""
    if stored.dtype in PLAIN:
        return stored.data
    per_block = QUANT_NBYTES[stored.dtype]
    blocks = math.prod(stored.shape) // BLOCK
    quants = stored.data[: blocks * per_block].reshape(blocks, per_block)
    return np.concatenate([stored.data[quants.size :].reshape(blocks, 2), quants], axis=1).reshape(-1)
