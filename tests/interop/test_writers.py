"""model.bin written for others: what `transformers` and our own readers make of the folder and of the file."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFReader
from pocketlm_tokenizer import SPLITS, Tokenizer
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.interop import models
from tests.parity import models as models_of_parity
from training import command, export_gguf, export_hf, export_imported, import_model, imported, reference
from training.config.import_ import Import
from training.format.file import ModelFile, read_model, write_model
from training.imported import Imported
from training.interop import gguf, gguf_vocabulary, hf

IDS = list(range(2, 66))
ENDS: dict[str, dict[str, object]] = {  # of a turn and of a message, beside the end of a document
    "llama": {},
    "qwen2": {"tokenizer.ggml.eot_token_id": 5},
    "qwen3": {"tokenizer.ggml.eot_token_id": 5, "tokenizer.ggml.eom_token_id": 7},
}
TEXTS = (models.TEXT, "<|im_end|> 12345 über\r\n\n  x", "\U0001f600 \x00é\u0301")


def model_bin(
    folder: Path, architecture: str, kind: Kind, tied: bool = True, dtype: str = "q4_0", **fields: object
) -> ModelFile:
    """A random model, imported from a GGUF file and exported without a change. fields: of the file's metadata."""
    models.write_gguf(folder / "theirs.gguf", models.model(architecture, tied), kind, **fields)
    (folder / "imported").mkdir()
    imported.write(folder / "imported", import_model.load(Import("file:theirs.gguf"), folder))
    export = {"golden_prompt": "the quick brown fox", "dtype": "f32" if kind in (Kind.F32, Kind.F16) else dtype}
    params = {"params": {"preset": "mine", "sample": {}, "export": export}}
    export_imported.build(params, folder / "imported", folder / "model.bin")
    return read_model(folder / "model.bin")


def written(step: object, folder: Path) -> None:
    arguments = argparse.Namespace(model=folder / "model.bin", out=folder / "out")
    step.main(arguments)  # type: ignore[attr-defined]


def assert_same(found: Imported, model: ModelFile) -> None:
    assert (found.architecture, found.config) == (model.architecture, model.config)
    assert found.chat_template == model.chat_template
    assert found.tokenizer.to_bytes() == model.tokenizer_bytes
    assert {name: (each.dtype, each.data.tobytes()) for name, each in found.tensors.items()} == {
        name: (each.dtype, each.data.tobytes()) for name, each in model.stored.items()
    }


@pytest.mark.parametrize("architecture", models.CLASSES)
@pytest.mark.parametrize("kind", [Kind.F32, Kind.F16, Kind.Q8_0, Kind.Q4_0])
def test_a_gguf_file_comes_back_bit_for_bit(tmp_path: Path, architecture: str, kind: Kind) -> None:
    model = model_bin(tmp_path, architecture, kind, tied=kind != Kind.F16, **ENDS[architecture])
    written(export_gguf, tmp_path)
    assert_same(gguf.read(tmp_path / "out" / "model.gguf"), model)


@pytest.mark.parametrize("architecture", models.CLASSES)
@pytest.mark.parametrize("kind", [Kind.F32, Kind.F16])
def test_a_folder_comes_back_bit_for_bit(tmp_path: Path, architecture: str, kind: Kind) -> None:
    model = model_bin(tmp_path, architecture, kind, tied=kind == Kind.F16, **ENDS[architecture])
    written(export_hf, tmp_path)
    assert_same(hf.read((tmp_path / "out" / "hf").as_uri()), model)


@pytest.mark.parametrize("architecture", models.CLASSES)
@pytest.mark.parametrize("kind", [Kind.F32, Kind.F16, Kind.Q8_0, Kind.Q4_0])
def test_a_gguf_file_of_others_goes_through_without_loss(tmp_path: Path, architecture: str, kind: Kind) -> None:
    """GGUF, ours, GGUF: every tensor's bytes and type, and all that the file said of shape, vocabulary and template."""
    model_bin(tmp_path, architecture, kind, dtype=kind.name.lower(), **ENDS[architecture])
    written(export_gguf, tmp_path)
    theirs, ours = (GGUFReader(path) for path in (tmp_path / "theirs.gguf", tmp_path / "out" / "model.gguf"))
    assert {each.name: (each.tensor_type, each.data.tobytes()) for each in ours.tensors} == {
        each.name: (each.tensor_type, each.data.tobytes()) for each in theirs.tensors
    }
    for name, field in theirs.fields.items():
        if not name.startswith("GGUF."):
            found, expected = ours.fields[name].contents(), field.contents()
            if name in ("tokenizer.ggml.tokens", "tokenizer.ggml.token_type"):  # the embedding has rows beyond them
                rest = {"tokens": "[PAD", "token_type": str(gguf_vocabulary.UNUSED)}[name.rpartition(".")[2]]
                assert all(str(each).startswith(rest) for each in found[len(expected) :]), name
                found = found[: len(expected)]
            assert found == expected, name


