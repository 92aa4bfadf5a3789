"""The models that are measured, each in the file of every peer: the same weights, in the same bits.

    python -m tests.bench.engine.models MODEL DTYPE FOLDER

In: a shape with random weights, or build/smollm2/model.bin. Out: FOLDER/model.bin, model.gguf and prompt.json. No model
ever ends a text, so that every engine writes as much as is asked. A process of its own: the driver stays small, since
Linux counts a parent's memory to the peak of its children.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pocketlm_tokenizer import Tokenizer

from tests.bench.engine.peers import SMOLLM2
from training.format.dtypes import as_stored, dtypes_of
from training.format.families import expected_tensors
from training.format.file import Golden, read_model, write_model
from training.interop import gguf_writer
from training.reference import last_logits

CONTEXT = 256  # half of it is read, half of it written: `pocketlm bench` splits a context so
WORDS = [
    "".join(letters)
    for letters in itertools.product("bdfgklmnprstvz", "aeiou", "bdfgklmnprstvz", "aeiou", "bdfgklmnprst")
]
BEGIN = 0  # the first id of every prompt


class Source(NamedTuple):
    """A model before it is stored in some dtype."""

    config: dict[str, Any]
    tokenizer: bytes
    values: Callable[[str], NDArray[Any]]  # by a tensor's name
    architecture: str = "llama"


def _random(**shape: int) -> Source:
    """Weights at which the logits spread by about 1, and a vocabulary of made-up words."""
    config = {
        **shape,
        "ctx_len": CONTEXT,
        "rope_theta": 10000.0,
        "norm_eps": 1e-5,
        "tie_embeddings": True,
        "bos_token_id": BEGIN,
    }
    tokenizer = Tokenizer.train(
        [" ".join(WORDS)], shape["vocab_size"], ["<|endoftext|>"], split="gpt2", min_frequency=0
    )
    assert tokenizer.vocab_size == shape["vocab_size"], tokenizer.vocab_size
    specs = {spec.name: spec for spec in expected_tensors(config, "llama")}

    def values(name: str) -> NDArray[Any]:
        spec, rng = specs[name], np.random.default_rng(sum(name.encode()))
        if spec.f32_always:
            return 1 + 0.2 * rng.standard_normal(spec.shape)
        made = rng.standard_normal(spec.shape) / np.sqrt(spec.shape[1])
        if name == "model.embed_tokens.weight":
            made[BEGIN : BEGIN + 257] = 0  # never the likeliest: wllama fails where single bytes are no text
        return made

    return Source(config, tokenizer.to_bytes(), values)


def _smollm2() -> Source:
    """The real SmolLM2-135M-Instruct, as the preset exports it, with a shorter context and no end."""
    model = read_model(SMOLLM2)
    config = {**model.config, "ctx_len": CONTEXT, "bos_token_id": BEGIN, "eos_token_id": None, "stop_token_ids": None}
    return Source(config, model.tokenizer_bytes, lambda name: model.stored[name].values(), model.architecture)


SOURCES: dict[str, Callable[[], Source]] = {
    # The default preset's shape, and that of llama2.c's stories15M.
    "1M": lambda: _random(n_layer=4, n_head=2, n_kv_head=2, d_model=128, d_head=64, d_ff=352, vocab_size=1024),
    "15M": lambda: _random(n_layer=6, n_head=6, n_kv_head=6, d_model=288, d_head=48, d_ff=768, vocab_size=32_000),
    "135M": _smollm2,
}


def prompt(vocab_size: int, tokens: int) -> list[int]:
    """Ids all over the vocabulary, as `pocketlm bench` takes them; the first is BEGIN."""
    return [BEGIN, *(index * 2_654_435_761 % 2**32 % vocab_size for index in range(1, tokens))]


def _text(tokenizer: bytes, tokens: int) -> str:
    """A text of about so many tokens, for engines that take no ids."""
    known = Tokenizer.from_bytes(tokenizer)
    text: str = known.decode(known.encode(" ".join(random.Random(1).choices(WORDS, k=tokens)))[:tokens])
    return text


def write(folder: Path, source: Source, dtype: str) -> None:
    """Write the files of one model in one dtype."""
    specs = expected_tensors(source.config, source.architecture)
    dtypes = dtypes_of(specs, dtype)
    stored = {spec.name: as_stored(spec, source.values(spec.name), dtypes[spec.name]) for spec in specs}
    ids = prompt(source.config["vocab_size"], CONTEXT // 2)
    (folder / "prompt.json").write_text(json.dumps({"ids": ids, "text": _text(source.tokenizer, len(ids))}))
    golden = Golden(ids[:9], last_logits(source.config, stored, ids[:9]).numpy())
    path = folder / "model.bin"
    write_model(path, source.config, source.tokenizer, stored, golden, {}, dtypes, source.architecture)
    made = read_model(path)
    # Some look at the length that a model is made for, and want a token more than they use.
    gguf_writer.write(folder / "model.gguf", replace(made, config={**made.config, "ctx_len": 2 * CONTEXT}))


if __name__ == "__main__":
    torch.set_num_threads(1)  # two that wait for each other take minutes on a busy machine
    write(Path(sys.argv[3]), SOURCES[sys.argv[1]](), sys.argv[2])
