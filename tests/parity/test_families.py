"""Qwen 2 and Qwen 3 against `transformers`, our own family against plain formulas: random configurations and weights.

On the CPU and on the GPU backend.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.parity.compare import DEVICES, Logits, assert_parity
from tests.parity.models import RandomModel, config, write_random_model
from training.format.dtypes import Dtype

SHAPES: dict[str, dict[str, Any]] = {
    "qwen2": {"n_head": 6, "n_kv_head": 2, "d_model": 60, "d_head": 10, "tie_embeddings": False},
    "qwen3": {"n_head": 6, "n_kv_head": 2, "d_model": 52, "d_head": 22, "norm_eps": 1e-6, "rope_theta": 1e6},
}


def theirs(model: RandomModel, architecture: str, ids: list[int], dtype: torch.dtype) -> np.ndarray[Any, Any]:
    """The logits of `transformers`, (T, V), for a model of these weights."""
    import transformers as hf

    classes = {"qwen2": (hf.Qwen2Config, hf.Qwen2ForCausalLM), "qwen3": (hf.Qwen3Config, hf.Qwen3ForCausalLM)}
    make_config, make_model = classes[architecture]
    shape = model.config
    their_config = make_config(
        num_hidden_layers=shape["n_layer"],
        num_attention_heads=shape["n_head"],
        num_key_value_heads=shape["n_kv_head"],
        hidden_size=shape["d_model"],
        head_dim=shape["d_head"],
        intermediate_size=shape["d_ff"],
        vocab_size=shape["vocab_size"],
        max_position_embeddings=shape["ctx_len"],
        rope_parameters={"rope_type": "default", "rope_theta": shape["rope_theta"]},
        rms_norm_eps=shape["norm_eps"],
        tie_word_embeddings=shape["tie_embeddings"],
    )
    their_model = make_model(their_config)
    missing, unexpected = their_model.load_state_dict(model.weights, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}
    with torch.no_grad():
        logits = their_model.to(dtype).eval()(torch.tensor([ids])).logits[0]
    return np.asarray(logits.numpy())


@pytest.mark.parametrize("dtype", ["f32", "f16"])
@pytest.mark.parametrize("architecture", SHAPES)
@pytest.mark.parametrize("device", DEVICES)
def test_a_random_model(tmp_path: Path, engine_logits: Logits, device: str, architecture: str, dtype: Dtype) -> None:
    """Top-1 agrees at every position, no logit differs beyond rounding, and the mean KL divergence is below 1e-5."""
    shape = config(**SHAPES[architecture])
    model = write_random_model(tmp_path / "m.bin", shape, 7, dtype, architecture=architecture)
    ids = np.random.default_rng(3).integers(shape["vocab_size"], size=200).tolist()
    expected = theirs(model, architecture, ids, torch.float32)
    got = engine_logits(model.path, ids, device)
    name = f"{architecture} {dtype} {device}"
    assert_parity(name, got, expected, lambda: theirs(model, architecture, ids, torch.float64))
    log_p, log_q = (torch.from_numpy(logits).double().log_softmax(-1) for logits in (expected, got))
    assert float((log_p.exp() * (log_p - log_q)).sum(-1).mean()) < 1e-5
    assert np.abs(model.logits(ids, torch.float32).numpy() - expected).max() < 1e-3 * expected.std()


@pytest.mark.parametrize("dtype", ["f32", "q8_0"])
@pytest.mark.parametrize("device", DEVICES)
def test_a_random_model_of_our_own(tmp_path: Path, engine_logits: Logits, device: str, dtype: Dtype) -> None:
    """ReLU² without a gate, norms of queries and keys, and a cap low enough to bend every logit."""
    sizes = {"n_head": 6, "n_kv_head": 2, "d_model": 64, "d_head": 10, "d_ff": 96, "tie_embeddings": False}
    dtype_of = lambda name: "f32" if name.endswith("o_proj.weight") else dtype  # noqa: E731  rows of 60 are no blocks
    model = write_random_model(tmp_path / "m.bin", config(**sizes, logit_cap=2.0), 7, dtype_of, architecture="fast")
    ids = np.random.default_rng(3).integers(model.config["vocab_size"], size=200).tolist()
    expected = model.logits(ids, torch.float32).numpy()
    assert 1.0 < np.abs(expected).max() < 2.0
    got = engine_logits(model.path, ids, device)
    assert_parity(f"fast {dtype} {device}", got, expected, lambda: model.logits(ids, torch.float64).numpy())