@pytest.mark.parametrize("architecture", models.CLASSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_folder_of_others_goes_through_without_loss(tmp_path: Path, architecture: str, dtype: torch.dtype) -> None:
    """Hugging Face, ours, Hugging Face: every matrix bit for bit, or, of bf16 and of gains in f16, its value in f32."""
    models.write_folder(tmp_path / "theirs", models.model(architecture, tied=dtype != torch.float16), dtype)
    (tmp_path / "imported").mkdir()
    imported.write(tmp_path / "imported", import_model.load(Import("file:theirs"), tmp_path))
    params = {"params": {"sample": {}, "export": {"golden_prompt": "the quick brown fox", "dtype": "f32"}}}
    export_imported.build(params, tmp_path / "imported", tmp_path / "model.bin")
    written(export_hf, tmp_path)
    theirs, ours = (load_file(tmp_path / name / "model.safetensors") for name in ("theirs", "out/hf"))
    assert theirs.keys() - {"lm_head.weight"} == ours.keys() - {"lm_head.weight"}
    for name, tensor in ours.items():
        kept = dtype == torch.float16 and tensor.dim() == 2
        assert tensor.dtype == (torch.float16 if kept else torch.float32)
        assert torch.equal(tensor, theirs[name].to(tensor.dtype)), name
    configs = [command.read_json(tmp_path / name / "config.json") for name in ("theirs", "out/hf")]
    for name in ("hidden_size", "num_key_value_heads", "head_dim", "rope_parameters", "rms_norm_eps", "vocab_size"):
        assert configs[0][name] == configs[1][name], name
    tokenizers = [
        Tokenizer.from_hf_json((tmp_path / each / "tokenizer.json").read_text()) for each in ("theirs", "out/hf")
    ]
    assert tokenizers[0].to_bytes() == tokenizers[1].to_bytes()


@pytest.mark.parametrize("architecture", models.CLASSES)
@pytest.mark.parametrize("kind", [Kind.F32, Kind.Q4_0])
def test_transformers_opens_the_folder(
    tmp_path: Path, architecture: str, kind: Kind, capfd: pytest.CaptureFixture[str]
) -> None:
    model = model_bin(tmp_path, architecture, kind)
    written(export_hf, tmp_path)
    assert ("widened from q4_0" in capfd.readouterr().err) == (kind == Kind.Q4_0)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "hf").eval()
    with torch.no_grad():
        got = theirs(torch.tensor([IDS])).logits[0]
    expected = reference.logits(model.config, model.stored, IDS)
    assert float((got - expected).abs().max()) <= 1e-4 * max(float(expected.std()), 0.1)
    assert (theirs.config.bos_token_id, theirs.generation_config.eos_token_id) == (0, 1)

    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out" / "hf")
    ours = Tokenizer.from_bytes(model.tokenizer_bytes)
    for text in TEXTS:
        assert tokenizer(text, add_special_tokens=False).input_ids == ours.encode(text, special=True)
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("<|im_start|>", "<|im_end|>")
    messages = [{"role": "user", "content": "Hello there"}]
    assert tokenizer.apply_chat_template(messages, tokenize=False) == "Hello there"


@pytest.mark.parametrize("split", SPLITS)
def test_a_vocabulary_comes_back(split: str) -> None:
    """Of each split that llama.cpp has a name for; what it has none for is refused by name."""
    tokenizer = Tokenizer.train([models.TEXT], 300, ["<|endoftext|>"], split=split)
    if split == "cl100k":
        with pytest.raises(ValueError, match="the split cl100k has no name in GGUF"):
            gguf_vocabulary.parts(tokenizer, 300)
        return
    parts = gguf_vocabulary.parts(tokenizer, 300)
    unused = [number for number, kind in enumerate(parts.types) if kind == gguf_vocabulary.UNUSED]
    assert unused == list(range(tokenizer.vocab_size, 300))
    fields = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": parts.pre,
        "tokenizer.ggml.tokens": parts.tokens,
        "tokenizer.ggml.token_type": parts.types,
        "tokenizer.ggml.merges": parts.merges,
    }
    again = gguf_vocabulary.read(fields)
    assert again.split == split
    assert again.merges() == tokenizer.merges()
    for text in TEXTS[:2]:  # in NFC: qwen2's vocabulary is read as Qwen's own, which normalises
        assert again.encode(text) == tokenizer.encode(text)


def test_rows_of_blocks_are_interleaved_as_llama_cpp_does(tmp_path: Path) -> None:
    """Against the obvious loop, on the values."""
    from gguf import quants

    model = model_bin(tmp_path, "llama", Kind.Q8_0)
    written(export_gguf, tmp_path)
    tensors = {each.name: each for each in GGUFReader(tmp_path / "out" / "model.gguf").tensors}
    for ours, theirs, heads in (("q_proj", "attn_q", 6), ("k_proj", "attn_k", 2)):
        values = model.stored[f"model.layers.1.self_attn.{ours}.weight"].values()
        found = tensors[f"blk.1.{theirs}.weight"]
        assert np.array_equal(quants.dequantize(found.data, found.tensor_type), models.interleaved(values, heads))


def test_more_endings_than_gguf_has_names_for_are_refused(tmp_path: Path) -> None:
    model = model_bin(tmp_path, "llama", Kind.F32)
    config = {**model.config, "stop_token_ids": [5, 6, 7]}
    golden, weights = model.golden, model.stored
    write_model(tmp_path / "model.bin", config, model.tokenizer_bytes, weights, golden, model.provenance)
    with pytest.raises(
        ValueError, match="3 tokens beside eos_token_id end a text; GGUF has names for two, eot and eom"
    ):
        written(export_gguf, tmp_path)


@pytest.mark.parametrize(("step", "program"), [(export_hf, "transformers"), (export_gguf, "llama.cpp")])
def test_a_family_that_others_lack_is_refused_by_name(tmp_path: Path, step: object, program: str) -> None:
    sizes = models_of_parity.config(logit_cap=15.0, tie_embeddings=False)
    flat = models.tokenizer().to_bytes()
    models_of_parity.write_random_model(tmp_path / "model.bin", sizes, 1, tokenizer=flat, architecture="fast")
    with pytest.raises(ValueError, match=f"family 'fast', which {program} does not know.*model.family=llama or"):
        written(step, tmp_path)
    assert not list((tmp_path / "out").glob("*"))
