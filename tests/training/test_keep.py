"""train.keep: the last weights or the best come out, exactly, whatever happened on the way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training.test_resume import StopAt, digests
from training import checkpoint, watch
from training.command import Interrupted
from training.scoring import Score
from training.state import Training

SMALL = {"model__n_layer": "1", "model__ctx_len": "64", "train__eval_overlap": "0", "train__batch_size": "1"}
GIVEN = {**SMALL, "train__steps": "10", "train__eval_every": "2", "train__log_every": "2", "train__keep": "best"}
BY_STEP = {0: 1.0, 2: 5.0, 4: 3.0, 6: 4.0, 8: 3.5, 10: 3.2}  # bits per byte; the untrained model's does not count
BEST = 4


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> dict[int, float]:
    """Each step's score, as given here and not as it is."""
    values = dict(BY_STEP)
    plain = watch.validate

    def validate(training: Training, *given: Any) -> Score:
        score = plain(training, *given)
        return Score(values[training.step] * score.n_bytes * 0.6931471805599453, score.n_tokens, score.n_bytes)

    monkeypatch.setattr(watch, "validate", validate)
    return values


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "model.safetensors")


def summary(out: Path) -> dict[str, Any]:
    made: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return made


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.usefixtures("scores")
def test_the_best_weights_come_out(at: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They are those of the checkpoint of that step in a run that keeps the last ones."""
    out = at("best", "best", **GIVEN)
    made = summary(out)
    assert (made["weights_of_step"], made["steps"]) == (BEST, 10)
    assert made["best_evaluation"] == {"step": BEST, "val_bpb": pytest.approx(3.0)}
    assert made["last_evaluation"] == {"step": 10, "val_bpb": pytest.approx(3.2)}
    assert "step 4 scored best: its weights come out" in capsys.readouterr().err
    (kept,) = (line for line in map(json.loads, (out / "metrics.jsonl").open()) if "kept_bpb" in line)
    assert kept["step"] == BEST

    last = at("last", "last", **{**GIVEN, "train__keep": "last"})
    assert summary(last)["weights_of_step"] == 10
    assert summary(last)["best_evaluation"] == made["best_evaluation"] and not summary(last)["last_evaluation"]
    assert not same(weights(out), weights(last))
    (best,) = (tmp_path / "last" / "done").glob("*/best-00000004-*")
    assert same({name.removeprefix("model."): tensor for name, tensor in load_file(best).items()}, weights(out))


def test_the_last_weights_come_out_where_they_are_the_best(at: Callable[..., Path], scores: dict[int, float]) -> None:
    scores[10] = 2.9
    made = summary(at("best", "best", **GIVEN))
    assert made["weights_of_step"] == 10
    assert made["last_evaluation"] == {"step": 10, "val_bpb": pytest.approx(2.9)}


@pytest.mark.usefixtures("scores")
def test_stopped_anywhere_the_same_comes_out(at: Callable[..., Path]) -> None:
    whole = digests(at("whole", "whole", **GIVEN))
    for questions in range(2, 30, 4):
        with pytest.raises(Interrupted):
            at(f"kept {questions}", "stopped", StopAt(questions), train__checkpoint_seconds="0", **GIVEN)
        assert digests(at(f"kept {questions}", f"resumed {questions}", **GIVEN)) == whole, questions


class Killed(BaseException):
    """What no handler of the run catches: as if the process had ended there."""


@pytest.mark.usefixtures("scores")
@pytest.mark.parametrize("seconds", ["0", "999"])
@pytest.mark.parametrize("write", ["write", "write_best"])
@pytest.mark.parametrize("after", [False, True])
def test_a_kill_between_two_writes_loses_nothing(
    at: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, seconds: str, write: str, after: bool
) -> None:
    """Before and after each write of a checkpoint or of the best weights; with a checkpoint a step, and with none."""
    given = {**GIVEN, "train__checkpoint_seconds": seconds}
    whole = digests(at("whole", "whole", **given))
    plain = getattr(checkpoint, write)
    for count in range(1, 9):
        calls = []

        def dies(*arguments: Any, calls: list[int] = calls, count: int = count, **more: Any) -> Any:
            calls.append(1)
            if len(calls) == count and not after:
                raise Killed
            made = plain(*arguments, **more)
            if len(calls) == count:
                raise Killed
            return made

        with monkeypatch.context() as patched:
            patched.setattr(checkpoint, write, dies)
            try:
                at(f"kept {count}", f"killed {count}", **given)
            except Killed:
                pass
            else:
                break
        assert digests(at(f"kept {count}", f"resumed {count}", **given)) == whole, count
    assert count > 1


@pytest.mark.usefixtures("scores")
def test_what_was_kept_is_few_files(at: Callable[..., Path], tmp_path: Path) -> None:
    at("kept", "run", train__checkpoint_seconds="0", **GIVEN)
    assert sorted(path.name[:13] for path in (tmp_path / "kept/done").glob("*/best-*")) == ["best-00000004"]
    assert len(list((tmp_path / "kept/done").glob("*/step-*"))) == 2


def test_the_best_of_a_run_that_is_extended_stays_the_best(at: Callable[..., Path], scores: dict[int, float]) -> None:
    scores |= {12: 3.3, 14: 3.4, 16: 3.5, 18: 3.6, 20: 3.7}
    at("kept", "short", train__warmup_steps="1", train__decay_fraction="0.2", **GIVEN)
    longer = {**GIVEN, "train__steps": "20", "train__warmup_steps": "1", "train__decay_fraction": "0.2"}
    extended = at("kept", "long", **longer)
    assert summary(extended)["weights_of_step"] == BEST
    assert digests(extended) == digests(at("new", "whole", **longer))


@pytest.mark.usefixtures("scores")
def test_best_weights_that_are_damaged_or_gone_are_named(at: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        at("kept", "stopped", StopAt(24), train__checkpoint_seconds="0", **GIVEN)
    (best,) = (tmp_path / "kept").glob("*/best-00000004-*")
    best.write_bytes(best.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"best-00000004-.*: damaged .*; set train\.keep=last, or delete .* to train"):
        at("kept", "resumed", **GIVEN)
    best.unlink()
    with pytest.raises(ValueError, match=r"the weights of step 4, which scored best, are gone; set train\.keep=last"):
        at("kept", "resumed", **GIVEN)
    assert summary(at("kept", "last", **{**GIVEN, "train__keep": "last"}))["weights_of_step"] == 10
