"""From a file of others to model.bin: the commands import_model and export_imported, and their settings."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from gguf import GGMLQuantizationType as Kind

from tests.interop import models
from training import export_imported, import_model, imported, reference
from training.config import preset as config
from training.config.import_ import Import
from training.format.file import read_model

EXPORT = {"golden_prompt": "the quick brown fox", "dtype": "q8_0"}


def export(folder: Path, out: Path, dtype: str) -> None:
    params: dict[str, Any] = {"params": {"preset": "mine", "sample": {}, "export": {**EXPORT, "dtype": dtype}}}
    export_imported.build(params, folder, out)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An imported qwen3 whose matrices were in q4_0."""
    path = tmp_path / "m.gguf"
    models.write_gguf(path, models.model("qwen3"), Kind.Q4_0)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    model = import_model.load(Import("file:m.gguf", digest, 100), tmp_path)
    made = tmp_path / "imported"
    made.mkdir()
    imported.write(made, model)
    return made


def test_it_comes_back_as_it_was_written(folder: Path, tmp_path: Path) -> None:
    model, again = import_model.load(Import("file:m.gguf", "", 100), tmp_path), imported.read(folder)
    assert (again.config, again.architecture, again.chat_template) == (model.config, "qwen3", model.chat_template)
    assert {name: each.data.tobytes() for name, each in again.tensors.items()} == {
        name: each.data.tobytes() for name, each in model.tensors.items()
    }
    (folder / imported.ABOUT_NAME).write_text("{}")
    with pytest.raises(ValueError, match="not what import writes"):
        imported.read(folder)


@pytest.mark.parametrize("dtype", ["f32", "q8_0", "q4_0"])
def test_matrices_stay_as_they_came(folder: Path, tmp_path: Path, dtype: str) -> None:
    """q4_0 is the narrowest there is."""
    export(folder, tmp_path / "model.bin", dtype)
    model, came = read_model(tmp_path / "model.bin"), imported.read(folder)
    assert {name: each.data.tobytes() for name, each in model.stored.items()} == {
        name: each.data.tobytes() for name, each in came.tensors.items()
    }
    assert (model.architecture, model.config["ctx_len"]) == ("qwen3", 100)
    assert model.chat_template == "{{ messages[0]['content'] }}"
    assert model.golden.ids[0] == 0
    expected = reference.last_logits(model.config, came.tensors, model.golden.ids)
    assert abs(expected.numpy() - model.golden.logits).max() <= 1e-5 * expected.std()


@pytest.mark.parametrize(
    ("came", "asked", "written"),
    [
        (Kind.F32, "q8_0", "q8_0"),
        (Kind.F16, "q4_0", "q4_0"),
        (Kind.Q8_0, "f16", "q8_0"),
        (Kind.Q4_1, "f16", "f16"),
        (Kind.BF16, "f32", "f32"),
    ],
)
def test_what_is_wider_than_asked_for_is_narrowed(tmp_path: Path, came: Kind, asked: str, written: str) -> None:
    models.write_gguf(tmp_path / "m.gguf", models.model("llama"), came)
    model = import_model.load(Import("file:m.gguf"), tmp_path)
    (tmp_path / "imported").mkdir()
    imported.write(tmp_path / "imported", model)
    export(tmp_path / "imported", tmp_path / "model.bin", asked)
    stored = read_model(tmp_path / "model.bin").stored
    assert stored["model.layers.0.mlp.up_proj.weight"].dtype == written


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Import("file:none.gguf"), "file:none.gguf: no such file or folder"),
        (Import("file:m.gguf", "0" * 64), "file:m.gguf: wrong checksum: expected sha256 000"),
        (Import("file:m.gguf", "", 500), "import.ctx_len=500 is longer than the context of the model, 128"),
        (Import("file:text.gguf"), "file:text.gguf: it does not begin with GGUF"),
    ],
)
def test_a_source_that_is_no_model_is_named(tmp_path: Path, settings: Import, message: str) -> None:
    models.write_gguf(tmp_path / "m.gguf", models.model("llama"), Kind.F32)
    (tmp_path / "text.gguf").write_text("a text")
    with pytest.raises(ValueError) as raised:
        import_model.load(settings, tmp_path)
    assert message in str(raised.value)


def test_a_folder_and_any_url(tmp_path: Path) -> None:
    models.write_folder(tmp_path, models.model("llama"))
    by_path, by_url = (import_model.load(Import(source), tmp_path) for source in ("file:.", tmp_path.as_uri()))
    assert by_path.config == by_url.config and by_path.config["ctx_len"] == 128


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            {"train.steps": "5"},
            "train.steps is not a parameter of smollm2, whose model is imported; preset=finetune trains it further",
        ),
        ({"model.n_layer": "5"}, "model.n_layer is not a parameter of smollm2, whose model is imported"),
        ({"import.source": "model.gguf"}, "has no scheme; for a file or a folder write file:PATH"),
        ({"import.source": "pypi:a==1#*.gguf", "import.sha256": ""}, "has no import.sha256"),
        ({"import.sha256": "AB"}, "import.sha256='AB'"),
    ],
)
def test_a_wrong_setting_is_named(words: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError) as raised:
        config.load("smollm2", words)
    assert message in str(raised.value)


def test_import_is_no_parameter_where_a_model_is_trained(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"import\.ctx_len is not a parameter"):
        config.load("tiny", {"import.ctx_len": "5"})
    path = tmp_path / "mine.toml"
    sections = {"model": "n_layer = 1", "tokenizer": "vocab_size = 300", "data": 'sources = ["file:a"]'}
    why = {"data": r"it belongs to \[train\], which is missing"}
    for section, line in sections.items():
        path.write_text((config.PRESETS / "smollm2.toml").read_text() + f"\n[{section}]\n{line}\n")
        expected = (
            rf"\[{section}\] has no use in a preset with \[import\]: {why.get(section, 'its model brings its own')}"
        )
        with pytest.raises(ValueError, match=expected):
            config.load(path)
    assert json.loads(json.dumps(config.load("smollm2").keyed()))["import.ctx_len"] == 2048
