"""TensorBoard and Weights & Biases: what they show is what metrics.jsonl holds, and nothing depends on them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.training.conftest import never_stop, params
from tests.training.test_resume import StopAt
from tests.training.test_train import digests
from training import command, train
from training.command import StopRequest

GIVEN = {
    "train__steps": "6",
    "train__eval_every": "3",
    "train__log_every": "1",
    "train__checkpoint_seconds": "0",
    "train__eval_tokens": "1024",
    "train__last_eval_tokens": "1024",
    "sample__tokens": "2",
}
Run = Callable[..., Path]


@pytest.fixture
def run(tiny: Path, tmp_path: Path) -> Run:
    """run(name, loggers, stop): a training; returns its folder. Its logs are in tmp_path / "logs"."""

    def made(name: str, loggers: str = "", stop: StopRequest | None = None) -> Path:
        settings = params(**GIVEN, **({"train__loggers": loggers} if loggers else {}))
        inputs = train.load(settings, tiny / "shards", tiny / "tokenizer")
        train.run(inputs, tmp_path / name / "kept", tmp_path / name, stop or never_stop(), tmp_path / "logs")
        return tmp_path / name

    return made


def metrics(out: Path, name: str) -> list[tuple[int, float]]:
    lines = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
    return [(line["step"], line[name]) for line in lines if name in line]


def test_tensorboard_shows_the_metrics_and_goes_on_after_a_stop(run: Run, tmp_path: Path) -> None:
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with pytest.raises(command.Interrupted):
        run("logged", "tensorboard", StopAt(8))
    out = run("logged", "tensorboard")
    (folder,) = (tmp_path / "logs").iterdir()
    shown = accumulators.EventAccumulator(str(folder))
    shown.Reload()
    for name in ("loss_nats", "train_bpb", "val_bpb", "lr", "grad_norm"):
        points = [(event.step, event.value) for event in shown.Scalars(name)]
        assert points == [(step, pytest.approx(value, rel=1e-6)) for step, value in metrics(out, name)], name
    assert [event.step for event in shown.Scalars("tokens_a_second")] == list(range(1, 7))
    (settings,) = shown.Tensors("settings/text_summary")
    assert b"| train.lr | 0.01 |" in settings.tensor_proto.string_val[0]
    assert b"PROSPERO:" in shown.Tensors("sample/text_summary")[-1].tensor_proto.string_val[0]
    assert digests(out) == digests(run("plain")), "a logger decides nothing"


def test_wandb_writes_a_run_without_a_network(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)  # even with one nothing is sent
    out = run("logged", "wandb")
    (written,) = (tmp_path / "logs").glob("*/wandb/offline-run-*/*.wandb")
    data = written.read_bytes()
    for word in (b"val_bpb", b"grad_norm", b"train.lr", b"PROSPERO:"):
        assert word in data, word
    assert digests(out) == digests(run("plain"))


@pytest.mark.parametrize(("logger", "module"), [("tensorboard", "torch.utils.tensorboard"), ("wandb", "wandb")])
def test_what_is_not_installed_is_named(run: Run, monkeypatch: pytest.MonkeyPatch, logger: str, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=rf"train\.loggers names {logger}, which is not installed"):
        run("logged", logger)


def test_a_logger_wants_a_folder(tiny: Path, tmp_path: Path) -> None:
    inputs = train.load(params(train__loggers="wandb", **GIVEN), tiny / "shards", tiny / "tokenizer")
    with pytest.raises(ValueError, match=r"train\.loggers=wandb: give a folder for them, --logs DIR"):
        train.run(inputs, tmp_path / "kept", tmp_path / "out", never_stop())
