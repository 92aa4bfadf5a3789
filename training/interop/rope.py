"""The two orders of the rows of q and k: RoPE pairs neighbours (Meta, llama.cpp, llama2.c) or halves (Hugging Face)."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray


def halves(rows: NDArray[Any], d_head: int) -> NDArray[Any]:
    """Rows of q or k from the order in which the two of a RoPE pair are neighbours to Hugging Face's, in which they are
    d_head/2 apart. rows: (heads * d_head, anything)."""
    pairs = rows.reshape(-1, d_head // 2, 2, *rows.shape[1:])
    return pairs.swapaxes(1, 2).reshape(rows.shape)


def neighbours(rows: NDArray[Any], d_head: int) -> NDArray[Any]:
    """What `halves` undoes: rows of q or k from Hugging Face's order to the one in which the two of a RoPE pair are
    neighbours. rows: (heads * d_head, anything)."""
    pairs = rows.reshape(-1, 2, d_head // 2, *rows.shape[1:])
    return pairs.swapaxes(1, 2).reshape(rows.shape)
