"""A decoder that learns more from each step than Llama does: what measured best (training/LOG.md), and no more.

Against training/model.py: queries and keys are normed (QK-norm), norms have no weights, the embedding is normed, ReLU²
stands in place of SwiGLU, what is added to the residual stream begins at zero, the logits are capped, and the output
projection is a matrix of its own.

Letters of shapes: docs/ARCHITECTURE.md.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.config.model import Model
from training.model import rope_tables

SOFT_CAP = 15.0  # logits stay within it. Source: Gemma Team 2024, arXiv:2408.00118


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

    As training/model.py's `rotate` with the components in another order, but one multiplication: a third of the time.
    """
    return torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (-1, 2))) * angles).flatten(-2)


class Attention(nn.Module):
    """Causal self-attention, each head's queries and keys normed. Source: Henry et al. 2020, arXiv:2010.04245."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.n_head, self.n_kv_head, self.d_head, self.eps = model.n_head, model.n_kv_head, model.d_head, model.norm_eps
        self.q_proj = nn.Linear(model.d_model, model.n_head * model.d_head, bias=False)
        self.k_proj = nn.Linear(model.d_model, model.n_kv_head * model.d_head, bias=False)
        self.v_proj = nn.Linear(model.d_model, model.n_kv_head * model.d_head, bias=False)
        self.o_proj = nn.Linear(model.n_head * model.d_head, model.d_model, bias=False)

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        """x: (B, T, C); angles: (T, 1, D/2). Returns (B, T, C)."""
        q = self.q_proj(x).unflatten(-1, (self.n_head, self.d_head))  # (B, T, H, D)
        k = self.k_proj(x).unflatten(-1, (self.n_kv_head, self.d_head))  # (B, T, G, D)
        v = self.v_proj(x).unflatten(-1, (self.n_kv_head, self.d_head))
        q, k = turn(norm(q, self.eps), angles), turn(norm(k, self.eps), angles)
        mixed = F.scaled_dot_product_attention(
            q.transpose(1, 2),
            k.transpose(1, 2),
            v.transpose(1, 2),
            is_causal=True,
            enable_gqa=self.n_kv_head != self.n_head,
        )  # (B, H, T, D)
        out: Tensor = self.o_proj(mixed.transpose(1, 2).flatten(2))
        return out


class FeedForward(nn.Module):
    """down(relu(up(x))²)."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.up_proj = nn.Linear(model.d_model, model.d_ff, bias=False)
        self.down_proj = nn.Linear(model.d_ff, model.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, C). Returns (B, T, C)."""
        out: Tensor = self.down_proj(squared_relu(self.up_proj(x)))
        return out


class Layer(nn.Module):
    """One decoder layer: attention and ReLU², each behind a norm and added to the residual stream."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.eps = model.norm_eps
        self.self_attn = Attention(model)
        self.mlp = FeedForward(model)

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        """x: (B, T, C); angles: (T, 1, D/2). Returns (B, T, C)."""
        x = x + self.self_attn(norm(x, self.eps), angles)
        out: Tensor = x + self.mlp(norm(x, self.eps))
        return out


class FastModel(nn.Module):
    """ids in, logits out. model.tie_embeddings must be false."""

    angles: Tensor  # (ctx_len, 1, D/2) complex

    def __init__(self, model: Model, vocab_size: int) -> None:
        """Raises ValueError for a model with tied embeddings."""
        if model.tie_embeddings:
            raise ValueError("model.tie_embeddings=true: the output projection of this family is a matrix of its own")
        super().__init__()
        self.eps = model.norm_eps
        self.embed_tokens = nn.Embedding(vocab_size, model.d_model)
        self.layers = nn.ModuleList(Layer(model) for _ in range(model.n_layer))
        self.lm_head = nn.Linear(model.d_model, vocab_size, bias=False)
        cos, sin = rope_tables(model.ctx_len, model.d_head, model.rope_theta)
        self.register_buffer("angles", torch.complex(cos, sin)[:, None], persistent=False)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw all weights from a generator on the CPU: the embedding normal, sd 1; matrices uniform, sd 1/sqrt(C);
        zeros what adds to the residual stream and what gives the logits (Yang et al. 2022, arXiv:2203.03466).
        """
        for name, weight in self.named_parameters():
            if name.startswith("embed_tokens"):
                nn.init.normal_(weight, generator=generator)
            elif name.endswith(("o_proj.weight", "down_proj.weight", "lm_head.weight")):
                nn.init.zeros_(weight)
            else:
                bound = (3 / weight.shape[1]) ** 0.5
                nn.init.uniform_(weight, -bound, bound, generator=generator)

    def forward(self, ids: Tensor) -> Tensor:
        """ids: (B, T) int64, T at most ctx_len. Returns logits, (B, T, V), between -SOFT_CAP and SOFT_CAP."""
        angles = self.angles[: ids.shape[1]]
        x = norm(self.embed_tokens(ids), self.eps)
        for layer in self.layers:
            x = layer(x, angles)
        return SOFT_CAP * torch.tanh(self.lm_head(norm(x, self.eps)) / SOFT_CAP)
