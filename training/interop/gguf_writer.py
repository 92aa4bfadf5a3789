"""A model.bin in, a GGUF file out, which llama.cpp and all that is built on it open.

Every tensor is kept bit for bit: q8_0 and q4_0 have GGUF's own blocks. What training.interop.gguf reads of the file is
what went in; rows of q and k of the llama family are put into llama.cpp's order, as its converter does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind
from gguf import LlamaFileType as FileType
from numpy.typing import NDArray
from pocketlm_tokenizer import Tokenizer

from training.format.dtypes import PLAIN, to_gguf
from training.format.file import ModelFile
from training.interop import gguf_vocabulary
from training.interop.families import check_shared
from training.interop.gguf import INTERLEAVED, KEPT, LAYER_NAMES, NAMES
from training.interop.rope import neighbours

KINDS = {dtype: kind for kind, dtype in KEPT.items()}
FILE_TYPES = {
    "f32": FileType.ALL_F32,
    "f16": FileType.MOSTLY_F16,
    "q8_0": FileType.MOSTLY_Q8_0,
    "q4_0": FileType.MOSTLY_Q4_0,
}
THEIR_NAMES = {ours: theirs for theirs, ours in NAMES.items()}
THEIR_LAYER_NAMES = {ours: theirs for theirs, ours in LAYER_NAMES.items()}


def write(path: Path, model: ModelFile) -> None:
    """Write a model into one file. Raises ValueError where llama.cpp does not know its family, or has no name for the
    tokenizer's split.
    """
    write_tensors(path, model, _tensors(model))


def write_tensors(path: Path, model: ModelFile, tensors: Iterable[tuple[str, NDArray[Any], Kind]]) -> None:
    """Write a model's file with these in the place of its tensors: of each llama.cpp's name, the rows as GGUF has them,
    and their type. Raises as `write` does.
    """
    check_shared(model.architecture, "llama.cpp")
    tokenizer = Tokenizer.from_bytes(model.tokenizer_bytes)
    vocabulary = gguf_vocabulary.parts(tokenizer, model.config["vocab_size"])
    writer = gguf.GGUFWriter(path, model.architecture)
    try:
        _add_config(writer, model)
        _add_vocabulary(writer, model, vocabulary)
        for name, rows, kind in tensors:
            writer.add_tensor(name, rows, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _tensors(model: ModelFile) -> Iterator[tuple[str, NDArray[Any], Kind]]:
    """A model's own, bit for bit, in llama.cpp's order of rows."""
    for name, stored in model.stored.items():
        rows = to_gguf(stored).reshape(*stored.shape[:-1], -1)
        if model.architecture in INTERLEAVED and name.endswith(("q_proj.weight", "k_proj.weight")):
            rows = neighbours(rows, model.config["d_head"])
        values = np.ascontiguousarray(rows).view(PLAIN.get(stored.dtype, np.uint8))  # blocks stay bytes
        yield their_name(name), values, KINDS[stored.dtype]


def _add_config(writer: gguf.GGUFWriter, model: ModelFile) -> None:
    config, provenance = model.config, model.provenance
    name = provenance.get("import", {}).get("name") or provenance.get("preset")
    if name:
        writer.add_name(name)
    writer.add_block_count(config["n_layer"])
    writer.add_context_length(config["ctx_len"])
    writer.add_embedding_length(config["d_model"])
    writer.add_feed_forward_length(config["d_ff"])
    writer.add_head_count(config["n_head"])
    writer.add_head_count_kv(config["n_kv_head"])
    writer.add_key_length(config["d_head"])
    writer.add_value_length(config["d_head"])
    writer.add_rope_dimension_count(config["d_head"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    matrices = [stored for stored in model.stored.values() if len(stored.shape) > 1]
    weights = {dtype: sum(math.prod(each.shape) for each in matrices if each.dtype == dtype) for dtype in FILE_TYPES}
    writer.add_file_type(FILE_TYPES[max(weights, key=lambda dtype: weights[dtype])])


def _add_vocabulary(writer: gguf.GGUFWriter, model: ModelFile, parts: gguf_vocabulary.Parts) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(parts.pre)
    writer.add_token_list(parts.tokens)
    writer.add_token_types(parts.types)
    writer.add_token_merges(parts.merges)
    if model.config["bos_token_id"] is not None:
        writer.add_bos_token_id(model.config["bos_token_id"])
    if model.config["eos_token_id"] is not None:
        writer.add_eos_token_id(model.config["eos_token_id"])
    stops = model.config["stop_token_ids"] or []
    if len(stops) > 2:
        raise ValueError(f"{len(stops)} tokens beside eos_token_id end a text; GGUF has names for two, eot and eom")
    for add, number in zip((writer.add_eot_token_id, writer.add_eom_token_id), stops, strict=False):
        add(number)
    if model.chat_template is None:  # a text to go on with begins as every document of the training did
        writer.add_add_bos_token(model.config["bos_token_id"] is not None)
    else:  # the template writes every special token
        writer.add_add_bos_token(False)
        writer.add_chat_template(model.chat_template)


def their_name(ours: str) -> str:
    """llama.cpp's name of a tensor."""
    if ours in THEIR_NAMES:
        return THEIR_NAMES[ours]
    _, _, index, rest = ours.split(".", 3)
    part, _, kind = rest.rpartition(".")
    return f"blk.{index}.{THEIR_LAYER_NAMES[part]}.{kind}"
