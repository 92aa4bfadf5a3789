"""Random models for the parity tests: made when a test runs, written by the one writer of model.bin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from tests import oracles
from training.format.dtypes import Dtype, Stored, as_stored
from training.format.families import expected_tensors
from training.format.file import Golden, Section, write_model

# A tokenizer is opaque to the engine: `logits`, `inspect` and `bench` never open it.
TOKENIZER = b"no tokenizer in a random model"


@dataclass(frozen=True)
class RandomModel:
    """A model.bin and what torch needs to compute the same."""

    path: Path
    config: dict[str, Any]
    weights: dict[str, Tensor]  # f32, the values as they are stored

    def logits(self, ids: list[int], dtype: torch.dtype) -> Tensor:
        """The oracle's logits, (T, V), computed in `dtype`."""
        weights = {name: weight.to(dtype) for name, weight in self.weights.items()}
        return oracles.llama(self.config, weights, ids)


def config(**changes: Any) -> dict[str, Any]:
    """A small configuration with some fields changed."""
    base: dict[str, Any] = {
        "n_layer": 2,
        "n_head": 2,
        "n_kv_head": 2,
        "d_model": 32,
        "d_head": 16,
        "d_ff": 48,
        "vocab_size": 97,
        "ctx_len": 256,
        "rope_theta": 10000.0,
        "norm_eps": 1e-5,
        "tie_embeddings": True,
        "bos_token_id": 0,
        "eos_token_id": None,
    }
    return {**base, **changes}


def write_random_model(
    path: Path,
    config: dict[str, Any],
    seed: int,
    dtype: Dtype | Callable[[str], Dtype] = "f32",
    tokenizer: bytes = TOKENIZER,
    sections: dict[str, Section] | None = None,
    architecture: str = "llama",
) -> RandomModel:
    """Write a model with weights of a size at which every layer matters and logits spread (sd about 1)."""
    rng = np.random.default_rng(seed)
    stored: dict[str, Stored] = {}
    for spec in expected_tensors(config, architecture):
        if spec.f32_always:
            values = 1 + 0.2 * rng.standard_normal(spec.shape)
        else:
            values = rng.standard_normal(spec.shape) / np.sqrt(spec.shape[1])
        stored[spec.name] = as_stored(spec, values, dtype if isinstance(dtype, str) else dtype(spec.name))
    weights = {name: torch.from_numpy(tensor.values()) for name, tensor in stored.items()}
    ids = rng.integers(config["vocab_size"], size=min(9, config["ctx_len"])).tolist()
    golden = Golden(ids, oracles.llama(config, weights, ids)[-1].numpy())
    dtypes = {name: cast("Dtype", tensor.dtype) for name, tensor in stored.items()}
    provenance = {"test": "random weights", "seed": seed}
    write_model(path, config, tokenizer, stored, golden, provenance, dtypes, architecture, sections)
    return RandomModel(path, config, weights)
