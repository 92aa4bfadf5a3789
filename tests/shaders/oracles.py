"""The kernels in torch, as plainly as they can be said, in f64. One function a kernel, with its name.

Shapes: T tokens, C d_model, H heads, G key/value heads, D d_head, F d_ff, V vocab_size, S cache positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

MASK = (1 << 32) - 1


def rmsnorm(x: Tensor, gain: Tensor, eps: float) -> Tensor:
    """x: (T, C); gain: (C). Source: Zhang & Sennrich 2019, arXiv:1910.07467."""
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * gain


def rope_table(ctx_len: int, d_head: int, theta: float) -> Tensor:
    """(S, D/2, 2): cosines and sines of p · theta^(−2j/D)."""
    frequency = theta ** (-2 * torch.arange(d_head // 2, dtype=torch.float64) / d_head)
    angle = torch.arange(ctx_len, dtype=torch.float64)[:, None] * frequency
    return torch.stack([angle.cos(), angle.sin()], -1)


def rotate_half(x: Tensor, table: Tensor) -> Tensor:
    """x: (T, H, D); table: (T, D/2, 2). Component j pairs with j + D/2."""
    low, high = x.chunk(2, -1)
    cos, sin = table[:, None, :, 0], table[:, None, :, 1]
    return torch.cat([low * cos - high * sin, high * cos + low * sin], -1)


def embed(ids: Tensor, embedding: Tensor) -> Tensor:
    """ids: (T); embedding: (V, C). Returns (T, C)."""
    return embedding[ids]


def norm_qkv_rope(
    x: Tensor, gain: Tensor, w_qkv: Tensor, bias: Tensor, table: Tensor, n_head: int, n_kv_head: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """x: (T, C); w_qkv: ((H+2G)·D, C); bias: ((H+2G)·D); table: (T, D/2, 2).

    Returns q (T, H, D), k (T, G, D), v (T, G, D).
    """
    rows = (rmsnorm(x, gain, eps) @ w_qkv.T + bias).unflatten(-1, (n_head + 2 * n_kv_head, -1))
    q, k, v = rows.split([n_head, n_kv_head, n_kv_head], 1)
    return rotate_half(q, table), rotate_half(k, table), v


def qk_norm_rope(q: Tensor, k: Tensor, gains: Tensor, table: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """q: (T, H, D); k: (T, G, D); gains: (2, D); table: (T, D/2, 2). RMSNorm over D, then RoPE; shapes stay."""
    return rotate_half(rmsnorm(q, gains[0], eps), table), rotate_half(rmsnorm(k, gains[1], eps), table)


def attention(q: Tensor, k_cache: Tensor, v_cache: Tensor, position: int) -> Tensor:
    """q: (T, H, D) at positions `position …`; caches: (G, S, D). Returns (T, H·D)."""
    tokens, heads, d_head = q.shape
    shared = heads // k_cache.shape[0]
    seen = position + tokens
    k = k_cache[:, :seen].repeat_interleave(shared, 0)
    v = v_cache[:, :seen].repeat_interleave(shared, 0)
    scores = torch.einsum("thd,hsd->hts", q, k) / d_head**0.5
    future = torch.arange(seen)[None, :] > position + torch.arange(tokens)[:, None]
    return torch.einsum("hts,hsd->thd", scores.masked_fill(future, -torch.inf).softmax(-1), v).flatten(1)


def matmul_residual(x: Tensor, input: Tensor, w: Tensor) -> Tensor:
    """x: (T, C); input: (T, K); w: (C, K)."""
    return x + input @ w.T


def norm_gate_up_silu(x: Tensor, gain: Tensor, w_gate: Tensor, w_up: Tensor, eps: float) -> Tensor:
    """x: (T, C); w_gate, w_up: (F, C). Returns (T, F). Source: Shazeer 2020, arXiv:2002.05202."""
    normed = rmsnorm(x, gain, eps)
    return torch.nn.functional.silu(normed @ w_gate.T) * (normed @ w_up.T)


def norm_up_relu2(x: Tensor, gain: Tensor, w_up: Tensor, eps: float) -> Tensor:
    """x: (T, C); w_up: (F, C). Returns (T, F). Source: So et al. 2021, arXiv:2109.08668."""
    return torch.relu(rmsnorm(x, gain, eps) @ w_up.T) ** 2


def norm_logits(x: Tensor, gain: Tensor, w: Tensor, eps: float, cap: float = 0.0) -> Tensor:
    """x: (T, C); w: (V, C); cap: 0 for none. Returns (T, V), last token first, as the kernel writes it."""
    logits = (rmsnorm(x, gain, eps) @ w.T).flip(0)
    return cap * torch.tanh(logits / cap) if cap else logits


def pcg(value: int) -> int:
    """Jarzynski & Olano 2020, "Hash Functions for GPU Rendering", JCGT 9(3)."""
    state = (value * 747796405 + 2891336453) & MASK
    word = (((state >> ((state >> 28) + 4)) ^ state) * 277803737) & MASK
    return (word >> 22) ^ word


def adjust_logits(
    logits: Tensor,
    prompt: Sequence[int],
    answer: Sequence[int],
    repetition: float = 1.0,
    presence: float = 0.0,
    frequency: float = 0.0,
    bias: Mapping[int, float] | None = None,
) -> Tensor:
    """logits: (V). Token by token, in f64. Sources: transformers; OpenAI's API reference."""
    adjusted = logits.double().tolist()
    for token in range(len(adjusted)):
        if token in prompt or token in answer:
            adjusted[token] *= repetition if adjusted[token] < 0 else 1 / repetition
        count = answer.count(token)
        adjusted[token] -= count * frequency + (count > 0) * presence
        adjusted[token] += (bias or {}).get(token, 0.0)
    return torch.tensor(adjusted, dtype=torch.float64)


def survey_logits(logits: Tensor, temperature: float, n_spans: int) -> tuple[list[int | None], Tensor]:
    """logits: (V), f32. Returns each span's likeliest id, and its mass relative to that id's: (n_spans)."""
    size = -(-len(logits) // n_spans)
    likeliest: list[int | None] = [None] * n_spans
    masses = torch.zeros(n_spans, dtype=torch.float64)
    for span, own in enumerate(logits.double().split(size)):
        likeliest[span] = span * size + int(own.argmax())
        if temperature > 0 and own.max().isfinite():
            masses[span] = ((own - own.max()) / temperature).exp().sum()
    return likeliest, masses


def sample(
    logits: Tensor, temperature: float, top_k: int, top_p: float, seed: int, position: int, min_p: float = 0.0
) -> tuple[int, Tensor]:
    """By a stable sort. logits: (V), f32. Returns the id and the margin: the draw's distance from the nearest edge.

    A kernel in f32 may differ from this, in f64, only where the draw falls within rounding of an edge.
    """
    if temperature == 0 or top_k == 1:
        return int(logits.argmax()), torch.tensor(1.0)
    order = logits.double().argsort(descending=True, stable=True)
    weight = ((logits.double() - logits.double().max()) / temperature).exp()
    kept = order[: top_k or None]
    if top_p < 1:
        mass = weight[kept].cumsum(0)
        kept = kept[: int((mass < top_p * mass[-1]).sum()) + 1]
    kept = kept[weight[kept] >= min_p * weight.max()]
    in_id_order = kept.sort().values
    cumulative = weight[in_id_order].cumsum(0) / weight[in_id_order].sum()
    unit = (pcg(seed ^ pcg(position)) >> 8) / 2**24
    place = min(int((cumulative <= unit).sum()), len(in_id_order) - 1)
    return int(in_id_order[place]), (cumulative - unit).abs().min()
