"""Validation loss in bits per byte: what the model needs to write down the held-out text, whatever its vocabulary.

The stream is scored in windows of ctx_len tokens. Each shares `overlap` positions with the one before, and scores only
those that are new, so every token but the first is scored exactly once, with at least `overlap` tokens of context (less
only at the start). Separators are scored too, and count no bytes. Of chats, each is a window of its own, and only what
is learnt of it is scored.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pocketlm_tokenizer import Tokenizer
from torch import Tensor

from training.data.shard_file import TokenStream

MOST_LOGITS = 1 << 27  # in memory at a time: 512 MiB


@dataclass(frozen=True)
class Score:
    """What an evaluation found."""

    nats: float  # sum over the scored tokens
    n_tokens: int  # scored
    n_bytes: int  # of their text in UTF-8

    @property
    def bpb(self) -> float:
        """Bits per byte."""
        return self.nats / math.log(2) / self.n_bytes

    @property
    def loss_nats(self) -> float:
        """Mean cross entropy of a token."""
        return self.nats / self.n_tokens


def token_nbytes(tokenizer: Tokenizer) -> NDArray[np.int64]:
    """How many bytes of text each token stands for, (V,); none for special tokens."""
    sizes = np.array([len(tokenizer.token_bytes(token)) for token in range(tokenizer.vocab_size)], np.int64)
    sizes[list(tokenizer.special_tokens.values())] = 0
    return sizes


def chats(stream: TokenStream) -> Iterator[tuple[int, int, int]]:
    """(start, length, scored) of each chat, without its separator."""
    for start, end in itertools.pairwise(stream.documents().tolist()):
        yield start + 1, end - start - 2, end - start - 2


def windows(n_tokens: int, ctx_len: int, overlap: int) -> Iterator[tuple[int, int, int]]:
    """(start, length, scored) of each window: of its inputs' predictions the last `scored` count."""
    start, done = 0, 1  # the first token has nothing before it
    while done < n_tokens:
        length = min(ctx_len, n_tokens - 1 - start)
        scored = start + length + 1 - done
        yield start, length, scored
        done += scored
        start += ctx_len - overlap


def one_of(stream: TokenStream, max_tokens: int) -> int:
    """Of so many windows one is scored, so that they have about max_tokens."""
    return max(1, -(-(stream.n_tokens - 1) // max_tokens))


class Losses(NamedTuple):
    """Of W windows of at most T tokens."""

    windows: list[tuple[int, int, int]]  # (start, length, scored) of each
    nats: NDArray[np.float64]  # (W, T): the loss of every position
    counted: NDArray[np.bool_]  # (W, T): whether it counts
    targets: NDArray[np.int64]  # (W, T)


@torch.no_grad()
def losses_of(
    model: Callable[..., Tensor],
    stream: TokenStream,
    vocab_size: int,
    ctx_len: int,
    overlap: int,
    device: torch.device,
    every: int = 1,
    batch_size: int = 16,
) -> Iterator[Losses]:
    """The losses of each batch of windows. every: of so many windows one is scored.

    Raises ValueError where the stream is too short.
    """
    rows = chats(stream) if stream.masked else windows(stream.n_tokens, ctx_len, overlap)
    chosen = list(itertools.islice(rows, 0, None, every))
    if not chosen:
        raise ValueError("the validation split has one token; there is nothing to score")
    batch_size = min(batch_size, max(1, MOST_LOGITS // (vocab_size * max(length for _, length, _ in chosen))))
    for first in range(0, len(chosen), batch_size):
        group = chosen[first : first + batch_size]
        longest = max(length for _, length, _ in group)
        ids = np.zeros(
            (len(group), longest + 1), np.int64
        )  # the last window may be shorter: causal, so padding changes nothing
        counted = np.zeros((len(group), longest), bool)
        for row, (start, length, scored) in enumerate(group):
            ids[row, : length + 1] = stream.read(start, length + 1)
            counted[row, length - scored : length] = stream.read_learnt(start + 1 + length - scored, scored)
        losses = _by_position(model, torch.from_numpy(ids).to(device), max(1, MOST_LOGITS // (vocab_size * len(ids))))
        yield Losses(group, losses.cpu().double().numpy(), counted, ids[:, 1:])


def _by_position(model: Callable[..., Tensor], ids: Tensor, most: int) -> Tensor:
    """The loss of every position, (B, T). ids: (B, T + 1). The logits of `most` positions are there at a time: of a
    large vocabulary a window's are computed span by span, each with what stands before it.
    """
    targets, spans = ids[:, 1:], []
    for begin in range(0, targets.shape[1], most):
        end = min(begin + most, targets.shape[1])
        chosen = torch.zeros_like(targets[:, :end], dtype=torch.bool)
        chosen[:, begin:] = True
        logits = model(ids[:, :end], None if begin == 0 else chosen).view(len(ids), end - begin, -1)  # (B, span, V)
        losses = F.cross_entropy(logits.flatten(0, 1).float(), targets[:, begin:end].flatten(), reduction="none")
        spans.append(losses.view(len(ids), -1))
    return torch.cat(spans, 1)


@torch.no_grad()
def evaluate(
    model: Callable[..., Tensor],
    stream: TokenStream,
    sizes: NDArray[np.int64],
    ctx_len: int,
    overlap: int,
    device: torch.device,
    max_tokens: int,
    batch_size: int = 16,
    between: Callable[[], None] = lambda: None,
) -> Score:
    """Score the stream, or, of a longer one, about max_tokens in windows spread evenly over it.

    sizes: (V,) from token_nbytes. `between` is called between batches (it may raise to stop).
    Raises ValueError where the stream is too short, or where the tokens' bytes are not those of the text.
    """
    every = one_of(stream, max_tokens)
    nats, n_tokens, n_bytes = 0.0, 0, 0
    batches = losses_of(model, stream, len(sizes), ctx_len, overlap, device, every, batch_size)
    for _, losses, counted, targets in batches:
        between()
        nats += float(losses[counted].sum())
        n_tokens += int(counted.sum())
        n_bytes += int(sizes[targets[counted]].sum())
    if every == 1 and n_bytes != stream.text_nbytes:
        raise ValueError(
            f"the scored tokens stand for {n_bytes} bytes, the validation text has {stream.text_nbytes}; "
            "build the shards again"
        )
    if n_bytes == 0:
        raise ValueError("the scored tokens stand for no text; raise train.eval_tokens")
    return Score(nats, n_tokens, n_bytes)
