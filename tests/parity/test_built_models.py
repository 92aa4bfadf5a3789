"""torch against the command line program on what was built: `tiny` always, the other presets where they are there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests import oracles
from tests.parity.compare import DEVICES, Logits, assert_greedy, assert_parity, nmse
from tests.parity.conftest import BUILD
from training.format.file import ModelFile, read_model

# `tiny` is there after `./doitw test`'s build: where it is not, the test fails and says so.
# Imported models are large: test_smollm2.py holds the real one to transformers.
TRAINED = [path.parent for path in BUILD.glob("*/model.bin") if not (path.parent / ".current" / "import").exists()]
PRESETS = sorted({"tiny", *(folder.name for folder in TRAINED)})


def load(preset: str) -> tuple[Path, ModelFile]:
    path = BUILD / preset / "model.bin"
    if not path.is_file():
        pytest.fail(f"{path} is not there: type `./doitw preset={preset}`")
    return path, read_model(path)


def forced(preset: str) -> tuple[Path, ModelFile, list[int]]:
    """A model, and 256 ids of no meaning or as many as it reads."""
    path, model = load(preset)
    count = min(256, model.config["ctx_len"])
    return path, model, np.random.default_rng(1).integers(model.config["vocab_size"], size=count).tolist()


def torch_logits(model: ModelFile, ids: list[int], dtype: torch.dtype) -> np.ndarray:
    weights = {name: torch.from_numpy(values).to(dtype) for name, values in model.tensors.items()}
    return oracles.llama(model.config, weights, ids).numpy()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("preset", PRESETS)
def test_forced_tokens(engine_logits: Logits, preset: str, device: str) -> None:
    path, model, ids = forced(preset)
    expected = torch_logits(model, ids, torch.float32)
    got = engine_logits(path, ids, device)
    assert_parity(f"{preset} {device}", got, expected, lambda: torch_logits(model, ids, torch.float64))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("preset", PRESETS)
def test_forced_tokens_with_a_cache_in_f16(engine_logits: Logits, preset: str, device: str) -> None:
    path, model, ids = forced(preset)
    expected = torch_logits(model, ids, torch.float32)
    got = engine_logits(path, ids, device, cache="f16")
    assert nmse(got, expected) <= 1e-6
    assert (got.argmax(1) == expected.argmax(1)).mean() >= 0.99


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("preset", PRESETS)
def test_64_greedy_tokens(engine_logits: Logits, preset: str, device: str) -> None:
    """Along torch's greedy continuation of the golden prompt the engine takes the same token each time."""
    path, model = load(preset)
    ids = list(model.golden.ids)
    prompt = len(ids)
    for _ in range(min(64, model.config["ctx_len"] - prompt)):
        ids.append(int(torch_logits(model, ids, torch.float32)[-1].argmax()))
    got = engine_logits(path, ids[:-1], device)[prompt - 1 :]
    exact = torch_logits(model, ids[:-1], torch.float64)[prompt - 1 :]
    assert_greedy(f"{preset} {device}", got, exact, ids[prompt:])
