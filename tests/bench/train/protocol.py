"""nanoGPT's CPU protocol of Shakespeare-char: what is given, whatever the model and however it is trained.

One megabyte of Shakespeare, a token a character; the first nine tenths are learnt from, the last is scored. 2,000 steps
of 12 windows of 64 characters; 4 layers of 4 heads, width 128.
Source: nanoGPT's README ("I only have a macbook"), whose model of 0.80 M parameters reaches 1.88 nats per character.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

N_LAYER, N_HEAD, D_MODEL = 4, 4, 128
CTX_LEN, BATCH_SIZE, STEPS = 64, 12, 2000
PUBLISHED = 1.88  # nats per character, nanoGPT's README
TEXT_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
SCORED_AT_ONCE = 64  # windows; decides the time alone


class Split(NamedTuple):
    """The text in tokens."""

    learnt: Tensor  # (N,) int64
    held_out: Tensor  # (M,) int64
    vocab_size: int


def read_text(path: Path) -> str:
    """The text. Raises ValueError where it is another."""
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != TEXT_SHA256:
        raise ValueError(f"{path}: SHA-256 {found}, expected {TEXT_SHA256}; install locks/bench-train.txt again")
    return data.decode("utf-8")


def split(text: str) -> Split:
    """Characters as tokens, numbered in the order of their code points; 90 % to learn from, the rest to be scored."""
    number = {character: index for index, character in enumerate(sorted(set(text)))}
    ids = torch.tensor([number[character] for character in text])
    n_learnt = int(0.9 * len(ids))
    return Split(ids[:n_learnt], ids[n_learnt:], len(number))


def windows(n_tokens: int, ctx_len: int) -> Iterator[tuple[int, int]]:
    """(first, last + 1) of the inputs of each window; what is asked for lies one further. Every token but the first is
    asked for just once; the last window may be shorter.
    """
    for first in range(0, n_tokens - 1, ctx_len):
        yield first, min(first + ctx_len, n_tokens - 1)


@torch.no_grad()
def score(model: nn.Module, held_out: Tensor, ctx_len: int = CTX_LEN) -> float:
    """Mean loss in nats of a model that gives logits (B, T, V) for ids (B, T), over all windows of held_out, (M,)."""
    model.eval()
    spans = list(windows(len(held_out), ctx_len))
    if not spans:
        raise ValueError(f"{len(held_out)} tokens are held out; at least 2 are needed to score any")
    total = 0.0
    for length in {last - first for first, last in spans}:  # the full ones, and the last if it is shorter
        alike = torch.tensor([first for first, last in spans if last - first == length])[:, None]
        for begins in alike.split(SCORED_AT_ONCE):
            parts = held_out[begins + torch.arange(length + 1)]  # (B, T + 1)
            logits = model(parts[:, :-1])
            total += float(F.cross_entropy(logits.flatten(0, 1), parts[:, 1:].flatten(), reduction="sum"))
    return total / (len(held_out) - 1)
