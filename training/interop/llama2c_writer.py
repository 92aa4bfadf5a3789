"""A model.bin in, a checkpoint of llama2.c out: version 0 of its .bin, which its run.c opens, and tokenizer.json.

Everything is f32: narrower matrices are widened, exactly. What training.interop.llama2c reads of it is what went in,
but for the tokens that begin and end a text, which the file has no place for: run.c begins and ends with token 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
from pocketlm_tokenizer import Tokenizer

from training.format.file import ModelFile
from training.interop.llama2c import CONSTANTS, FIELDS, ROPE, order
from training.interop.rope import neighbours
from training.tokenizer_file import JSON_NAME

NAME = "model.bin"


def write(folder: Path, model: ModelFile) -> None:
    """Write a model into a folder that is there. Raises ValueError where the format has no place for it."""
    check(model)
    config = model.config
    sizes = (config["d_model"], config["d_ff"], config["n_layer"], config["n_head"], config["n_kv_head"])
    rows = config["vocab_size"] if config["tie_embeddings"] else -config["vocab_size"]
    with (folder / NAME).open("wb") as file:
        file.write(FIELDS.pack(*sizes, rows, config["ctx_len"]))
        for name in order(0, config):
            _write_rope(file, model) if name == ROPE else _write_tensor(file, model, name)
    tokenizer = Tokenizer.from_bytes(model.tokenizer_bytes)
    (folder / JSON_NAME).write_text(tokenizer.to_hf_json(), encoding="utf-8")


def check(model: ModelFile) -> None:
    """Raises ValueError for a model that llama2.c would compute otherwise: its file has none of these fields."""
    config = model.config
    wanted = {"d_head": config["d_model"] // config["n_head"], **CONSTANTS}
    if model.architecture != "llama":
        raise ValueError(
            f"the model is of the family {model.architecture!r}, which llama2.c does not know; to export it, "
            "train one with model.family=llama"
        )
    for name, value in wanted.items():
        if config[name] != value:
            raise ValueError(f"model.{name}={config[name]} cannot be written for llama2.c, where it is {value} always")


def _write_tensor(file: BinaryIO, model: ModelFile, name: str) -> None:
    values = model.stored[name].values()
    if name.endswith(("q_proj.weight", "k_proj.weight")):
        values = neighbours(values, model.config["d_head"])
    file.write(np.ascontiguousarray(values, "<f4").tobytes())


def _write_rope(file: BinaryIO, model: ModelFile) -> None:
    """Room for a table of RoPE, (ctx_len, d_head / 2): run.c passes over it and computes its own."""
    file.write(np.zeros((model.config["ctx_len"], model.config["d_head"] // 2), "<f4").tobytes())
