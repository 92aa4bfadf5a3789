"""torch against the command line program, on random models of odd shapes, on the CPU and on the GPU backend."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.parity.compare import DEVICES, Logits, assert_greedy, assert_parity, nmse, tolerance
from tests.parity.conftest import Run
from tests.parity.models import RandomModel, config, write_random_model
from training.format.dtypes import DTYPES, QUANT_NBYTES, Dtype

SHAPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "gqa": {"n_head": 6, "n_kv_head": 2, "d_model": 36, "d_head": 10},
    "one-kv-head": {"n_head": 5, "n_kv_head": 1, "d_model": 20, "d_head": 6, "tie_embeddings": False},
    "odd": {"n_layer": 3, "n_head": 3, "n_kv_head": 3, "d_model": 37, "d_head": 14, "d_ff": 53, "vocab_size": 131},
    "narrow-heads": {"n_head": 7, "n_kv_head": 7, "d_model": 33, "d_head": 2, "d_ff": 5, "vocab_size": 11},
    "heads-wider-than-model": {"n_head": 3, "n_kv_head": 1, "d_model": 24, "d_head": 34, "tie_embeddings": False},
    "one-of-each": {"n_layer": 1, "n_head": 1, "n_kv_head": 1, "d_model": 1, "d_head": 2, "d_ff": 1, "vocab_size": 2},
    "wide": {"n_layer": 1, "n_head": 4, "n_kv_head": 2, "d_model": 260, "d_head": 66, "d_ff": 515, "vocab_size": 1031},
    "long-context": {"ctx_len": 700, "rope_theta": 500.0},
    "in-blocks": {"n_head": 4, "d_model": 96, "d_head": 24, "d_ff": 288, "vocab_size": 131, "tie_embeddings": False},
    "theta-and-eps": {"rope_theta": 1e6, "norm_eps": 1e-2, "d_head": 18},
}


def mixed(name: str) -> Dtype:
    """A dtype by a tensor's name."""
    return DTYPES[zlib.crc32(name.encode()) % len(DTYPES)]


def make(tmp_path: Path, shape: str, dtype: Dtype = "f32") -> RandomModel:
    seed = zlib.crc32(shape.encode())
    return write_random_model(tmp_path / "model.bin", config(**SHAPES[shape]), seed, dtype)


def forced_ids(model: RandomModel, count: int) -> list[int]:
    return np.random.default_rng(5).integers(model.config["vocab_size"], size=count).tolist()


