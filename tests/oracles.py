"""The dumbest correct versions, in torch: what the engine and the shaders are compared with.

Shapes: T positions, C = d_model, H query heads, G key/value heads, D = d_head, F = d_ff, V = vocab_size. The dtype of
the weights is the dtype of the computation, so the same lines are the f32 and the f64 oracle. This Llama shares no line
with training/model/.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def rmsnorm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Scale each row of x to unit RMS, then by weight. x: (T, C); weight: (C). arXiv:1910.07467."""
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + eps) * weight


def rope(x: Tensor, positions: Tensor, theta: float) -> Tensor:
    """Rotate pairs (j, j + D/2) by p * theta^(-2j/D): angles in f64, cos and sin rounded to f32. x: (T, heads, D)."""
    half = x.shape[-1] // 2
    frequencies = theta ** (-2 * torch.arange(half, dtype=torch.float64) / x.shape[-1])
    angles = positions.double()[:, None, None] * frequencies
    cos, sin = angles.cos().float().to(x.dtype), angles.sin().float().to(x.dtype)
    low, high = x[..., :half], x[..., half:]
    return torch.cat([low * cos - high * sin, high * cos + low * sin], dim=-1)


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention; H/G query heads share a key/value head. q: (T, H, D); k, v: (T, G, D). Returns (T, H, D)."""
    tokens, n_head, d_head = q.shape
    out = torch.empty_like(q)
    for head in range(n_head):
        group = head // (n_head // k.shape[1])
        for t in range(tokens):
            scores = k[: t + 1, group] @ q[t, head] / d_head**0.5
            out[t, head] = torch.softmax(scores, 0) @ v[: t + 1, group]
    return out


def silu(x: Tensor) -> Tensor:
    """x / (1 + e^-x)."""
    return x / (1 + torch.exp(-x))


def llama(config: Mapping[str, Any], weights: Mapping[str, Tensor], ids: list[int]) -> Tensor:
    """Logits of every position, (T, V), in the dtype of `weights` (Hugging Face's names).

    Llama; with biases of q, k and v among the weights Qwen 2, with q_norm and k_norm Qwen 3; without a gate and with a
    cap of the logits our own `fast`.
    """
    x = weights["model.embed_tokens.weight"][torch.tensor(ids)]
    positions, eps, d_head = torch.arange(len(ids)), config["norm_eps"], config["d_head"]
    for i in range(config["n_layer"]):

        def w(part: str, layer: int = i) -> Tensor:
            return weights[f"model.layers.{layer}.{part}.weight"]

        def bias(part: str, layer: int = i) -> Tensor | float:
            return weights.get(f"model.layers.{layer}.self_attn.{part}_proj.bias", 0.0)

        h = rmsnorm(x, w("input_layernorm"), eps)
        q, k, v = ((h @ w(f"self_attn.{part}_proj").T + bias(part)).unflatten(-1, (-1, d_head)) for part in "qkv")
        if f"model.layers.{i}.self_attn.q_norm.weight" in weights:
            q, k = rmsnorm(q, w("self_attn.q_norm"), eps), rmsnorm(k, w("self_attn.k_norm"), eps)
        q, k = rope(q, positions, config["rope_theta"]), rope(k, positions, config["rope_theta"])
        x = x + attention(q, k, v).flatten(1) @ w("self_attn.o_proj").T
        h = rmsnorm(x, w("post_attention_layernorm"), eps)
        hidden = h @ w("mlp.up_proj").T
        if f"model.layers.{i}.mlp.gate_proj.weight" in weights:
            hidden = silu(h @ w("mlp.gate_proj").T) * hidden
        else:
            hidden = hidden.clamp(min=0) ** 2
        x = x + hidden @ w("mlp.down_proj").T
    output = weights["model.embed_tokens.weight" if config["tie_embeddings"] else "lm_head.weight"]
    logits = rmsnorm(x, weights["model.norm.weight"], eps) @ output.T
    return config["logit_cap"] * torch.tanh(logits / config["logit_cap"]) if "logit_cap" in config else logits
