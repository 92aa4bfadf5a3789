"""The order of the training data: each epoch reads every window once, in a fresh shuffle from a fresh offset.

Nothing is kept between calls: batch k is a function of (stream, ctx_len, batch_size, seed, k), so the data cursor of a
checkpoint is the number k, and a resumed run reads exactly what the uninterrupted one would have read.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from training.shard_file import TokenStream


class Batches:
    """Batches of windows of ctx_len + 1 tokens (inputs and, one further, targets)."""

    def __init__(self, stream: TokenStream, ctx_len: int, batch_size: int, seed: int) -> None:
        """Windows are shorter than ctx_len where the stream is. Raises ValueError for a stream without text."""
        if stream.n_tokens == stream.n_documents:
            raise ValueError("the training documents have no text; nothing can be learnt from them")
        self.stream, self.batch_size, self.seed = stream, batch_size, seed
        self.window = min(ctx_len, stream.n_tokens - 1)
        self.offsets = min(self.window, stream.n_tokens - self.window)  # an epoch begins at 0 ... offsets - 1
        self.windows_per_epoch = (stream.n_tokens - self.offsets) // self.window

    def batch(self, k: int) -> NDArray[np.int64]:
        """Batch k, (batch_size, window + 1) int64."""
        rows = []
        for index in range(k * self.batch_size, (k + 1) * self.batch_size):
            epoch, place = divmod(index, self.windows_per_epoch)
            offset, order = self._epoch(epoch)
            rows.append(self.stream.read(offset + int(order[place]) * self.window, self.window + 1))
        return np.stack(rows)

    @functools.lru_cache(maxsize=2)  # noqa: B019 (a batch may straddle two epochs; one instance a run)
    def _epoch(self, epoch: int) -> tuple[int, NDArray[np.uint32]]:
        """An epoch's offset and the order of its windows."""
        random = np.random.Generator(np.random.PCG64([self.seed, epoch]))
        return int(random.integers(self.offsets)), random.permutation(self.windows_per_epoch).astype(np.uint32)
