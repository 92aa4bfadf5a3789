"""What torch answers to forced ids and what it would go on with: the JSON that the browser's answers are compared with.

    python -m tests.e2e.expected MODEL.BIN EXPECTED.JSON [--n-ids 256] [--n-greedy 64]

Reads the model file with `training.format.file` and runs `training.model` on the CPU, in f32 for the logits and in f64
for the greedy tokens. Where a weight is narrower than f32, keys and values are rounded to f16, as in the page's cache.

The JSON: {ids, logits (base64 of little-endian f32, (T, V)), tolerance, greedy: {prompt, ids, margins},
score: {text, bits, n_bytes}}.
"""

from __future__ import annotations

import argparse
import base64
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from pocketlm_tokenizer import Tokenizer

from training.config.model import Model
from training.format.file import ModelFile, read_model
from training.model import fast, llama
from training.model.blocks import attend
from training.model.families import LanguageModel, language_model
from training.scoring import losses_of, token_nbytes
from training.tokenizer_file import document_start


def load(file: ModelFile, dtype: torch.dtype) -> LanguageModel:
    """The model of a file, in dtype."""
    not_shape = {"vocab_size", "logit_cap", "bos_token_id", "eos_token_id", "stop_token_ids"}
    shape = {key: value for key, value in file.config.items() if key not in not_shape}
    model = language_model(Model(**shape, family=file.architecture), file.config["vocab_size"])
    model.load_stored({name: torch.from_numpy(values) for name, values in file.tensors.items()})
    return model.to(dtype).eval()


def narrow(file: ModelFile) -> bool:
    """Whether the engine's cache of the model is f16: where not all weights are f32."""
    return any(stored.dtype != "f32" for stored in file.stored.values())


@contextmanager
def cache_of(file: ModelFile) -> Iterator[None]:
    """Attention to what the engine's cache holds of keys and values."""

    def rounded(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return attend(q, k.half().to(k.dtype), v.half().to(v.dtype))

    with pytest.MonkeyPatch.context() as patch:
        for family in (llama, fast):
            patch.setattr(family, "attend", rounded if narrow(file) else attend)
        yield


def greedy(model: LanguageModel, ids: list[int], n: int) -> tuple[list[int], list[float]]:
    """The n likeliest tokens after ids, each with its margin: the distance to the second likeliest logit."""
    window, chosen, margins = list(ids), [], []
    for _ in range(n):
        best = torch.topk(model(torch.tensor([window]))[0, -1], 2)
        chosen.append(int(best.indices[0]))
        margins.append(float(best.values[0] - best.values[1]))
        window.append(chosen[-1])
    return chosen, margins


@torch.no_grad()
def score(model: LanguageModel, tokenizer: Tokenizer, text: str, ctx_len: int, provenance: Any) -> dict[str, Any]:
    """What `doit evaluate` finds for a document: {text, bits, n_bytes}."""
    ids = np.array(document_start(tokenizer, text))
    stream = SimpleNamespace(
        n_tokens=len(ids),
        masked=False,
        read=lambda start, count: ids[start : start + count],
        read_learnt=lambda _, count: np.ones(count, bool),
    )
    overlap = provenance.get("run", {}).get("val_overlap", ctx_len // 2)
    sizes = token_nbytes(tokenizer)
    nats, n_bytes = 0.0, 0
    for batch in losses_of(model, cast(Any, stream), tokenizer.vocab_size, ctx_len, overlap, torch.device("cpu")):
        nats += float(batch.nats[batch.counted].sum())
        n_bytes += int(sizes[batch.targets[batch.counted]].sum())
    return {"text": text, "bits": nats / math.log(2), "n_bytes": n_bytes}


@torch.no_grad()
def expected(path: Path, n_ids: int, n_greedy: int) -> dict[str, object]:
    """The content of the JSON for the model at path."""
    torch.set_num_threads(1)
    file = read_model(path)
    tokenizer = Tokenizer.from_bytes(file.tokenizer_bytes)
    ctx_len, vocab_size = file.config["ctx_len"], file.config["vocab_size"]
    ids = np.random.default_rng(1).integers(0, vocab_size, min(n_ids, ctx_len)).tolist()
    with cache_of(file):
        logits = load(file, torch.float32)(torch.tensor([ids]))[0].numpy().astype("<f4")
    special = set(tokenizer.special_tokens.values())
    prompt = tokenizer.decode([token for token in file.golden.ids if token not in special])
    prompt_ids = tokenizer.encode(prompt)
    with cache_of(file):
        chosen, margins = greedy(load(file, torch.float64), prompt_ids, min(n_greedy, ctx_len - len(prompt_ids)))
    return {
        "ids": ids,
        "logits": base64.b64encode(logits.tobytes()).decode(),
        # A key next to the middle between two numbers of f16 may be rounded to either.
        "tolerance": (2e-3 if narrow(file) else 1e-3) * max(float(logits.std()), 0.1),
        "score": score(load(file, torch.float32), tokenizer, prompt * 8, ctx_len, file.provenance),
        "greedy": {"prompt": prompt, "ids": chosen, "margins": margins},
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--n-ids", type=int, default=256)
    parser.add_argument("--n-greedy", type=int, default=64)
    arguments = parser.parse_args()
    answer = expected(arguments.model, arguments.n_ids, arguments.n_greedy)
    arguments.out.write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main()
