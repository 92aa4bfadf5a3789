"""The order of the training data: each epoch reads every window once, in a fresh shuffle from a fresh offset; of chats,
every chat once, in a fresh shuffle.

Nothing is kept between calls: batch k is a function of (stream, ctx_len, batch_size, seed, k), so the data cursor of a
checkpoint is the number k, and a resumed run reads exactly what the uninterrupted one would have read.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.command import say
from training.data.order import Order, shuffled
from training.data.shard_file import TokenStream


class Batch(NamedTuple):
    """What a forward pass reads."""

    ids: NDArray[np.int64]  # (B, T + 1): inputs and, one further, targets
    learnt: NDArray[np.bool_] | None  # (B, T): which targets count; None where all do


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

    def batch(self, k: int) -> Batch:
        """Batch k, of batch_size windows."""
        rows = []
        for index in range(k * self.batch_size, (k + 1) * self.batch_size):
            epoch, place = divmod(index, self.windows_per_epoch)
            offset, order = self._epoch(epoch)
            rows.append(self.stream.read(offset + int(order[place]) * self.window, self.window + 1))
        return Batch(np.stack(rows), None)

    @functools.lru_cache(maxsize=2)  # noqa: B019 (a batch may straddle two epochs; one instance a run)
    def _epoch(self, epoch: int) -> tuple[int, Order]:
        """An epoch's offset and the order of its windows."""
        random = np.random.Generator(np.random.PCG64([self.seed, epoch]))
        return int(random.integers(self.offsets)), shuffled(self.windows_per_epoch, random)


class ChatBatches:
    """Batches of whole chats, each in a row of its own as when it is asked; rows are filled up to the longest."""

    def __init__(self, stream: TokenStream, batch_size: int, seed: int) -> None:
        """stream: with a loss mask."""
        self.stream, self.batch_size, self.seed = stream, batch_size, seed
        self.starts = stream.documents()  # (n_documents + 1,)
        self.window = round(stream.n_tokens / stream.n_documents)  # tokens of a row, on average

    def batch(self, k: int) -> Batch:
        """Batch k, of batch_size chats."""
        chosen = []
        for index in range(k * self.batch_size, (k + 1) * self.batch_size):
            epoch, place = divmod(index, self.stream.n_documents)
            chosen.append(int(self._order(epoch)[place]))
        spans = [(int(self.starts[each]) + 1, int(self.starts[each + 1])) for each in chosen]  # without separators
        longest = max(end - start for start, end in spans)
        ids = np.full((len(spans), longest), self.stream.separator_id, np.int64)
        learnt = np.zeros((len(spans), longest - 1), np.bool_)
        for row, (start, end) in enumerate(spans):
            ids[row, : end - start] = self.stream.read(start, end - start)
            learnt[row, : end - start - 1] = self.stream.read_learnt(start + 1, end - start - 1)
        return Batch(ids, learnt)

    @functools.lru_cache(maxsize=2)  # noqa: B019 (a batch may straddle two epochs; one instance a run)
    def _order(self, epoch: int) -> Order:
        return shuffled(self.stream.n_documents, np.random.Generator(np.random.PCG64([self.seed, epoch])))


def order_of(text: TokenStream, ctx_len: int, batch_size: int, seed: int) -> Batches | ChatBatches:
    """The order in which a text is read: of chats where it has a loss mask, else of windows."""
    if text.masked:
        return ChatBatches(text, batch_size, seed)
    batches = Batches(text, ctx_len, batch_size, seed)
    if batches.window < ctx_len:
        say(f"the training text has only {text.n_tokens} tokens: windows of {batches.window}, not {ctx_len}")
    return batches
