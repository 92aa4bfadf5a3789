"""The tiny preset's corpus, tokenizer and shards, made once; and training's commands as child processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def params(preset: str = "tiny", profile: str = "repro", **overrides: str) -> dict[str, Any]:
    """Parameters as a stage writes them; overrides are spelt train__steps="5"."""
    from training import params as parameter_files

    return parameter_files.of(preset, {name.replace("__", "."): value for name, value in overrides.items()}, profile)


def start(module: str, *arguments: object) -> subprocess.Popen[str]:
    """`python -m training.MODULE ARGUMENTS`, its stderr readable."""
    return subprocess.Popen(
        [sys.executable, "-m", f"training.{module}", *map(str, arguments)],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def command(module: str, *arguments: object) -> str:
    """Run a command to its end; it must exit 0. Returns its stderr."""
    with start(module, *arguments) as child:
        _, said = child.communicate()
    assert child.returncode == 0, said
    return said


def never_stop() -> Any:
    """What a run in this process asks whether to stop; it leaves pytest's signals alone."""
    from training.command import StopRequest

    class NeverStop(StopRequest):
        def __init__(self) -> None:
            self.signum = 0

    return NeverStop()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Models of these sizes gain nothing from a second thread, and on a busy machine two wait for each other."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with corpus/, tokenizer/ and shards/ of the tiny preset."""
    from training import corpus, tokenizer
    from training.config import preset as config
    from training.data import documents, shard_writer

    out = tmp_path_factory.mktemp("tiny")
    settings = config.load("tiny")
    corpus.build(settings.data, ROOT, out / "corpus")
    trained = tokenizer.build(settings.tokenizer, out / "corpus")
    (out / "tokenizer").mkdir()
    (out / "tokenizer" / tokenizer.FLAT_NAME).write_bytes(trained.to_bytes())
    (out / "shards").mkdir()
    for split in documents.SPLITS:
        shard_writer.write(
            out / "shards",
            split,
            (parts for _, parts in documents.read(out / "corpus", split, trained.safe_cut)),
            trained,
        )
    return out


@pytest.fixture
def train(tiny: Path, tmp_path: Path) -> Callable[..., Path]:
    """train(steps=..., name=..., profile=..., **overrides): a run in this process; returns its folder."""
    from training import train as training_run

    def run(name: str = "run", profile: str = "repro", **overrides: str) -> Path:
        out = tmp_path / name
        inputs = training_run.load(params(profile=profile, **overrides), tiny / "shards", tiny / "tokenizer")
        training_run.run(inputs, out / "partial", out, never_stop())
        return out

    return run


@pytest.fixture
def at(tiny: Path, tmp_path: Path) -> Callable[..., Path]:
    """at(partial, name, stop=..., profile=..., **overrides): a run that keeps things in a folder of its own choice."""
    from training import train as training_run

    short = {"sample__tokens": "2", "train__eval_tokens": "1024", "train__last_eval_tokens": "1024"}

    def run(partial: str, name: str, stop: Any = None, profile: str = "repro", **overrides: str) -> Path:
        settings = params(profile=profile, **{**short, **overrides})
        inputs = training_run.load(settings, tiny / "shards", tiny / "tokenizer")
        training_run.run(inputs, tmp_path / partial, tmp_path / name, stop or never_stop())
        return tmp_path / name

    return run


def trained_files(folder: Path) -> tuple[Path, Path]:
    """What export takes of a training run."""
    return folder / "model.safetensors", folder / "summary.json"


def write_params(path: Path, **overrides: str) -> Path:
    """A parameter file for a command."""
    path.write_text(json.dumps(params(**overrides)))
    return path
