"""A decoder that learns more from each step than Llama does (training/LOG.md), and no more than that needs.

Against training/model/llama.py: queries and keys are normed, the other norms have no weights, the embedding is normed,
ReLU² stands in place of SwiGLU, what is added to the residual stream begins at zero, the logits are capped, and the
output projection is a matrix of its own. In a model.bin it is the family `fast`: see `format_tensors`.

Letters of shapes: docs/ARCHITECTURE.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from training.config.model import Model
from training.model.blocks import attend, norm, rope_tables, squared_relu, turn
from training.model.loss import cross_entropy, logits_of

LOGIT_CAP = 15.0  # logits stay within it. Source: Gemma Team 2024, arXiv:2408.00118


class Attention(nn.Module):
    """Causal self-attention, each head's queries and keys normed. Source: Henry et al. 2020, arXiv:2010.04245."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.n_head, self.n_kv_head, self.d_head, self.eps = model.n_head, model.n_kv_head, model.d_head, model.norm_eps
        self.q_proj = nn.Linear(model.d_model, model.n_head * model.d_head, bias=False)
        self.k_proj = nn.Linear(model.d_model, model.n_kv_head * model.d_head, bias=False)
        self.v_proj = nn.Linear(model.d_model, model.n_kv_head * model.d_head, bias=False)
        self.o_proj = nn.Linear(model.n_head * model.d_head, model.d_model, bias=False)
        self.q_norm = nn.Parameter(torch.ones(model.d_head))  # (D) gains, without which no score exceeds sqrt(D)
        self.k_norm = nn.Parameter(torch.ones(model.d_head))

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        """x: (B, T, C); angles: (T, 1, D/2). Returns (B, T, C)."""
        q = self.q_proj(x).unflatten(-1, (self.n_head, self.d_head))  # (B, T, H, D)
        k = self.k_proj(x).unflatten(-1, (self.n_kv_head, self.d_head))  # (B, T, G, D)
        v = self.v_proj(x).unflatten(-1, (self.n_kv_head, self.d_head))
        q = turn(norm(q, self.eps) * self.q_norm, angles)
        k = turn(norm(k, self.eps) * self.k_norm, angles)
        out: Tensor = self.o_proj(attend(q, k, v))
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


class Decoder(nn.Module):
    """Embedding and layers: what Hugging Face calls `model`."""

    def __init__(self, model: Model, vocab_size: int) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(vocab_size, model.d_model)
        self.layers = nn.ModuleList(Layer(model) for _ in range(model.n_layer))


class Fast(nn.Module):
    """ids in, logits out. model.tie_embeddings is false."""

    cos: Tensor  # (ctx_len, 1, D/2)
    sin: Tensor

    def __init__(self, model: Model, vocab_size: int) -> None:
        super().__init__()
        self.eps, self.d_head = model.norm_eps, model.d_head
        self.stored = False  # the weights are those of a model.bin, where the rows of the embedding are normed
        self.model = Decoder(model, vocab_size)
        self.lm_head = nn.Linear(model.d_model, vocab_size, bias=False)
        cos, sin = rope_tables(model.ctx_len, model.d_head, model.rope_theta)
        self.register_buffer("cos", cos[:, None], persistent=False)
        self.register_buffer("sin", sin[:, None], persistent=False)

    def first_weights(self, generator: torch.Generator) -> Iterator[tuple[str, Tensor]]:
        """Each weight's name and what it begins as, drawn from a generator on the CPU: the embedding normal, sd 1;
        matrices uniform, sd 1/sqrt(C); zeros what adds to the residual stream and what gives the logits (Yang et al.
        2022, arXiv:2203.03466). Gains begin at 1.
        """
        for name, weight in self.named_parameters():
            if name == "model.embed_tokens.weight":
                yield name, torch.randn(weight.shape, generator=generator)
            elif name.endswith(("o_proj.weight", "down_proj.weight", "lm_head.weight")):
                yield name, torch.zeros(weight.shape)
            elif weight.dim() == 2:
                bound = (3 / weight.shape[1]) ** 0.5
                yield name, torch.empty(weight.shape).uniform_(-bound, bound, generator=generator)
            else:
                yield name, torch.ones(weight.shape)

    def initialise(self, generator: torch.Generator) -> None:
        """Give all weights what they begin as."""
        for name, first in self.first_weights(generator):
            self.get_parameter(name).data.copy_(first)

    def load_stored(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the weights of a model.bin. It undoes `format_tensors`, but for the embedding, which stays normed."""
        own = self.state_dict()
        for name in own:
            theirs = tensors[_format_name(name)]
            own[name] = _neighbours(theirs, self.d_head) if _is_turned(name) else theirs
        self.load_state_dict(own)
        self.stored = True

    def forward(self, ids: Tensor, chosen: Tensor | None = None, targets: Tensor | None = None) -> Tensor:
        """ids: (B, T) int64, T at most ctx_len. Returns logits, (B, T, V), between -LOGIT_CAP and LOGIT_CAP; where
        `chosen`, (B, T) bool, says which positions are wanted, of these alone: (N, V). With targets, (B, T) int64,
        their mean loss in nats instead, ().
        """
        angles = torch.complex(self.cos[: ids.shape[1]], self.sin[: ids.shape[1]])
        x = self.model.embed_tokens(ids)
        x = x if self.stored else norm(x, self.eps)
        for layer in self.model.layers:
            x = layer(x, angles)
        x = norm(x if chosen is None else x[chosen], self.eps)
        if targets is None:
            return logits_of(x, self.lm_head.weight, LOGIT_CAP)
        wanted = targets.flatten() if chosen is None else targets[chosen]
        return cross_entropy(x.flatten(0, -2), self.lm_head.weight, wanted, LOGIT_CAP)


def format_tensors(model: Model, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A module's weights as training/FORMAT.md has them: norms without weights have gains of one, the embedding's rows
    are normed, and the components of queries and keys stand in the order of `rotate`."""
    ones = torch.ones(model.d_model)
    tensors = {"model.norm.weight": ones}
    for index in range(model.n_layer):
        tensors[f"model.layers.{index}.input_layernorm.weight"] = ones
        tensors[f"model.layers.{index}.post_attention_layernorm.weight"] = ones
    for name, weight in weights.items():
        if name == "model.embed_tokens.weight":
            weight = norm(weight, model.norm_eps)
        tensors[_format_name(name)] = _halves(weight, model.d_head) if _is_turned(name) else weight
    return tensors


def _format_name(name: str) -> str:
    return f"{name}.weight" if name.endswith(("q_norm", "k_norm")) else name


def _is_turned(name: str) -> bool:
    """Whether the first dimension counts components that RoPE turns."""
    return name.endswith(("q_proj.weight", "k_proj.weight", "q_norm", "k_norm"))


def _halves(rows: Tensor, d_head: int) -> Tensor:
    """Of each head component 2j to j, and 2j + 1 to j + D/2. rows: (H * D, ...)."""
    return rows.unflatten(0, (-1, d_head // 2, 2)).transpose(1, 2).flatten(0, 2)


def _neighbours(rows: Tensor, d_head: int) -> Tensor:
    """The inverse of `_halves`."""
    return rows.unflatten(0, (-1, 2, d_head // 2)).transpose(1, 2).flatten(0, 2)