@pytest.mark.parametrize("dtype", ["f32", "f16"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("device", DEVICES)
def test_forced_tokens(tmp_path: Path, engine_logits: Logits, device: str, shape: str, dtype: Dtype) -> None:
    """Top-1 agrees at every position and no logit differs by more than the tolerance."""
    model = make(tmp_path, shape, dtype)
    ids = forced_ids(model, model.config["ctx_len"])
    expected = model.logits(ids, torch.float32).numpy()
    got = engine_logits(model.path, ids, device)
    assert_parity(f"{shape} {dtype} {device}", got, expected, lambda: model.logits(ids, torch.float64).numpy())


# Squared error over squared logits. The CPU may round activations to 8 bits where the weights are in blocks.
NMSE = {"f32": 1e-7, "f16": 1e-5, "q8_0": 1e-6, "q4_0": 1e-6}
NMSE_IN_INTEGERS = 2e-4


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("device", DEVICES)
def test_forced_tokens_in_blocks(tmp_path: Path, engine_logits: Logits, device: str, dtype: Dtype) -> None:
    """256 tokens: the engine computes what torch computes from the weights as they are stored."""
    model = make(tmp_path, "in-blocks", dtype)
    ids = forced_ids(model, 256)
    expected = model.logits(ids, torch.float32).numpy()
    got = engine_logits(model.path, ids, device)
    in_integers = device == "cpu" and dtype in QUANT_NBYTES
    assert nmse(got, expected) <= (NMSE_IN_INTEGERS if in_integers else NMSE[dtype])
    assert_parity(f"{dtype} {device}", got, expected, lambda: model.logits(ids, torch.float64).numpy())


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [("gqa", "f32"), ("odd", "f16"), ("narrow-heads", "f16"), ("heads-wider-than-model", "f16"), ("wide", "f16")]
    + [("in-blocks", dtype) for dtype in DTYPES],
)
@pytest.mark.parametrize("device", DEVICES)
def test_a_cache_in_f16(tmp_path: Path, engine_logits: Logits, device: str, shape: str, dtype: Dtype) -> None:
    """256 tokens with keys and values in f16, at once, the last one by one: within the bounds of a cache in f32."""
    model = make(tmp_path, shape, dtype)
    ids = forced_ids(model, 256)
    expected = model.logits(ids, torch.float32).numpy()
    got = engine_logits(model.path, ids, device, cache="f16")
    in_integers = device == "cpu" and dtype in QUANT_NBYTES
    assert nmse(got, expected) <= (NMSE_IN_INTEGERS if in_integers else 1e-6)
    assert (got.argmax(1) == expected.argmax(1)).mean() >= 0.99
    few = ids[:32]
    alone = engine_logits(model.path, few, device, chunk=1, cache="f16")
    assert nmse(alone, expected[: len(few)]) <= (NMSE_IN_INTEGERS if in_integers else 1e-6)
    # It is another computation than with a cache in f32.
    assert np.abs(got - engine_logits(model.path, ids, device)).max() > 1e-5 * expected.std()


@pytest.mark.parametrize(("dtype", "cache"), [("f32", "f32"), ("f16", "f16"), ("q8_0", "f16"), ("q4_0", "f16")])
@pytest.mark.parametrize("device", DEVICES)
def test_the_cache_of_a_dtype(tmp_path: Path, cli: Run, device: str, dtype: Dtype, cache: str) -> None:
    """Unless something else is asked for, keys and values are kept in f32 exactly where the weights are f32."""
    model = make(tmp_path, "in-blocks", dtype)
    command = ("logits", model.path, "--ids", "3,1,4,1,5", "--device", device)
    assert cli(*command).stdout == cli(*command, "--cache", cache).stdout
    assert f"({cache})" in cli("inspect", model.path).stdout.decode()


@pytest.mark.parametrize("device", DEVICES)
def test_mixed_dtypes(tmp_path: Path, engine_logits: Logits, device: str) -> None:
    """Every matrix in a dtype of its own, so that none of a layer's kernels finds one dtype alone."""
    model = write_random_model(tmp_path / "model.bin", config(**SHAPES["in-blocks"], n_layer=4), 1, mixed)
    ids = forced_ids(model, 40)
    expected = model.logits(ids, torch.float32).numpy()
    got = engine_logits(model.path, ids, device)
    assert_parity(f"mixed {device}", got, expected, lambda: model.logits(ids, torch.float64).numpy())


@pytest.mark.parametrize("shape", ["plain", "gqa", "odd", "wide"])
@pytest.mark.parametrize("device", DEVICES)
def test_64_greedy_tokens(tmp_path: Path, engine_logits: Logits, device: str, shape: str) -> None:
    """The engine, forced along torch's greedy continuation of 64 tokens, takes the same token each time."""
    model = make(tmp_path, shape)
    ids = forced_ids(model, 5)
    prompt = len(ids)
    for _ in range(64):
        ids.append(int(model.logits(ids, torch.float32)[-1].argmax()))
    got = engine_logits(model.path, ids[:-1], device)[prompt - 1 :]
    exact = model.logits(ids[:-1], torch.float64).numpy()[prompt - 1 :]
    assert_greedy(f"{shape} {device}", got, exact, ids[prompt:])


def random_config(seed: int) -> dict[str, Any]:
    """A configuration drawn at random: sizes that are no multiple of anything, contexts of up to 1,024."""
    rng = np.random.default_rng([seed, 20])
    group = int(rng.choice([1, 2, 4]))
    n_kv_head = int(rng.integers(1, 5 if group < 4 else 3))
    return config(
        n_layer=1 + seed % 8,
        n_head=n_kv_head * group,
        n_kv_head=n_kv_head,
        d_model=int(rng.integers(8, 120)),
        d_head=2 * int(rng.integers(8, 65)),
        d_ff=2 * int(rng.integers(8, 120)) + 1,
        vocab_size=2 * int(rng.integers(20, 700)) + 1,
        ctx_len=1024 if seed % 10 == 0 else int(rng.integers(16, 400)),
        rope_theta=float(rng.choice([500.0, 10000.0, 1e6])),
        tie_embeddings=bool(rng.integers(2)),
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("seed", range(20))
def test_random_configurations(tmp_path: Path, engine_logits: Logits, device: str, seed: int) -> None:
    """Forced tokens to the end of the context, read at once and in chunks of an odd size, f32 and f16."""
    conf = random_config(seed)
    dtype: Dtype = "f16" if seed % 2 else "f32"
    model = write_random_model(tmp_path / "model.bin", conf, seed, dtype)
    ids = forced_ids(model, conf["ctx_len"])
    name = f"{seed} {dtype} {device} {conf}"
    expected = model.logits(ids, torch.float32).numpy()
    at_once = engine_logits(model.path, ids, device)
    assert_parity(name, at_once, expected, lambda: model.logits(ids, torch.float64).numpy())
    for chunk in (1, 2 * seed + 3):
        few = ids[:96]
        got = engine_logits(model.path, few, device, chunk)
        assert np.abs(got - at_once[: len(few)]).max() <= tolerance(expected), f"{name}: in chunks of {chunk}"


@pytest.mark.parametrize("device", DEVICES)
def test_a_wrong_weight_is_seen(tmp_path: Path, engine_logits: Logits, device: str) -> None:
    """The comparison can fail: one changed norm gain moves the logits beyond the tolerance."""
    model = make(tmp_path, "plain")
    ids = forced_ids(model, 16)
    model.weights["model.layers.1.input_layernorm.weight"][3] += 0.5
    expected = model.logits(ids, torch.float32).numpy()
    assert np.abs(engine_logits(model.path, ids, device) - expected).max() > tolerance(expected)
