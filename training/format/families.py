"""The families of models that a model.bin can hold: their configuration fields and their tensors (FORMAT.md §2 and §3).

In:  a family's name and a configuration.
Out: which fields it must and may have, and the list of tensors in the file's order.

Rust has the same table in rust/inference/src/format/family.rs; tests/vectors/model_format.json holds both to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

# Bounds of FORMAT.md §2, in its order. n_kv_head must also divide n_head, and d_head be even.
BOUNDS: dict[str, tuple[int, int]] = {
    "n_layer": (1, 1024),
    "n_head": (1, 1024),
    "n_kv_head": (1, 1024),
    "d_model": (1, 65536),
    "d_head": (2, 1024),
    "d_ff": (1, 262144),
    "vocab_size": (1, 1048576),
    "ctx_len": (1, 1048576),
}
REQUIRED = frozenset({*BOUNDS, "rope_theta", "norm_eps", "tie_embeddings"})
OPTIONAL = frozenset({"bos_token_id", "eos_token_id", "stop_token_ids"})
MAX_STOPS = 16
MAX_LOGIT_CAP = 1000

Rows = tuple[tuple[str, str], ...]  # (name, sizes); the letters of the sizes are those of `_sizes`


class Family(NamedTuple):
    """Fields and tensors of an architecture. One size: a gain or a bias, always f32. Two: a matrix, [out, in]."""

    required: frozenset[str]
    optional: frozenset[str]
    before: Rows
    layer: Rows  # the names follow "model.layers.{i}."
    after: Rows  # "lm_head.weight" is absent where tie_embeddings


def _family(layer: Rows, own: frozenset[str] = frozenset()) -> Family:
    """A decoder with RMSNorm before both halves of a layer, RoPE and grouped queries. own: fields that others lack."""
    before = (("model.embed_tokens.weight", "VC"),)
    after = (("model.norm.weight", "C"), ("lm_head.weight", "VC"))
    return Family(REQUIRED | own, OPTIONAL, before, layer, after)


_MLP: Rows = (
    ("post_attention_layernorm.weight", "C"),
    ("mlp.gate_proj.weight", "FC"),
    ("mlp.up_proj.weight", "FC"),
    ("mlp.down_proj.weight", "CF"),
)

_QWEN3: Rows = (
    ("input_layernorm.weight", "C"),
    ("self_attn.q_proj.weight", "QC"),
    ("self_attn.q_norm.weight", "D"),
    ("self_attn.k_proj.weight", "KC"),
    ("self_attn.k_norm.weight", "D"),
    ("self_attn.v_proj.weight", "KC"),
    ("self_attn.o_proj.weight", "CQ"),
    *_MLP,
)

FAMILIES: dict[str, Family] = {
    "llama": _family(
        (
            ("input_layernorm.weight", "C"),
            ("self_attn.q_proj.weight", "QC"),
            ("self_attn.k_proj.weight", "KC"),
            ("self_attn.v_proj.weight", "KC"),
            ("self_attn.o_proj.weight", "CQ"),
            *_MLP,
        )
    ),
    # Qwen 2 and 2.5: Llama with a bias on q, k and v.
    "qwen2": _family(
        (
            ("input_layernorm.weight", "C"),
            ("self_attn.q_proj.weight", "QC"),
            ("self_attn.q_proj.bias", "Q"),
            ("self_attn.k_proj.weight", "KC"),
            ("self_attn.k_proj.bias", "K"),
            ("self_attn.v_proj.weight", "KC"),
            ("self_attn.v_proj.bias", "K"),
            ("self_attn.o_proj.weight", "CQ"),
            *_MLP,
        )
    ),
    # Qwen 3: Llama with an RMSNorm of each head's query and key before RoPE.
    "qwen3": _family(_QWEN3),
    # Ours: Qwen 3 with ReLU² in place of SwiGLU, and logits that are capped.
    "fast": _family(tuple(row for row in _QWEN3 if row[0] != "mlp.gate_proj.weight"), own=frozenset({"logit_cap"})),
}


class TensorSpec(NamedTuple):
    """A tensor that a configuration asks for."""

    name: str
    shape: tuple[int, ...]

    @property
    def f32_always(self) -> bool:
        """Gains and biases are f32 in every file."""
        return len(self.shape) == 1

    def dtype(self, matrices: str) -> str:
        """The dtype of this tensor in a file whose matrices have the dtype `matrices`."""
        return "f32" if self.f32_always else matrices


def expected_tensors(config: Mapping[str, Any], architecture: str = "llama") -> list[TensorSpec]:
    """All tensors of a configuration, in the file's order (FORMAT.md §3). `architecture` is a key of FAMILIES."""
    family = FAMILIES[architecture]
    sizes = {
        "C": config["d_model"],
        "D": config["d_head"],
        "F": config["d_ff"],
        "K": config["n_kv_head"] * config["d_head"],
        "Q": config["n_head"] * config["d_head"],
        "V": config["vocab_size"],
    }
    rows = [*family.before]
    for i in range(config["n_layer"]):
        rows += [(f"model.layers.{i}.{name}", letters) for name, letters in family.layer]
    rows += [row for row in family.after if row[0] != "lm_head.weight" or not config["tie_embeddings"]]
    return [TensorSpec(name, tuple(sizes[letter] for letter in letters)) for name, letters in rows]
