"""A llama2.c checkpoint in, an Imported model out: versions 0, 1 and 2 of its .bin.

Version 0 has a header of seven integers, 1 and 2 one of 256 bytes that begins with a magic; 0 and 1 hold f32, 2 holds
int8 with an f32 scale for each group of weights. A group's scale has more bits than q8_0's, so version 2 is widened to
f32, exactly, and export.dtype says how it is stored. Rows of q and k are interleaved, as in Meta's own files.

The file has no vocabulary. tokenizer.json must stand beside it, a byte-level BPE in Hugging Face's form; llama2.c's
tokenizer.bin is SentencePiece, another algorithm.
Source: llama2.c's export.py (the order of tensors) and run.c, runq.c (the header; version 0 has RoPE's tables too).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.format.dtypes import Stored
from training.format.families import expected_tensors
from training.imported import Imported
from training.interop.families import BadModel, check_tensors
from training.interop.rope import halves
from training.tokenizer_file import JSON_NAME, from_json

MAGIC = 0x616B3432  # "ak42"
FIELDS = struct.Struct("<7i")  # dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, max_seq_len
HEADER_NBYTES = 256  # of versions 1 and 2
ENDS_ALL = 1  # run.c begins a text with this token and ends it there
ROPE = "rope"
CONSTANTS = {"rope_theta": 10000.0, "norm_eps": 1e-5}  # of llama2.c; the file has no place for them
EMBEDDING, NORM, HEAD = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"
ATTENTION_NORM, MLP_NORM = "input_layernorm", "post_attention_layernorm"
ATTENTION = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
MLP = ("mlp.gate_proj", "mlp.down_proj", "mlp.up_proj")  # w1, w2, w3


def read(path: Path) -> Imported:
    """The model of a file. Raises BadModel, a ValueError, that names what is missing, damaged or not supported."""
    data = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.empty(0, np.uint8)
    version, at, values, tied, group = _header(data)
    config = _config(values, tied)
    if version == 2 and (group < 1 or config["d_model"] % group or config["d_ff"] % group):
        raise BadModel(f"groups of {group} weights do not divide its rows: not a checkpoint of llama2.c")
    tokenizer_path = path.with_name(JSON_NAME)
    if not tokenizer_path.is_file():
        raise BadModel(
            f"there is no {JSON_NAME} beside it: a checkpoint of llama2.c has no vocabulary, "
            "and its tokenizer.bin is SentencePiece, another algorithm"
        )
    tokenizer = from_json(tokenizer_path.read_bytes(), JSON_NAME)
    if ENDS_ALL in tokenizer.special_tokens.values():
        config |= {"bos_token_id": ENDS_ALL, "eos_token_id": ENDS_ALL}
    shapes = {spec.name: spec.shape for spec in expected_tensors(config)}
    tensors: dict[str, Stored] = {}
    for name in order(version, config):
        shape = shapes.get(name, (config["ctx_len"], config["d_head"] // 2))  # else a table of RoPE
        in_groups = version == 2 and len(shape) > 1
        size = int(np.prod(shape))
        nbytes = size + size // group * 4 if in_groups else size * 4
        if at + nbytes > len(data):
            raise BadModel(f"cut short: {name} ends at byte {at + nbytes}, the file has {len(data)}")
        rows = _values(data[at : at + nbytes], size, group if in_groups else 0).reshape(shape)
        at += nbytes
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            rows = halves(rows, config["d_head"])
        if name in shapes:
            tensors[name] = Stored("f32", shape, np.ascontiguousarray(rows, "<f4").reshape(-1).view(np.uint8))
    if at != len(data):
        raise BadModel(f"the tensors end at byte {at}, the file has {len(data)}: not a checkpoint of llama2.c")
    ordered = {name: tensors[name] for name in shapes}
    check_tensors(expected_tensors(config), {name: stored.shape for name, stored in ordered.items()})
    kind = f"Q8 in groups of {group}" if version == 2 else "F32"
    origin = {"dtypes": {kind: len(ordered)}, "format": f"llama2.c version {version}"}
    return Imported("llama", config, ordered, tokenizer, None, origin)


def _header(data: NDArray[np.uint8]) -> tuple[int, int, tuple[int, ...], bool, int]:
    """(version, where the tensors begin, the seven fields, tied, weights of a group)."""
    head = data[:HEADER_NBYTES].tobytes()
    if len(head) < FIELDS.size:
        raise BadModel("cut short: not a checkpoint of llama2.c")
    if int.from_bytes(head[:4], "little") != MAGIC:
        values = FIELDS.unpack_from(head)
        return 0, FIELDS.size, (*values[:5], abs(values[5]), values[6]), values[5] > 0, 0
    if len(head) < HEADER_NBYTES:
        raise BadModel("cut short: not a checkpoint of llama2.c")
    version = int.from_bytes(head[4:8], "little")
    if version not in (1, 2):
        raise BadModel(f"version {version} of llama2.c's format is not supported; there are: 0, 1, 2")
    values = FIELDS.unpack_from(head, 8)
    tied = head[8 + FIELDS.size] != 0
    group = int.from_bytes(head[9 + FIELDS.size : 13 + FIELDS.size], "little") if version == 2 else 0
    return version, HEADER_NBYTES, values, tied, group


def _config(values: tuple[int, ...], tied: bool) -> dict[str, Any]:
    """FORMAT.md's configuration; epsilon and RoPE's base are constants of llama2.c."""
    dim, hidden, n_layer, n_head, n_kv_head, vocab_size, ctx_len = values
    # What follows from these sizes is compared with the file's length before anything is read.
    if min(values) < 1 or max(values) > 1 << 20 or dim % n_head or dim // n_head % 2 or n_head % n_kv_head:
        raise BadModel(f"its header holds {values}, which are no sizes of a model: not a checkpoint of llama2.c")
    if n_layer > 1024:
        raise BadModel(f"{n_layer} layers; at most 1024 are supported")
    return {
        "n_layer": n_layer,
        "n_head": n_head,
        "n_kv_head": n_kv_head,
        "d_model": dim,
        "d_head": dim // n_head,
        "d_ff": hidden,
        "vocab_size": vocab_size,
        "ctx_len": ctx_len,
        **CONSTANTS,
        "tie_embeddings": tied,
        "bos_token_id": None,
        "eos_token_id": None,
        "stop_token_ids": None,
    }


def order(version: int, config: dict[str, Any]) -> Iterator[str]:
    """The names of the tensors as they follow each other; ROPE is a table that version 0 carries along."""
    layers = range(config["n_layer"])

    def each(*parts: str) -> Iterator[str]:
        return (f"model.layers.{i}.{part}.weight" for part in parts for i in layers)

    if version == 0:
        yield EMBEDDING
        yield from each(ATTENTION_NORM, *ATTENTION, MLP_NORM, *MLP)
        yield NORM
        yield from (ROPE, ROPE)
    else:
        yield from each(ATTENTION_NORM, MLP_NORM)
        yield NORM
        yield EMBEDDING
        yield from each(*ATTENTION, *MLP)
    if not config["tie_embeddings"]:
        yield HEAD


def _values(data: NDArray[np.uint8], size: int, group: int) -> NDArray[np.float32]:
    """`size` weights, f32: as they are, or of int8 with a scale for each `group` of them behind."""
    if not group:
        return data.view("<f4")
    quants = data[:size].view(np.int8).reshape(-1, group).astype(np.float32)
    return (quants * data[size:].view("<f4")[:, None]).reshape(-1)
