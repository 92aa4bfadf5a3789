"""What a run goes on from: checkpoints of any optimizer, other runs in the same folder, longer runs, other versions."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from training import checkpoint
from training.command import Interrupted, StopRequest
from training.config import preset as config
from training.optim.schedule import lr_at, shared_steps

OUTPUTS = ("model.safetensors", "metrics.jsonl", "samples.jsonl", "summary.json")


class Peculiar(Optimizer):
    """Everything that an optimizer may keep: a count that is no tensor, f64 and integer tensors, tensors in lists,
    nothing at all for some parameters, and state of a whole group.
    """

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        super().__init__(parameters, {"lr": 0.1, "total": 0.0, "names": ("a", "b")})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            group["total"] += 0.1
            for parameter in group["params"][1:]:
                state = self.state[parameter]
                if not state:
                    state |= {"count": 0, "wide": torch.zeros((), dtype=torch.float64), "mode": "warm", "none": None}
                    state["seen"] = torch.zeros(2, 3, dtype=torch.int64)
                    state["sides"] = [torch.zeros_like(parameter), {"half": torch.zeros(3, dtype=torch.bfloat16)}]
                state["count"] += 1
                state["wide"] += 1 / 3
                state["seen"][0, 0] += 1
                state["sides"][0] += parameter.grad
                state["sides"][1]["half"] += 1
                parameter -= group["lr"] * (state["sides"][0] + group["total"]) / state["count"]


def adamw_and_muon(model: nn.Module) -> list[Optimizer]:
    matrices = [weight for weight in model.parameters() if weight.dim() == 2]
    vectors = [weight for weight in model.parameters() if weight.dim() == 1]
    return [torch.optim.Muon(matrices, lr=0.01), torch.optim.AdamW(vectors, lr=0.01, amsgrad=True)]


OPTIMIZERS: dict[str, Callable[[nn.Module], list[Optimizer]]] = {
    "Muon on the matrices, AdamW on the rest": adamw_and_muon,
    "SGD, which keeps nothing": lambda model: [torch.optim.SGD(model.parameters(), lr=0.1)],
    "Adafactor": lambda model: [torch.optim.Adafactor(model.parameters(), lr=0.01)],
    "NAdam": lambda model: [torch.optim.NAdam(model.parameters(), lr=0.01)],
    "a made-up one": lambda model: [Peculiar(model.parameters())],
}


def small(make: Callable[[nn.Module], list[Optimizer]]) -> tuple[nn.Module, list[Optimizer]]:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(5, 7), nn.RMSNorm(7), nn.Linear(7, 3))
    return model, make(model)


def steps(model: nn.Module, optimizers: Sequence[Optimizer], first: int, last: int) -> None:
    for step in range(first, last):
        x = torch.randn(4, 5, generator=torch.Generator().manual_seed(step))
        model(x).square().mean().backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()


def equal(a: Any, b: Any) -> bool:
    """Whether two nestings are the same, types and bits included."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and type(a) is type(b):
        return len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_any_optimizer_goes_on_as_if_nothing_had_happened(tmp_path: Path, name: str) -> None:
    model, optimizers = small(OPTIMIZERS[name])
    steps(model, optimizers, 0, 3)
    before = copy.deepcopy([optimizer.state_dict() for optimizer in optimizers])
    checkpoint.write(tmp_path, model, optimizers, {"run": "r", "step": 3})
    steps(model, optimizers, 3, 6)

    other, fresh = small(OPTIMIZERS[name])
    assert checkpoint.read_latest(tmp_path, other, fresh, {"run": "r", "step": 0}) == {"run": "r", "step": 3}
    assert equal([optimizer.state_dict() for optimizer in fresh], before)
    steps(other, fresh, 3, 6)
    assert equal(dict(other.state_dict()), dict(model.state_dict()))


