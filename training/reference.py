"""The logits of every family of training/FORMAT.md, from weights as they are stored: what an engine is held to.

Function by function and layer by layer: only one layer's weights are widened at a time, so a model needs little more
memory than its file. The modules that are trained are in training/model/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from training.format.dtypes import Stored
from training.model.blocks import rope_tables, rotate


def last_logits(config: Mapping[str, Any], weights: Mapping[str, Stored], ids: Sequence[int]) -> Tensor:
    """The logits of the last position, (V) f32, of ids, (T). weights: by FORMAT.md's names; a bias (qwen2), a norm
    of queries and keys (qwen3, fast) and a gate (all but fast) are applied where they are there.
    """
    return logits(config, weights, ids, last=True)[0]


@torch.no_grad()
def logits(config: Mapping[str, Any], weights: Mapping[str, Stored], ids: Sequence[int], last: bool = False) -> Tensor:
    """The logits of each position, (T, V) f32; of the last one alone, (1, V), where `last` says so."""

    def get(name: str) -> Tensor:
        return torch.from_numpy(weights[name].values())

    embedding = get("model.embed_tokens.weight")
    cos, sin = (table[:, None] for table in rope_tables(len(ids), config["d_head"], config["rope_theta"]))
    x = embedding[torch.tensor(ids)]  # (T, C)
    for index in range(config["n_layer"]):
        prefix = f"model.layers.{index}."
        layer = {
            name.removeprefix(prefix): torch.from_numpy(stored.values())
            for name, stored in weights.items()
            if name.startswith(prefix)
        }
        x = _layer(config, layer, x, cos, sin)
    x = _norm(x[-1:] if last else x, get("model.norm.weight"), config["norm_eps"])
    found = F.linear(x, embedding if config["tie_embeddings"] else get("lm_head.weight"))
    cap = config.get("logit_cap")
    return found if cap is None else cap * torch.tanh(found / cap)


def _layer(config: Mapping[str, Any], w: Mapping[str, Tensor], x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """One decoder layer. x: (T, C); cos, sin: (T, 1, D/2). Returns (T, C)."""
    eps = config["norm_eps"]
    y = _norm(x, w["input_layernorm.weight"], eps)
    q, k, v = (
        F.linear(y, w[f"self_attn.{name}_proj.weight"], w.get(f"self_attn.{name}_proj.bias")).unflatten(
            -1, (-1, config["d_head"])
        )
        for name in "qkv"
    )  # (T, H or G, D)
    if "self_attn.q_norm.weight" in w:
        q, k = _norm(q, w["self_attn.q_norm.weight"], eps), _norm(k, w["self_attn.k_norm.weight"], eps)
    q, k = (rotate(each[None], cos, sin)[0] for each in (q, k))
    mixed = F.scaled_dot_product_attention(
        q.transpose(0, 1),
        k.transpose(0, 1),
        v.transpose(0, 1),
        is_causal=True,
        enable_gqa=q.shape[1] != k.shape[1],
    )  # (H, T, D)
    x = x + F.linear(mixed.transpose(0, 1).flatten(1), w["self_attn.o_proj.weight"])
    y = _norm(x, w["post_attention_layernorm.weight"], eps)
    hidden = F.linear(y, w["mlp.up_proj.weight"])
    if "mlp.gate_proj.weight" in w:
        hidden = hidden * F.silu(F.linear(y, w["mlp.gate_proj.weight"]))
    else:
        hidden = F.relu(hidden).square()
    return x + F.linear(hidden, w["mlp.down_proj.weight"])


def _norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """RMSNorm over the last dimension. Source: Zhang & Sennrich 2019, arXiv:1910.07467."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight
