"""Where stages run by pocketlm.toml and by word, and what PocketLM's stages need on another machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stages import elsewhere, paths, settings, tools
from stages.graph import GraphError, UsageError
from stages.project import stages_of

HERE = {"on": "ssh://gpu/scratch"}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another pocketlm.toml than that of this checkout."""
    monkeypatch.setattr(elsewhere, "FILE", tmp_path / "pocketlm.toml")
    return tmp_path / "pocketlm.toml"


def test_words_and_the_file(file: Path) -> None:
    assert elsewhere.tables({}) == {} and elsewhere.tables({"train.lr": "1"}) == {}
    file.write_text('[run.train]\non = "slurm:gpu"\npath = "/shared"\n[run.sample]\non = ["nice", "-n", "19"]\n')
    both = {"train": {"on": "slurm:gpu", "path": "/shared"}, "sample": {"on": ["nice", "-n", "19"]}}
    assert elsewhere.tables({}) == both
    typed = elsewhere.tables({"run.train.on": "ssh://gpu/scratch", "run.train.at_once": "2"})
    assert typed == {**both, "train": {**HERE, "at_once": 2}}
    assert elsewhere.tables({"run.train.on": ""}) == {"sample": both["sample"]}
    assert elsewhere.tables({"run.train.python": "/p"})["train"] == {**both["train"], "python": "/p"}


@pytest.mark.parametrize(
    ("text", "message"),
    [("run = 3", "holds tables"), ("[run]\ntrain = 3", "holds tables"), ("[run", "pocketlm.toml: ")],
)
def test_files_that_are_none(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(UsageError, match=message):
        elsewhere.tables({})


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("run.trian.on=nice", "run.trian: no stage is called so"),
        ("run.train.no=nice", r"run.train.no= is none of run.STAGE.on, path"),
        ("run.train.at_once=x", "is not a number"),
        ("run.train.on=ssh://gpu", "write ssh://"),
    ],
)
def test_words_that_say_nothing(word: str, message: str) -> None:
    name, _, text = word.partition("=")
    with pytest.raises(UsageError, match=message):
        elsewhere.check_words({name: text}, ["train"])


def test_a_wrong_word_ends_with_status_2() -> None:
    argv = [sys.executable, "-P", "-m", "stages.main", "list", "preset=tiny", "run.trian.on=nice"]
    done = subprocess.run(argv, cwd=paths.ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("doit: run.trian: no stage is called so")


def test_where_a_stage_runs_changes_no_key() -> None:
    words = {"preset": "tiny", "run.train.on": "ssh://gpu/scratch"}
    assert settings.resolve(words, {}, remember=False) == settings.resolve({"preset": "tiny"}, {}, remember=False)


def test_what_stages_need_there() -> None:
    stages = {stage.name: stage for stage in stages_of(settings.resolve({"preset": "tiny"}, {}, remember=False))}
    made = elsewhere.environment(stages["train"])
    assert list(made.files) == ["base.txt", "train.txt"]
    assert made.files["train.txt"] == str(paths.LOCKS / "train.txt")
    assert (
        '"{python}" -m venv "{env}"' in made.make and "uv" in made.make and "--require-hashes -r train.txt" in made.make
    )
    assert elsewhere.packages(stages["train"]) == ["torch", "numpy", "safetensors"]
    assert list(elsewhere.environment(stages["report"]).files) == ["base.txt"]
    assert elsewhere.packages(stages["report"]) == []
    with pytest.raises(GraphError, match=f"needs {tools.CARGO.name}, which is made on this machine alone"):
        elsewhere.environment(stages["wheel"])
