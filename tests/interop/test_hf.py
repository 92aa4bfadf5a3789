"""Hugging Face folders: what is read against `transformers` itself, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import fsspec
import pytest
import torch
from pocketlm_tokenizer import Tokenizer

from tests.interop import models
from training import imported, reference
from training.interop import hf
from training.interop.families import BadModel

IDS = list(range(2, 66))


@pytest.mark.parametrize("architecture", models.CLASSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_logits_are_those_of_transformers(tmp_path: Path, architecture: str, dtype: torch.dtype) -> None:
    made = models.model(architecture, tied=architecture != "qwen2")
    models.write_folder(tmp_path, made, dtype, eos_token="<|im_end|>", chat_template="{{ 1 }}")
    found = hf.read(tmp_path.as_uri())
    assert (found.architecture, found.config["eos_token_id"], found.chat_template) == (architecture, 1, "{{ 1 }}")
    with torch.no_grad():
        loaded = type(made).from_pretrained(tmp_path, dtype=torch.float32).eval()  # its RoPE is in f32 again
        expected = loaded(torch.tensor([IDS])).logits[0]
    got = reference.logits(found.config, found.tensors, IDS)
    assert bool((got.argmax(-1) == expected.argmax(-1)).all())
    assert float((got - expected).abs().max()) <= 1e-4 * float(expected.std())
    matrix = found.tensors["model.layers.0.mlp.up_proj.weight"]
    assert matrix.dtype == ("f16" if dtype == torch.float16 else "f32")


@pytest.mark.parametrize(
    ("beside", "generation", "theirs", "expected"),
    [
        ("<|im_end|>", [1, 7, 5], 0, (1, [5, 7])),
        ("<|im_start|>", [1, 7], 0, (0, [1, 7])),  # the tokenizer's own is not among them
        (None, [7, 5], 0, (7, [5])),
        (None, None, [9, 4], (9, [4])),
        ("<|im_end|>", 1, 0, (1, None)),
        (None, None, None, (None, None)),
    ],
)
def test_every_token_that_ends_a_text_is_read(
    tmp_path: Path, beside: str | None, generation: Any, theirs: Any, expected: tuple[int | None, list[int] | None]
) -> None:
    models.write_folder(tmp_path, models.model("llama"), **({} if beside is None else {"eos_token": beside}))
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": generation}))
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token_id": theirs}))
    config = hf.read(tmp_path.as_uri()).config
    assert (config["eos_token_id"], config["stop_token_ids"]) == expected


def test_more_endings_than_a_file_holds_are_refused(tmp_path: Path) -> None:
    models.write_folder(tmp_path, models.model("llama"))
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": list(range(18))}))
    with pytest.raises(BadModel, match="17 tokens beside the eos token end a text, at most 16 are supported"):
        hf.read(tmp_path.as_uri())


def test_a_folder_elsewhere_gives_the_same(tmp_path: Path) -> None:
    models.write_folder(tmp_path, models.model("llama"))
    there = fsspec.filesystem("memory")
    there.put(f"{tmp_path}/", "/model/", recursive=True)
    here, other = hf.read(tmp_path.as_uri()), hf.read("memory:///model")
    assert here.config == other.config
    assert all(here.tensors[name].data.tobytes() == other.tensors[name].data.tobytes() for name in here.tensors)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gemma3"}, "model_type='gemma3' is a family that is not supported; there are: llama, qwen2"),
        ({"rope_parameters": {"rope_type": "llama3"}}, "RoPE scaled by 'llama3' is not supported"),
        ({"hidden_act": "gelu"}, "hidden_act='gelu' is not supported"),
        ({"attention_bias": True}, "attention_bias=True is not supported"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantization_config={'quant_method': 'gptq'}"),
        ({"num_hidden_layers": 3}, "there is no tensor model.layers.2.input_layernorm.weight"),
        ({"intermediate_size": 65}, "gate_proj.weight has the shape [64, 96], expected [65, 96]"),
        ({"hidden_size": None}, "there is no hidden_size"),
    ],
)
def test_what_is_not_supported_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    models.write_folder(tmp_path, models.model("llama"))
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(BadModel) as raised:
        hf.read(tmp_path.as_uri())
    assert message in str(raised.value)


def test_a_pattern_that_the_engine_has_no_scanner_for_is_named(tmp_path: Path) -> None:
    models.write_folder(tmp_path / "model", models.model("llama"))
    model = hf.read((tmp_path / "model").as_uri())
    odd = dataclasses.replace(model, tokenizer=Tokenizer.train(["to be"], 260, split=r"regex:\w+"))
    with pytest.raises(
        ValueError, match=r"by the pattern '\\\\w\+', for which the engine has no scanner; it has those of gpt2"
    ):
        imported.write(tmp_path, odd)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    models.write_folder(tmp_path, models.model("llama"))
    (tmp_path / name).unlink()
    with pytest.raises(BadModel, match=f"there is no {name}"):
        hf.read(tmp_path.as_uri())
    (tmp_path / name).write_bytes(b"\xff" * 100)
    with pytest.raises(ValueError, match=r"safetensors|JSON|utf-8"):
        hf.read(tmp_path.as_uri())