def test_a_state_that_cannot_be_kept_is_named(tmp_path: Path) -> None:
    model, optimizers = small(OPTIMIZERS["SGD, which keeps nothing"])
    optimizers[0].param_groups[0]["weird"] = object()
    with pytest.raises(ValueError, match=r"optimizer\.0\.param_groups\.0\.weird is a object: a checkpoint holds"):
        checkpoint.write(tmp_path, model, optimizers, {"run": "r", "step": 3})
    assert list(tmp_path.iterdir()) == []


def test_the_checkpoint_of_another_optimizer_is_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, optimizers = small(OPTIMIZERS["NAdam"])
    checkpoint.write(tmp_path, model, optimizers, {"run": "r", "step": 3})
    other, fresh = small(adamw_and_muon)
    assert checkpoint.read_latest(tmp_path, other, fresh, {"run": "r", "step": 0}) is None
    assert "its optimizers have groups of [[5]] parameters, expected [[2], [3]]" in capsys.readouterr().err


class StopAt(StopRequest):
    """Asks a run to stop before a step's evaluation or at its n-th question."""

    def __init__(self, questions: int) -> None:
        self.left, self.signum = questions, 0

    def check(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Interrupted(15, "stopped")


def stopped(run: Callable[..., Path], partial: str, questions: int, **overrides: str) -> None:
    with pytest.raises(Interrupted):
        run(partial, "stopped", StopAt(questions), **overrides)


def digests(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in OUTPUTS}


def kept(partial: Path) -> list[int]:
    return sorted(int(path.name[5:13]) for path in partial.glob("*/step-*"))


def test_checkpoints_of_other_runs_stay_and_take_no_places(at: Callable[..., Path], tmp_path: Path) -> None:
    """Two late checkpoints of a run with other settings lie there when a new run writes its first."""
    stopped(at, "kept", 16, train__steps="20", train__lr="5e-3", train__checkpoint_seconds="0")
    before = kept(tmp_path / "kept")
    assert len(before) == 2 and min(before) > 4
    stopped(at, "kept", 7, train__steps="20", train__checkpoint_seconds="0")
    after = kept(tmp_path / "kept")
    assert len(after) == 4 and set(before) < set(after) and min(after) < min(before)


RUNTIME = {"train__checkpoint_seconds": "0", "sample__prompts": "ARIEL:", "sample__temperature": "0.1"}


def test_what_decides_no_result_drops_no_half_done_night(
    at: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    stopped(at, "kept", 14, train__steps="14", train__eval_every="5")
    capsys.readouterr()
    resumed = at("kept", "resumed", train__steps="14", train__eval_every="5", **RUNTIME)
    assert "resumed at step" in capsys.readouterr().err
    whole = digests(at("other", "whole", train__steps="14", train__eval_every="5"))
    # What it writes on the way is what the new settings ask for.
    assert {**digests(resumed), "samples.jsonl": ""} == {**whole, "samples.jsonl": ""}


def test_stopped_anywhere_it_writes_the_same(at: Callable[..., Path]) -> None:
    """Before a step, in an evaluation, between the tokens of a text: each record stands there once."""
    given = {"train__steps": "6", "train__eval_every": "3", "train__log_every": "2"}
    whole = digests(at("whole", "whole", **given))
    for questions in range(0, 16, 2):
        stopped(at, f"kept {questions}", questions, **given)
        assert digests(at(f"kept {questions}", f"resumed {questions}", **given)) == whole, questions


def test_another_torch(
    at: Callable[..., Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """fast goes on and says which versions made it; repro promises the bytes of one version, and starts anew."""
    ours = torch.__version__
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # nothing to be measured at the start
    for profile, resumes in (("fast", True), ("repro", False)):
        with pytest.raises(Interrupted):
            at(profile, "stopped", StopAt(12), profile=profile, train__steps="14", train__precision="f32")
        capsys.readouterr()
        monkeypatch.setattr(torch, "__version__", "9.0")
        at(profile, "resumed", profile=profile, train__steps="14", train__precision="f32")
        monkeypatch.setattr(torch, "__version__", ours)
        said = capsys.readouterr().err
        assert (f"PyTorch {ours} made the steps so far, 9.0 goes on" in said) == resumes
        assert ("resumed at step" in said) == resumes


LONG = {"train__eval_every": "7", "train__log_every": "3", "train__warmup_steps": "1"}


def test_a_finished_run_is_extended(
    at: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The schedule "linear" keeps its rate until the last half: 12 steps of the 24 are those of a run of 48."""
    at("kept", "short", train__steps="24", **LONG)
    assert kept(tmp_path / "kept") == [] and len(list((tmp_path / "kept").glob("*/extend/step-00000012-*"))) == 1
    capsys.readouterr()
    extended = at("kept", "long", train__steps="48", **LONG)
    assert "a run of 24 steps was kept: goes on from its step 12, to 48" in capsys.readouterr().err
    assert digests(extended) == digests(at("new", "whole", train__steps="48", **LONG))
    capsys.readouterr()
    again = at("kept", "again", train__steps="30", **LONG)  # its rate falls from step 15
    assert "a run of 24 steps was kept: goes on from its step 12, to 30" in capsys.readouterr().err
    assert digests(again) == digests(at("newer", "again whole", train__steps="30", **LONG))


def test_an_interrupted_run_is_extended(at: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    stopped(at, "kept", 20, train__steps="40", **LONG)
    capsys.readouterr()
    extended = at("kept", "long", train__steps="50", **LONG)
    assert "a run of 40 steps was kept: goes on from its step" in capsys.readouterr().err
    assert digests(extended) == digests(at("new", "whole", train__steps="50", **LONG))


def test_where_the_schedule_does_not_allow_it_a_run_says_so(
    at: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    stopped(at, "kept", 20, train__steps="20", train__schedule="cosine", **LONG)
    capsys.readouterr()
    at("kept", "long", train__steps="21", train__schedule="cosine", **LONG)
    said = capsys.readouterr().err
    assert "starts anew: a run of 20 steps was kept, but the learning rates are those of 21 only up to step 1;" in said
    assert 'under train.schedule="linear" a run can be extended' in said


def test_the_result_of_a_finished_run_that_was_not_published_is_not_lost(
    at: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = at("kept", "first", train__steps="8", train__checkpoint_seconds="0", **LONG)
    assert len(list((tmp_path / "kept/done").glob("*/step-*"))) == 2
    capsys.readouterr()
    assert digests(at("kept", "second", train__steps="8", train__checkpoint_seconds="0", **LONG)) == digests(first)
    assert "resumed at step 8 of 8" in capsys.readouterr().err


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_shared_steps_have_the_same_rates(schedule: str) -> None:
    cases = ((100, 200, 10), (100, 101, 7), (50, 400, 10), (64, 64, 3), (1, 9, 0), (300, 40, 2))
    for steps_a, steps_b, warmup in cases:
        given = {"train.schedule": schedule, "train.warmup_steps": str(warmup)}
        a, b = (config.load("tiny", {**given, "train.steps": str(n)}).train for n in (steps_a, steps_b))
        shared = shared_steps(steps_a, steps_b, a)
        assert shared == shared_steps(steps_b, steps_a, b) <= min(steps_a, steps_b)
        assert [lr_at(step, a) for step in range(shared)] == [lr_at(step, b) for step in range(shared)]
        if steps_a != steps_b and shared:  # not much further: the first step of a decay still has the peak rate
            assert lr_at(shared + 1, a) != lr_at(shared + 1, b)


def test_metrics_that_are_gone_stop_an_extension(at: Callable[..., Path], tmp_path: Path) -> None:
    at("kept", "short", train__steps="24", **LONG)
    (metrics,) = (tmp_path / "kept").glob("*/extend/metrics.jsonl")
    metrics.write_text(json.dumps({"step": 1}))
    with pytest.raises(ValueError, match=r"metrics\.jsonl has 11 bytes, expected \d+; delete"):
        at("kept", "long", train__steps="48", **LONG)
