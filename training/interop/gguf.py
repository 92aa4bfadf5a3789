"""A GGUF file in, an Imported model out: llama.cpp's single file, of the families llama, qwen2 and qwen3.

Tensors in q8_0, q4_0, f16 and f32 are kept bit for bit; those in BF16, Q4_1, Q5_0, Q5_1, Q2_K to Q6_K, IQ4_NL and
IQ4_XS are widened to f32, exactly as the `gguf` package does it. llama.cpp's converter interleaves the rows of q and k
of the llama family (its RoPE pairs neighbours); that is undone here, on rows of blocks as well, since a block never
leaves its row.
Source: the `gguf` package for the layout; llama.cpp's convert_hf_to_gguf.py for the order of rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind
from numpy.typing import NDArray

from training.format.dtypes import Stored, from_gguf
from training.format.families import expected_tensors
from training.imported import Imported
from training.interop import gguf_vocabulary
from training.interop.families import BadModel, check_tensors, endings, known_family
from training.interop.rope import halves

KEPT = {Kind.F32: "f32", Kind.F16: "f16", Kind.Q8_0: "q8_0", Kind.Q4_0: "q4_0"}
K_QUANTS = (Kind.Q2_K, Kind.Q3_K, Kind.Q4_K, Kind.Q5_K, Kind.Q6_K)
WIDENED = (Kind.BF16, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1, *K_QUANTS, Kind.IQ4_NL, Kind.IQ4_XS)
INTERLEAVED = ("llama",)  # the families whose q and k llama.cpp permutes
PLAIN_ROPE = ("", "none")

# llama.cpp's name of a tensor -> Hugging Face's; blk.{i}. stands for model.layers.{i}.
NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k": "self_attn.k_proj",
    "attn_k_norm": "self_attn.k_norm",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
ENDS_A_TURN = ("tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id")
# Keys, after the architecture's name, of what the engine does not do; the value that means "none of it".
MUST_BE: dict[str, tuple[Any, ...]] = {
    "rope.scaling.type": PLAIN_ROPE,
    "rope.scaling.factor": (0.0, 1.0),
    "rope.scale_linear": (0.0, 1.0),
    "attention.sliding_window": (0,),
    "attention.clamp_kqv": (0.0,),
    "attention.scale": (0.0,),
    "expert_count": (0,),
    "logit_scale": (0.0, 1.0),
    "residual_scale": (0.0, 1.0),
    "embedding_scale": (0.0, 1.0),
}


def read(path: Path) -> Imported:
    """The model of a file. Raises BadModel, a ValueError, that names the family, tensor type or setting which is
    missing or not supported.
    """
    fields, found = _opened(path)
    architecture = known_family(fields.get("general.architecture"), "general.architecture")
    tokenizer = gguf_vocabulary.read(fields)
    tied = "output.weight" not in found
    config = _config(fields, architecture, found, tied)
    specs = expected_tensors(config, architecture)
    named = {_name(theirs): tensor for theirs, tensor in found.items()}
    check_tensors(specs, {name: tuple(int(n) for n in reversed(tensor.shape)) for name, tensor in named.items()})
    tensors: dict[str, Stored] = {}
    for spec in specs:
        tensor = named[spec.name]
        rows = tensor.data
        if architecture in INTERLEAVED and spec.name.endswith(("q_proj.weight", "k_proj.weight")):
            rows = halves(rows, config["d_head"])
        tensors[spec.name] = _stored(spec.name, spec.shape, tensor.tensor_type, rows)
    kinds = [named[spec.name].tensor_type.name for spec in specs]
    origin = {
        "dtypes": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
        "format": "gguf",
        "license": fields.get("general.license"),
        "name": fields.get("general.name"),
    }
    return Imported(architecture, config, tensors, tokenizer, fields.get("tokenizer.chat_template"), origin)


def _opened(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """(metadata by key, tensors by llama.cpp's names), read where they lie."""
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise BadModel("it does not begin with GGUF: not a GGUF file")
    try:
        reader = gguf.GGUFReader(path)
        fields = {name: field.contents() for name, field in reader.fields.items()}
        return fields, {tensor.name: tensor for tensor in reader.tensors}
    except (ValueError, IndexError, KeyError, OverflowError, TypeError, MemoryError) as error:
        raise BadModel(f"cut short or not a GGUF file that can be read: {error}") from error


def _config(fields: dict[str, Any], architecture: str, found: dict[str, Any], tied: bool) -> dict[str, Any]:
    """FORMAT.md's configuration of the metadata."""

    def get(key: str, default: Any = None) -> Any:
        value = fields.get(f"{architecture}.{key}", default)
        if value is None:
            raise BadModel(f"there is no {architecture}.{key}")
        if isinstance(value, list):
            raise BadModel(f"{architecture}.{key} differs from layer to layer, which is not supported")
        return value

    for key, plain in MUST_BE.items():
        value = fields.get(f"{architecture}.{key}")
        if value is not None and value not in plain:
            raise BadModel(f"{architecture}.{key}={value!r} is not supported")
    if "rope_freqs.weight" in found:
        raise BadModel("rope_freqs.weight: scaled RoPE (as of Llama 3.1) is not supported")
    n_head, d_model = get("attention.head_count"), get("embedding_length")
    d_head = get("attention.key_length", d_model // n_head)
    for key in ("attention.value_length", "rope.dimension_count"):
        if get(key, d_head) != d_head:
            raise BadModel(f"{architecture}.{key}={get(key)} is not the width of a head, {d_head}: not supported")
    if "token_embd.weight" not in found:
        raise BadModel("there is no token_embd.weight")
    return {
        "n_layer": get("block_count"),
        "n_head": n_head,
        "n_kv_head": get("attention.head_count_kv", n_head),
        "d_model": d_model,
        "d_head": d_head,
        "d_ff": get("feed_forward_length"),
        "vocab_size": int(found["token_embd.weight"].shape[1]),
        "ctx_len": get("context_length"),
        "rope_theta": float(get("rope.freq_base", 10000.0)),
        "norm_eps": float(f"{get('attention.layer_norm_rms_epsilon'):.7g}"),  # of an f32: 1e-05, not 9.999999747e-06
        "tie_embeddings": tied,
        "bos_token_id": fields.get("tokenizer.ggml.bos_token_id"),
        **endings(fields.get("tokenizer.ggml.eos_token_id"), [fields.get(key) for key in ENDS_A_TURN]),
    }


def _name(theirs: str) -> str:
    """Hugging Face's name of a tensor. Raises BadModel for one that has none."""
    if theirs in NAMES:
        return NAMES[theirs]
    block, _, rest = theirs.partition(".")
    index, _, leaf = rest.partition(".")
    part, _, kind = leaf.rpartition(".")
    if block != "blk" or not index.isdigit() or part not in LAYER_NAMES:
        raise BadModel(f"the tensor {theirs} is none of a family that is supported")
    return f"model.layers.{index}.{LAYER_NAMES[part]}.{kind}"


def _stored(name: str, shape: tuple[int, ...], kind: Kind, rows: NDArray[Any]) -> Stored:
    """A tensor as it is, where FORMAT.md has its layout; else widened to f32, exactly."""
    if kind not in KEPT and kind not in WIDENED:
        known = ", ".join(each.name for each in (*KEPT, *WIDENED))
        raise BadModel(f"{name} is in {kind.name}, which is not supported; there are: {known}")
    if kind in KEPT and not (len(shape) == 1 and kind != Kind.F32):  # gains and biases are f32 in every model.bin
        return from_gguf(KEPT[kind], shape, np.ascontiguousarray(rows).reshape(-1).view(np.uint8))
    values = np.ascontiguousarray(gguf.quants.dequantize(np.ascontiguousarray(rows), kind), dtype="<f4")
    return Stored("f32", shape, values.reshape(-1).view(np.uint8))
