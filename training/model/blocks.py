"""What the families are put together from: norms, attention, RoPE in its two orders, ReLU².

Letters of shapes: docs/ARCHITECTURE.md.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def rope_tables(ctx_len: int, d_head: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines of RoPE's angles, (ctx_len, d_head/2) f32, computed in f64, on the CPU whatever the default.

    Position p turns pair j by p * theta^(-2j/D).

    Source: Su et al. 2021, arXiv:2104.09864; component j pairs with j + D/2 (rotate_half), as in Hugging Face's Llama.
    """
    frequencies = theta ** (-torch.arange(0, d_head, 2, dtype=torch.float64, device="cpu") / d_head)
    angles = torch.outer(torch.arange(ctx_len, dtype=torch.float64, device="cpu"), frequencies)
    return angles.cos().float(), angles.sin().float()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair (j, j + D/2). x: (B, T, H, D); cos, sin: (T, 1, D/2). Returns (B, T, H, D)."""
    low, high = x.chunk(2, dim=-1)
    return torch.cat((low * cos - high * sin, high * cos + low * sin), dim=-1)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention of grouped queries. q: (B, T, H, D); k, v: (B, T, G, D). Returns the heads side by side,
    (B, T, H*D).
    """
    mixed = F.scaled_dot_product_attention(
        q.transpose(1, 2),
        k.transpose(1, 2),
        v.transpose(1, 2),
        is_causal=True,
        enable_gqa=k.shape[2] != q.shape[2],
    )  # (B, H, T, D)
    return mixed.transpose(1, 2).flatten(2)


class RMSNorm(nn.Module):
    """Scale each row to unit RMS, then by weight; sums in f32. Source: Zhang & Sennrich 2019, arXiv:1910.07467."""

    def __init__(self, d_model: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(d_model))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, C). Returns (B, T, C) in x.dtype."""
        wide = x.float()
        return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)).to(x.dtype) * self.weight


class _Norm(torch.autograd.Function):
    """What autograd makes of the formula passes over the rows twice as often (training/LOG.md)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> Tensor:
        scale = torch.rsqrt(torch.linalg.vecdot(x, x)[..., None] / x.shape[-1] + eps)  # (..., 1)
        y = x * scale
        ctx.save_for_backward(y, scale)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        y, scale = ctx.saved_tensors
        along = torch.linalg.vecdot(gradient, y)[..., None] / y.shape[-1]
        return torch.addcmul(gradient, y, along, value=-1).mul_(scale), None


class _SquaredReLU(torch.autograd.Function):
    """The gradient of F.relu(x).square() takes four passes; this one two."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        positive = x.clamp_min(0)
        ctx.save_for_backward(positive)
        return positive * positive

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (positive,) = ctx.saved_tensors
        return (gradient * positive).mul_(2)


def norm(x: Tensor, eps: float) -> Tensor:
    """Scale each row to unit RMS; there is no weight. x: (..., n)."""
    return cast(Tensor, _Norm.apply(x, eps))


def squared_relu(x: Tensor) -> Tensor:
    """relu(x)², x: any shape. Source: So et al. 2021, arXiv:2109.08668."""
    return cast(Tensor, _SquaredReLU.apply(x))


def turn(x: Tensor, angles: Tensor) -> Tensor:
    """RoPE of neighbours: turn each pair (2j, 2j + 1). x: (B, T, H, D); angles: (T, 1, D/2), complex, of length 1.

    As `rotate` with the components in another order, but one multiplication: a third of the time.
    """
    wide = x.to(angles.real.dtype).unflatten(-1, (-1, 2))  # there are no complex numbers of two halves of 16 bits
    return torch.view_as_real(torch.view_as_complex(wide) * angles).flatten(-2).to(x.dtype)
