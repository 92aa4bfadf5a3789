"""What `pocketlm look` shows of a text against torch's own: plain formulas, and the modules that train."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from tests import oracles
from tests.parity.compare import DEVICES, tolerance
from tests.parity.conftest import Run
from tests.parity.models import RandomModel, config, write_random_model
from training.config.model import Model
from training.format.dtypes import Dtype, as_stored
from training.format.families import expected_tensors
from training.format.file import Golden, write_model
from training.model import blocks, fast, llama
from training.model.families import format_config, format_tensors, language_model

SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "gqa": ("llama", {"n_layer": 3, "n_head": 6, "n_kv_head": 2, "d_model": 36, "d_head": 10}),
    "odd": ("llama", {"n_head": 3, "n_kv_head": 3, "d_model": 37, "d_head": 14, "d_ff": 53, "tie_embeddings": False}),
    "one-of-each": ("llama", {"n_layer": 1, "n_head": 1, "n_kv_head": 1, "d_model": 1, "d_head": 2, "d_ff": 1}),
    "fast": ("fast", {"n_layer": 3, "n_head": 6, "n_kv_head": 2, "d_model": 64, "d_head": 10, "logit_cap": 2.0}),
    "qwen2": ("qwen2", {"n_head": 6, "n_kv_head": 2, "d_model": 60, "d_head": 10, "tie_embeddings": False}),
    "qwen3": ("qwen3", {"n_head": 6, "n_kv_head": 2, "d_model": 52, "d_head": 22}),
}


def seen_by_torch(model: RandomModel, ids: list[int], monkeypatch: pytest.MonkeyPatch) -> tuple[Tensor, Tensor]:
    """Attention of the last position, (L, H, T), and what the output layer makes of it after each layer, (L, V)."""
    attended: list[Tensor] = []

    def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """`oracles.attention` for all positions at once, and the last one's weights are kept. q: (T, H, D)."""
        group = q.shape[1] // k.shape[1]
        keys, values = (each.repeat_interleave(group, dim=1) for each in (k, v))
        scores = torch.einsum("thd,shd->hts", q, keys) / q.shape[-1] ** 0.5
        later = torch.ones(len(q), len(q), dtype=torch.bool).triu(1)
        weights = scores.masked_fill(later, -torch.inf).softmax(-1)
        attended.append(weights[:, -1])
        return torch.einsum("hts,shd->thd", weights, values)

    monkeypatch.setattr(oracles, "attention", attention)
    # After n layers a model says what one of its first n layers alone would say.
    counts = range(1, model.config["n_layer"] + 1)
    rows = [oracles.llama({**model.config, "n_layer": n}, model.weights, ids)[-1] for n in counts]
    return torch.stack(attended[-len(rows) :]), torch.stack(rows)


def look(cli: Run, model: RandomModel, ids: list[int], device: str, at: str, layer: int) -> np.ndarray[Any, Any]:
    named = ("--ids", ",".join(map(str, ids)), "--device", device, "--cache", "f32")
    done = cli("look", model.path, *named, "--at", at, "--layer", layer)
    assert done.returncode == 0, done.stderr.decode()
    return np.frombuffer(done.stdout, dtype="<f4")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("device", DEVICES)
def test_attention_and_layers(
    tmp_path: Path, cli: Run, monkeypatch: pytest.MonkeyPatch, device: str, shape: str
) -> None:
    """Of the first token, of a few, and of more than a chunk: each weight and each logit within rounding."""
    architecture, sizes = SHAPES[shape]
    model = write_random_model(tmp_path / "m.bin", config(**sizes), 5, architecture=architecture)
    for length in (1, 7, 131):
        ids = np.random.default_rng(length).integers(model.config["vocab_size"], size=length).tolist()
        weights, rows = (each.numpy() for each in seen_by_torch(model, ids, monkeypatch))
        got = look(cli, model, ids, device, "lens", 0).reshape(rows.shape)
        assert np.abs(got - rows).max() <= tolerance(rows), (length, np.abs(got - rows).max())
        for layer in {0, len(rows) // 2, len(rows) - 1}:
            got = look(cli, model, ids, device, "attention", layer).reshape(weights[layer].shape)
            assert np.abs(got - weights[layer]).max() < 1e-4, (length, layer, np.abs(got - weights[layer]).max())


@pytest.mark.parametrize("family", ["llama", "fast"])
def test_the_module_that_trains(
    tmp_path: Path, cli: Run, monkeypatch: pytest.MonkeyPatch, family: Literal["llama", "fast"]
) -> None:
    """The same of `training.model`: what its layers leave, and the attention that it computes."""
    sizes = {"n_layer": 3, "n_head": 6, "n_kv_head": 2, "d_model": 48, "d_head": 10, "d_ff": 80, "ctx_len": 90}
    shape = Model(**sizes, rope_theta=1e4, norm_eps=1e-5, tie_embeddings=False, family=family)
    module = language_model(shape, 61)
    generator = torch.Generator().manual_seed(3)
    for weight in module.parameters():
        scale = weight.shape[-1] ** -0.5 if weight.dim() == 2 else 0.0
        weight.data = torch.randn(weight.shape, generator=generator) * scale + (weight.dim() == 1)
    fields = {**format_config(shape, 61), "bos_token_id": None, "eos_token_id": None}
    tensors = format_tensors(shape, module.state_dict())
    specs = expected_tensors(fields, family)
    stored = {spec.name: as_stored(spec, tensors[spec.name].detach().numpy(), "f32") for spec in specs}
    ids = torch.randint(61, (70,), generator=generator)
    with torch.no_grad():
        golden = Golden(ids[:9].tolist(), module(ids[None, :9])[0, -1].numpy())
        dtypes: dict[str, Dtype] = dict.fromkeys(stored, "f32")
        write_model(tmp_path / "m.bin", fields, b"no tokenizer", stored, golden, {}, dtypes, family)
        attended = kept_attention(monkeypatch)
        module(ids[None])
        layers = module.model.layers
        rows = []
        for n in range(1, len(layers) + 1):
            module.model.layers = layers[:n]
            rows.append(module(ids[None])[0, -1].numpy())
    model = RandomModel(tmp_path / "m.bin", fields, {})
    got = look(cli, model, ids.tolist(), "cpu", "lens", 0).reshape(3, 61)
    assert np.abs(got - np.stack(rows)).max() <= tolerance(np.stack(rows))
    for layer in range(3):
        got = look(cli, model, ids.tolist(), "cpu", "attention", layer).reshape(6, 70)
        assert np.abs(got - attended[layer].numpy()).max() < 1e-4


def kept_attention(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """A list to which both families' attention adds the last position's weights, (H, T), of each call."""
    kept: list[Tensor] = []

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        keys = k.repeat_interleave(q.shape[2] // k.shape[2], dim=2)
        scores = torch.einsum("hd,shd->hs", q[0, -1], keys[0]) / q.shape[-1] ** 0.5
        kept.append(scores.softmax(-1))
        return blocks.attend(q, k, v)

    for family in (llama, fast):
        monkeypatch.setattr(family, "attend", attend)
    return kept


def test_what_cannot_be_looked_at(tmp_path: Path, cli: Run) -> None:
    """A layer that is not there ends in one line that says so, and what to do."""
    model = write_random_model(tmp_path / "m.bin", config(), 1)
    done = cli("look", model.path, "--ids", "1,2", "--at", "lens", "--layer", 2)
    assert done.returncode == 1
    assert b"there is no layer 2: the model has 2, counted from 0. Layers begin at 0" in done.stderr
