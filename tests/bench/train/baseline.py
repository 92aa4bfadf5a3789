"""The plain one to compare with: a GPT as nanoGPT's, learned positions, LayerNorm, GELU, no bias, no dropout.

In: ids (B, T). Out: logits (B, T, V). Letters of shapes: docs/ARCHITECTURE.md.
Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"; rates and decay: nanoGPT's
config/train_shakespeare_char.py.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from tests.bench.train.protocol import CTX_LEN, D_MODEL, N_HEAD, N_LAYER

LR, LEAST, WARMUP = 1e-3, 0.1, 0.05  # the rate; the last one and the warm-up, as shares
BETAS, WEIGHT_DECAY, GRAD_CLIP = (0.9, 0.99), 0.1, 1.0


class Block(nn.Module):
    """Attention and a layer of GELUs, each behind a norm and added to the residual stream."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(D_MODEL, bias=False)
        self.qkv = nn.Linear(D_MODEL, 3 * D_MODEL, bias=False)
        self.attention_out = nn.Linear(D_MODEL, D_MODEL, bias=False)
        self.wide_norm = nn.LayerNorm(D_MODEL, bias=False)
        self.wide = nn.Linear(D_MODEL, 4 * D_MODEL, bias=False)
        self.wide_out = nn.Linear(4 * D_MODEL, D_MODEL, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, C). Returns (B, T, C)."""
        heads = self.qkv(self.attention_norm(x)).unflatten(-1, (3, N_HEAD, -1))  # (B, T, 3, H, D)
        q, k, v = (each.transpose(1, 2) for each in heads.unbind(2))  # (B, H, T, D)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attention_out(mixed.transpose(1, 2).flatten(2))
        out: Tensor = x + self.wide_out(F.gelu(self.wide(self.wide_norm(x))))
        return out


class Baseline(nn.Module):
    """The whole model; the output projection is the embedding."""

    def __init__(self, vocab_size: int, seed: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, D_MODEL)
        self.positions = nn.Embedding(CTX_LEN, D_MODEL)
        self.blocks = nn.ModuleList(Block() for _ in range(N_LAYER))
        self.norm = nn.LayerNorm(D_MODEL, bias=False)
        generator = torch.Generator().manual_seed(seed)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                sd = 0.02 / (2 * N_LAYER) ** 0.5 if name.endswith("_out.weight") else 0.02
                nn.init.normal_(weight, 0.0, sd, generator=generator)

    def forward(self, ids: Tensor) -> Tensor:
        """ids: (B, T), T at most CTX_LEN. Returns logits, (B, T, V)."""
        x = self.embedding(ids) + self.positions.weight[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        return F.linear(self.norm(x), self.embedding.weight)


def optimizer(model: Baseline) -> Optimizer:
    """AdamW, with decay on the matrices."""
    weights = list(model.parameters())
    groups = [
        {"params": [each for each in weights if each.dim() == 2], "weight_decay": WEIGHT_DECAY},
        {"params": [each for each in weights if each.dim() == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=LR, betas=BETAS, fused=True)


def scale(progress: float) -> float:
    """Linear warm-up, then a cosine down to a tenth. progress: in [0, 1)."""
    if progress < WARMUP:
        return progress / WARMUP
    share = 0.5 * (1 + math.cos(math.pi * (progress - WARMUP) / (1 - WARMUP)))
    return LEAST + (1 - LEAST) * share
