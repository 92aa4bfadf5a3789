"""Llama in PyTorch, with Hugging Face's tensor names: what is trained here runs wherever Llama runs. And Qwen 2 and 3,
which differ from it in a line each.

Shapes: B sequences, T positions, C = d_model, H query heads, G key/value heads, D = d_head, F = d_ff, V = vocab_size.
Source: Touvron et al. 2023, arXiv:2302.13971; grouped-query attention: Ainslie et al. 2023, arXiv:2305.13245.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.config.model import Model
from training.model.blocks import RMSNorm, attend, rope_tables, rotate
from training.model.loss import cross_entropy, logits_of


class Attention(nn.Module):
    """Causal self-attention with grouped queries."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.n_head, self.n_kv_head, self.d_head = model.n_head, model.n_kv_head, model.d_head
        bias = model.family == "qwen2"
        self.q_proj = nn.Linear(model.d_model, model.n_head * model.d_head, bias=bias)
        self.k_proj = nn.Linear(model.d_model, model.n_kv_head * model.d_head, bias=bias)
        self.v_proj = nn.Linear(model.d_model, model.n_kv_head * model.d_head, bias=bias)
        normed = model.family == "qwen3"  # each head's query and key, before RoPE
        self.q_norm = RMSNorm(model.d_head, model.norm_eps) if normed else nn.Identity()
        self.k_norm = RMSNorm(model.d_head, model.norm_eps) if normed else nn.Identity()
        self.o_proj = nn.Linear(model.n_head * model.d_head, model.d_model, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """x: (B, T, C); cos, sin: (T, 1, D/2). Returns (B, T, C)."""
        q = self.q_proj(x).unflatten(-1, (self.n_head, self.d_head))  # (B, T, H, D)
        k = self.k_proj(x).unflatten(-1, (self.n_kv_head, self.d_head))  # (B, T, G, D)
        v = self.v_proj(x).unflatten(-1, (self.n_kv_head, self.d_head))
        q, k = rotate(self.q_norm(q), cos, sin), rotate(self.k_norm(k), cos, sin)
        out: Tensor = self.o_proj(attend(q, k, v))
        return out


class SwiGLU(nn.Module):
    """down(silu(gate(x)) * up(x)). Source: Shazeer 2020, arXiv:2002.05202."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(model.d_model, model.d_ff, bias=False)
        self.up_proj = nn.Linear(model.d_model, model.d_ff, bias=False)
        self.down_proj = nn.Linear(model.d_ff, model.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, C). Returns (B, T, C)."""
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class Layer(nn.Module):
    """One decoder layer: attention and SwiGLU, each behind a norm and added to the residual stream."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(model.d_model, model.norm_eps)
        self.self_attn = Attention(model)
        self.post_attention_layernorm = RMSNorm(model.d_model, model.norm_eps)
        self.mlp = SwiGLU(model)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """x: (B, T, C). Returns (B, T, C)."""
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class Decoder(nn.Module):
    """Embedding, layers, last norm: what Hugging Face calls `model`."""

    def __init__(self, model: Model, vocab_size: int) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(vocab_size, model.d_model)
        self.layers = nn.ModuleList(Layer(model) for _ in range(model.n_layer))
        self.norm = RMSNorm(model.d_model, model.norm_eps)


class Llama(nn.Module):
    """A decoder of the families llama, qwen2 and qwen3 of training/FORMAT.md. ids in, logits out."""

    cos: Tensor  # (ctx_len, 1, D/2)
    sin: Tensor

    def __init__(self, model: Model, vocab_size: int) -> None:
        super().__init__()
        self.model = Decoder(model, vocab_size)
        self.lm_head = None if model.tie_embeddings else nn.Linear(model.d_model, vocab_size, bias=False)
        cos, sin = rope_tables(model.ctx_len, model.d_head, model.rope_theta)
        self.register_buffer("cos", cos[:, None], persistent=False)
        self.register_buffer("sin", sin[:, None], persistent=False)

    def first_weights(self, generator: torch.Generator) -> Iterator[tuple[str, Tensor]]:
        """Each weight's name and what it begins as, drawn from a generator on the CPU: normal, sd 0.02, and
        0.02 / sqrt(2 n_layer) for the two projections that add to the residual stream (Radford et al. 2019, GPT-2).
        Norms begin at 1, biases at 0.
        """
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                narrow = name.endswith(("o_proj.weight", "down_proj.weight"))
                sd = 0.02 / (2 * len(self.model.layers)) ** 0.5 if narrow else 0.02
                yield name, torch.randn(weight.shape, generator=generator) * sd
            else:
                yield name, torch.full(weight.shape, 0.0 if name.endswith("bias") else 1.0)

    def initialise(self, generator: torch.Generator) -> None:
        """Give all weights what they begin as."""
        for name, first in self.first_weights(generator):
            self.get_parameter(name).data.copy_(first)

    def load_stored(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the weights of a model.bin, by the names of training/FORMAT.md: they are this module's own."""
        self.load_state_dict(tensors)

    def forward(self, ids: Tensor, chosen: Tensor | None = None, targets: Tensor | None = None) -> Tensor:
        """ids: (B, T) int64, T at most ctx_len. Returns logits, (B, T, V); where `chosen`, (B, T) bool, says which
        positions are wanted, of these alone: (N, V). With targets, (B, T) int64, their mean loss in nats instead, ().
        """
        cos, sin = self.cos[: ids.shape[1]], self.sin[: ids.shape[1]]
        x = self.model.embed_tokens(ids)
        for layer in self.model.layers:
            x = layer(x, cos, sin)
        x = self.model.norm(x if chosen is None else x[chosen])
        head = self.model.embed_tokens.weight if self.lm_head is None else self.lm_head.weight
        if targets is None:
            return logits_of(x, head, None)
        return cross_entropy(x.flatten(0, -2), head, targets.flatten() if chosen is None else targets[chosen])
