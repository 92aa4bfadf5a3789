"""Two ways to spend the protocol's steps: a model, how its weights change, and the windows that it reads.

In: the text in tokens and a seed. Out: a Trainee for tests/bench/train/training.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tests.bench.train import baseline
from tests.bench.train.protocol import BATCH_SIZE, CTX_LEN, D_MODEL, N_HEAD, N_LAYER
from training.config.model import Model
from training.data.batches import Batches
from training.data.shard_file import Shard, TokenStream
from training.model.fast import Fast
from training.optim.muon import Muon
from training.optim.orthogonal import polar_factors

SHAPE = Model(
    n_layer=N_LAYER,
    n_head=N_HEAD,
    n_kv_head=N_HEAD,
    d_model=D_MODEL,
    d_head=D_MODEL // N_HEAD,
    d_ff=4 * D_MODEL,
    ctx_len=CTX_LEN,
    rope_theta=1000.0,  # the longest wave is some hundred contexts
    norm_eps=1e-6,
    tie_embeddings=False,
    family="fast",
)
WARMUP = 0.01  # share of the steps


Scale = Callable[[float], float]  # progress, in [0, 1), to the share of a peak rate


class Trainee(NamedTuple):
    """A model while it is trained."""

    model: nn.Module  # ids (B, T) to logits (B, T, V)
    optimizers: list[Optimizer]
    scale: Scale  # of each group's "peak" rate
    grad_clip: float  # largest global norm of the gradient; 0: off
    batch: Callable[[int], Tensor]  # step to (B, T + 1): inputs and, one further, targets


Recipe = Callable[[Tensor, int, int], Trainee]  # of the text in tokens, the number of characters, and the seed


def random_windows(learnt: Tensor, seed: int) -> Callable[[int], Tensor]:
    """Windows that begin anywhere, as nanoGPT's."""
    generator = torch.Generator().manual_seed(seed)

    def batch(step: int) -> Tensor:
        begins = torch.randint(len(learnt) - CTX_LEN, (BATCH_SIZE, 1), generator=generator)
        return learnt[begins + torch.arange(CTX_LEN + 1)]

    return batch


def shuffled_windows(learnt: Tensor, seed: int) -> Callable[[int], Tensor]:
    """Each epoch reads every character once, as the stage `train` does (training/data/batches.py)."""
    no_documents = np.zeros(0, np.uint64)
    shard = Shard(Path("characters"), learnt.numpy().astype(np.uint16), no_documents, len(learnt), 1 << 16, 0, "", "")
    batches = Batches(TokenStream([shard]), CTX_LEN, BATCH_SIZE, seed)
    return lambda step: torch.from_numpy(batches.batch(step).ids)


def plain(learnt: Tensor, vocab_size: int, seed: int) -> Trainee:
    """nanoGPT's: AdamW, a cosine."""
    model = baseline.Baseline(vocab_size, seed)
    optimizer = with_peaks(baseline.optimizer(model))
    return Trainee(model, [optimizer], baseline.scale, baseline.GRAD_CLIP, random_windows(learnt, seed))


def fast(learnt: Tensor, vocab_size: int, seed: int) -> Trainee:
    """training/model/fast.py: Muon on the layers' matrices, AdamW with a rate of their own on embedding and head."""
    model = Fast(SHAPE, vocab_size)
    model.initialise(torch.Generator().manual_seed(seed))
    layers = list(model.model.layers.parameters())
    gains = [weight for weight in layers if weight.dim() == 1]
    adamw = torch.optim.AdamW(
        [
            {"params": [model.model.embed_tokens.weight], "lr": 1e-2},
            {"params": [model.lm_head.weight, *gains], "lr": 4e-3},
        ],
        betas=(0.8, 0.95),
        eps=1e-10,
        weight_decay=0.0,
        fused=True,
    )
    muon = Muon((weight for weight in layers if weight.dim() == 2), 9e-3, orthogonalised=polar_factors)
    made = [with_peaks(adamw), with_peaks(muon)]
    return Trainee(model, made, to_zero, 0.0, shuffled_windows(learnt, seed))


def with_peaks(optimizer: Optimizer) -> Optimizer:
    """Note the rate of each group as its peak."""
    for group in optimizer.param_groups:
        group["peak"] = group["lr"]
    return optimizer


def to_zero(progress: float) -> float:
    """A short warm-up, then a straight line to zero."""
    return min(1.0, progress / WARMUP) * (1.0 - progress)
