"""Checkpoints of llama2.c: what is read against `transformers` on the weights that went in, and what is refused."""

from __future__ import annotations

import argparse
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.interop import models
from tests.parity import models as models_of_parity
from training import export_imported, export_llama2c, import_model, imported, reference
from training.config.import_ import Import
from training.interop import llama2c
from training.interop.families import BadModel

IDS = np.random.default_rng(5).integers(300, size=64).tolist()
GROUP = 32


def grouped(values: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """int8 and the scale of each group, as llama2.c's export quantises: symmetric, by the largest of the group."""
    groups = values.reshape(-1, GROUP).astype(np.float32)
    scales = np.abs(groups).max(axis=1) / np.float32(127)
    return np.round(groups / scales[:, None]).astype(np.int8), scales


def in_groups(made: Any) -> None:
    """Round the model's matrices to what a file of version 2 can hold."""
    with torch.no_grad():
        for weight in made.parameters():
            if weight.ndim > 1:
                quants, scales = grouped(weight.numpy())
                weight.copy_(torch.from_numpy((quants * scales[:, None]).reshape(weight.shape)))


def write(path: Path, made: Any, version: int) -> None:
    """The model as llama2.c's export.py writes it, with our tokenizer's tokenizer.json beside it."""
    config, state = made.config, {name: weight.numpy() for name, weight in made.state_dict().items()}
    heads, tied = config.num_attention_heads, config.tie_word_embeddings

    def layers(part: str) -> list[NDArray[Any]]:
        found = [state[f"model.layers.{i}.{part}.weight"] for i in range(config.num_hidden_layers)]
        n = {"self_attn.q_proj": heads, "self_attn.k_proj": config.num_key_value_heads}.get(part)
        return found if n is None else [models.interleaved(rows, n) for rows in found]

    attention = [rows for name in "qkvo" for rows in layers(f"self_attn.{name}_proj")]
    mlp = [rows for name in ("gate", "down", "up") for rows in layers(f"mlp.{name}_proj")]
    norms = layers("input_layernorm"), layers("post_attention_layernorm")
    embedding, last = state["model.embed_tokens.weight"], state["model.norm.weight"]
    head = [] if tied else [state["lm_head.weight"]]
    sizes = [96, config.intermediate_size, 2, heads, config.num_key_value_heads, 320, config.max_position_embeddings]
    if version == 0:
        sizes[5] *= 1 if tied else -1
        angles = np.zeros((config.max_position_embeddings, config.head_dim // 2), "<f4")
        parts = [embedding, *norms[0], *attention, *norms[1], *mlp, last, angles, angles, *head]
        data = struct.pack("<7i", *sizes) + b"".join(part.astype("<f4").tobytes() for part in parts)
    else:
        data = struct.pack("<Ii7iB", 0x616B3432, version, *sizes, tied)
        data = (data + (struct.pack("<i", GROUP) if version == 2 else b"")).ljust(256, b"\0")
        data += b"".join(part.astype("<f4").tobytes() for part in (*norms[0], *norms[1], last))
        for matrix in (embedding, *attention, *mlp, *head):
            quants, scales = grouped(matrix)
            whole = quants.tobytes() + scales.astype("<f4").tobytes()
            data += whole if version == 2 else matrix.astype("<f4").tobytes()
    path.write_bytes(data)
    path.with_name("tokenizer.json").write_text(models.tokenizer().to_hf_json())


def made(tied: bool) -> Any:
    """llama2.c knows one base of RoPE and one epsilon, and heads as wide as the model."""
    return models.model("llama", tied, rope_parameters={"rope_type": "default", "rope_theta": 10000.0})


@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize("tied", [True, False])
def test_the_logits_are_those_of_transformers(tmp_path: Path, version: int, tied: bool) -> None:
    model = made(tied)
    if version == 2:
        in_groups(model)
    write(tmp_path / "model.bin", model, version)
    found = import_model.load(Import("file:model.bin"), tmp_path)
    assert (found.architecture, found.config["tie_embeddings"], found.config["eos_token_id"]) == ("llama", tied, 1)
    with torch.no_grad():
        expected = model(torch.tensor([IDS])).logits[0]
    got = reference.logits(found.config, found.tensors, IDS)
    assert bool((got.argmax(-1) == expected.argmax(-1)).all())
    assert float((got - expected).abs().max()) <= 1e-4 * float(expected.std())
    assert found.origin["format"] == f"llama2.c version {version}"


@pytest.mark.parametrize("tied", [True, False])
def test_what_is_written_is_what_llama2c_writes(tmp_path: Path, tied: bool) -> None:
    """A checkpoint comes back byte for byte: imported, exported as model.bin, and written as it came."""
    write(tmp_path / "model.bin", made(tied), 0)
    whole = (tmp_path / "model.bin").read_bytes()
    imported.write(tmp_path, import_model.load(Import("file:model.bin"), tmp_path))
    export = {"golden_prompt": "the quick brown fox", "dtype": "f32"}
    export_imported.build({"params": {"export": export, "sample": {}}}, tmp_path, tmp_path / "ours.bin")
    export_llama2c.main(argparse.Namespace(model=tmp_path / "ours.bin", out=tmp_path / "out"))
    assert (tmp_path / "out" / "llama2c" / "model.bin").read_bytes() == whole
    again = import_model.load(Import("file:model.bin"), tmp_path / "out" / "llama2c")
    assert again.tokenizer.to_bytes() == models.tokenizer().to_bytes()


@pytest.mark.parametrize(
    ("changes", "architecture", "message"),
    [
        ({}, "qwen3", "family 'qwen3', which llama2.c does not know; to export it, train one with model.family=llama"),
        ({"rope_theta": 5000.0}, "llama", "model.rope_theta=5000.0 cannot be written for llama2.c, where it is 10000"),
        ({"norm_eps": 1e-6}, "llama", "model.norm_eps=1e-06 cannot be written"),
        ({"d_head": 8}, "llama", "model.d_head=8 cannot be written for llama2.c, where it is 16 always"),
    ],
)
def test_what_its_file_has_no_place_for_is_refused(
    tmp_path: Path, changes: dict[str, Any], architecture: str, message: str
) -> None:
    sizes = models_of_parity.config(**changes)
    flat = models.tokenizer().to_bytes()
    models_of_parity.write_random_model(tmp_path / "model.bin", sizes, 1, tokenizer=flat, architecture=architecture)
    with pytest.raises(ValueError) as raised:
        export_llama2c.main(argparse.Namespace(model=tmp_path / "model.bin", out=tmp_path / "out"))
    assert message in str(raised.value)
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize("version", [0, 1, 2])
def test_a_file_that_is_cut_or_longer_is_an_error(tmp_path: Path, version: int) -> None:
    path = tmp_path / "model.bin"
    write(path, made(False), version)
    whole = path.read_bytes()
    for length in (0, 3, 27, 28, 100, 255, 256, 5000, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(BadModel, match=r"not a checkpoint of llama2\.c|cut short"):
            llama2c.read(path)
    path.write_bytes(whole + b"\0\0\0\0")
    with pytest.raises(BadModel, match="the tensors end at byte"):
        llama2c.read(path)


def test_what_is_not_supported_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    write(path, made(True), 2)
    good = path.read_bytes()
    for at, value, message in [
        (4, 3, "version 3 of llama2.c's format is not supported; there are: 0, 1, 2"),
        (8, 97, "which are no sizes of a model"),
        (16, 2000, "2000 layers; at most 1024 are supported"),
        (37, 0, "groups of 0 weights do not divide its rows"),
        (37, 64 * 3, "groups of 192 weights do not divide its rows"),
        (0, 0x4B434F50, "which are no sizes of a model"),  # POCKETLM's own file
    ]:
        path.write_bytes(good[:at] + struct.pack("<I", value) + good[at + 4 :])
        with pytest.raises(BadModel) as raised:
            llama2c.read(path)
        assert message in str(raised.value)
    path.write_bytes(good)
    path.with_name("tokenizer.json").unlink()
    with pytest.raises(BadModel, match=r"no tokenizer\.json beside it: .* tokenizer\.bin is SentencePiece"):
        llama2c.read(path)
