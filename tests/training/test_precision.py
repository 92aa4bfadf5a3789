"""f16 with a scaled loss; and what is said where a loss is lost for good."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.conftest import params
from tests.training.test_resume import StopAt
from tests.training.test_train import FAST
from training import prepare
from training import train as training_run
from training.command import Interrupted
from training.speed import Way
from training.state import MOST_SKIPPED, Diverged, Training

SMALL = {"model__n_layer": "1", "model__ctx_len": "64", "train__eval_overlap": "0", "train__batch_size": "1"}
HALF = {**SMALL, "profile": "fast", "train__precision": "f16", "train__steps": "8", "train__log_every": "1"}
WAY = Way(1, "f16", False)


@pytest.fixture(autouse=True)
def one_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured at the start."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("family", [{}, FAST], ids=["llama", "fast"])
def test_f16_learns_what_f32_does(at: Callable[..., Path], family: dict[str, str]) -> None:
    half = at("half", "half", **HALF, **family)
    single = at("single", "single", **{**HALF, "train__precision": "f32"}, **family)
    ours, theirs = ([line["loss_nats"] for line in lines(out) if "loss_nats" in line] for out in (half, single))
    assert ours == pytest.approx(theirs, rel=5e-3) and ours != theirs
    assert all(line["loss_scale"] == 65536.0 and "tokens_a_second" in line for line in lines(half) if "lr" in line)
    made = json.loads((half / "summary.json").read_text())
    assert (made["precision"], made["skipped_steps"]) == ("f16", 0)


def training_of(tiny: Path) -> Training:
    inputs = training_run.load(params(**HALF), tiny / "shards", tiny / "tokenizer")
    return prepare.build(inputs)


def tried(training: Training, factor: float) -> None:
    """A step whose gradients are so many times as large."""
    for weight in training.model.parameters():
        weight.register_hook(lambda gradient: gradient * factor)
        break
    training.stepped(training_run.train_step(training, WAY))


def test_a_step_that_is_not_finite_is_skipped_and_counted(tiny: Path) -> None:
    training = training_of(tiny)
    before = {name: weight.clone() for name, weight in training.model.named_parameters()}
    tried(training, float("inf"))
    assert (training.step, training.skipped, training.losses) == (1, 1, 0)
    assert training.scaler.get_scale() == 32768.0
    assert all(torch.equal(weight, before[name]) for name, weight in training.model.named_parameters())
    assert training.mean_loss() is None
    training = training_of(tiny)
    for _ in range(3):
        tried(training, 1.0)
    assert (training.step, training.skipped, training.losses, training.skipped_in_a_row) == (3, 0, 3, 0)
    assert training.mean_loss() == pytest.approx(5.7, abs=0.3)
    for _ in range(MOST_SKIPPED - 1):
        tried(training, float("nan"))
    assert training.skipped == training.skipped_in_a_row == MOST_SKIPPED - 1
    with pytest.raises(Diverged, match=rf"the gradients of 30 steps in a row, up to step {3 + MOST_SKIPPED}, are not"):
        tried(training, 1.0)


def test_the_scaler_goes_on_where_it_was(at: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A scale that is far too large at first, and doubles after two steps that are made, is in the checkpoint; so is
    the number of steps skipped.
    """
    monkeypatch.setattr(
        prepare,
        "scaler_of",
        lambda inputs, device: torch.amp.GradScaler(device.type, init_scale=2.0**24, growth_interval=2),
    )
    whole = at("whole", "whole", **HALF)
    scales = [line["loss_scale"] for line in lines(whole) if "loss_scale" in line]
    assert len(set(scales)) > 2 and max(line.get("skipped", 0) for line in lines(whole)) > 2
    with pytest.raises(Interrupted):
        at("kept", "stopped", StopAt(14), train__checkpoint_seconds="0", **HALF)
    resumed = at("kept", "resumed", **HALF)
    for line, expected in zip(lines(resumed), lines(whole), strict=True):
        for name in ("loss_nats", "loss_scale", "skipped"):
            assert line.get(name) == expected.get(name), line


NAN = "the loss is nan at step 6; lower train.lr (now 0.01); the last good checkpoint is of step "


@pytest.mark.parametrize(
    ("break_it", "log_every", "good", "message"),
    [
        (float("nan"), "1", 5, NAN),
        (float("nan"), "4", 5, NAN),  # seen when the next checkpoint is due
        (1e4, "1", 5, "at step 6, a uniform guess's 5.73; lower train.lr (now 0.01); the last good checkpoint is of"),
    ],
)
def test_a_loss_that_runs_away_names_its_step_and_what_is_good(
    at: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    break_it: float,
    log_every: str,
    good: int,
    message: str,
) -> None:
    break_step_six(monkeypatch, break_it)
    given = {"train__steps": "9", "train__log_every": log_every, "train__warmup_steps": "0", **SMALL}
    with pytest.raises(ValueError) as raised:
        at("kept", "out", train__checkpoint_seconds="0", **given)
    assert message in str(raised.value)
    (path,) = (tmp_path / "kept").glob(f"*/step-{good:08}-*")
    assert str(raised.value).endswith(f": {path}")


@pytest.mark.parametrize("seen", ["at a record", "at an evaluation", "at the end"])
def test_a_loss_that_is_lost_between_two_looks_names_its_step(
    at: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: str
) -> None:
    """Without a checkpoint since; and no weights come out."""
    break_step_six(monkeypatch, float("nan"))
    every = {"log_every": "8" if seen == "at a record" else "99", "eval_every": "7" if "evaluation" in seen else "99"}
    given = {"train__steps": "9", "train__checkpoint_seconds": "9999", **SMALL}
    with pytest.raises(ValueError, match=r"the loss is nan at step 6; .*; there is no checkpoint before it"):
        at("kept", "out", **given, **{f"train__{name}": value for name, value in every.items()})
    assert not list((tmp_path / "out").glob("*"))


def test_weights_that_no_text_can_be_scored_by_do_not_come_out(
    at: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last step breaks them, after a loss that was fine."""
    plain = training_run.train_step

    def step(training: Training, way: Way) -> torch.Tensor:
        loss = plain(training, way)
        if training.step == 4:
            next(training.model.parameters()).data.fill_(float("nan"))
        return loss

    monkeypatch.setattr(training_run, "train_step", step)
    with pytest.raises(ValueError, match=r"the validation loss is nan at step 5; lower train\.lr"):
        at("kept", "out", train__steps="5", **SMALL)
    assert not list((tmp_path / "out").glob("*"))


def break_step_six(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    """What the sixth step's loss is multiplied by."""
    plain = training_run.train_step

    def step(training: Training, way: Way) -> torch.Tensor:
        return plain(training, way) * (factor if training.step == 5 else 1.0)

    monkeypatch.setattr(training_run, "train_step", step)
