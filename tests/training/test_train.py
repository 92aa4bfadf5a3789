"""Training: it learns, it can be killed at any moment, and it never computes in a way that was not asked for."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.training.conftest import ROOT, command, params, start, write_params
from training import checkpoint, speed
from training.config import preset as config
from training.model.families import language_model
from training.model.llama import Llama
from training.optim.groups import make_optimizers, set_lr
from training.optim.muon import Muon

OUTPUTS = ("model.safetensors", "metrics.jsonl", "samples.jsonl", "summary.json")
SHORT = {"sample__tokens": "4", "train__eval_tokens": "1024"}


def digests(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in OUTPUTS}


def test_the_loss_falls(train: Callable[..., Path]) -> None:
    """From the 5.9 bits per byte of a uniform guess; 40 steps reach 4.1 here."""
    out = train(train__steps="40", train__eval_every="20", **SHORT)
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    val = [record["val_bpb"] for record in records if "val_bpb" in record]
    losses = [record["loss_nats"] for record in records if "loss_nats" in record]
    summary = json.loads((out / "summary.json").read_text())
    assert len(val) == 3 and len(losses) == 8
    assert val[0] == pytest.approx(5.89, abs=0.2)  # of 1,024 tokens
    assert val[-1] == summary["val_bpb"] < 4.4
    assert losses[-1] < losses[0] - 1
    assert summary["tokens_seen"] == records[-1]["tokens"] == 40 * 2 * 2 * 384
    assert not any({"train_s", "tokens_a_second"} & record.keys() for record in records), "repro must hold no time"


def test_random_weights_are_trained_in_full(train: Callable[..., Path]) -> None:
    with pytest.raises(ValueError, match=r"train\.lora_rank=4 is for imported models"):
        train(train__lora_rank="4", **SHORT)


FAST = {
    "model__family": "fast",
    "train__optimizer": "muon",
    "train__orthogonal": "polar",
    "train__embedding_lr": "0.02",
}


def test_killed_in_the_command_the_bytes_are_the_same(tiny: Path, tmp_path: Path) -> None:
    """kill -9 twice in the middle, then to the end: every output but timings.json is that of the run without a
    kill. test_kills_in_training.py kills ten times, both families.
    """
    settings = write_params(
        tmp_path / "params.json",
        train__steps="24",
        train__eval_every="8",
        train__checkpoint_seconds="0",
        **SHORT,
    )

    def arguments(name: str) -> tuple[object, ...]:
        inputs = ("--shards", tiny / "shards", "--tokenizer", tiny / "tokenizer")
        return ("--params", settings, *inputs, "--out", tmp_path / name, "--resume", tmp_path / name / "kept")

    command("train", *arguments("whole"))
    seen = [0]
    for wanted in (5, 14):
        with start("train", *arguments("killed")) as child:
            kept = tmp_path / "killed" / "kept"
            deadline = time.monotonic() + 240
            while not any(int(path.name[5:13]) >= wanted for path in kept.glob("*/step-*")):
                assert child.poll() is None and time.monotonic() < deadline
                time.sleep(0.01)
            child.kill()
        seen.append(max(int(path.name[5:13]) for path in kept.glob("*/step-*")))
    assert seen == sorted(set(seen)) and seen[-1] < 24, "the kills must come before the end"
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    said = command("train", *arguments("killed"))
    assert "resumed at step" in said
    assert digests(tmp_path / "killed") == digests(tmp_path / "whole")


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_stops(tiny: Path, tmp_path: Path, signum: signal.Signals, status: int) -> None:
    """Even where no checkpoint is due: the step that is being made is finished and kept."""
    settings = write_params(tmp_path / "params.json", train__steps="9999", train__checkpoint_seconds="999", **SHORT)
    inputs = ("--shards", tiny / "shards", "--tokenizer", tiny / "tokenizer")
    with start(
        "train", "--params", settings, *inputs, "--out", tmp_path / "out", "--resume", tmp_path / "kept"
    ) as child:
        deadline = time.monotonic() + 240
        while not any(b"loss_nats" in path.read_bytes() for path in (tmp_path / "kept").glob("*/metrics.jsonl")):
            assert child.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        child.send_signal(signum)
        said = child.communicate(timeout=120)[1]
    assert child.returncode == status
    assert f"stopped by {signum.name}" in said
    assert "Traceback" not in said
    assert len(list((tmp_path / "kept").glob("*/step-*"))) == 1
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_muon_takes_the_matrices_of_the_layers_and_learns(train: Callable[..., Path]) -> None:
    settings = config.load("tiny", {"train.optimizer": "muon"})
    model = Llama(settings.model, 300)
    adamw, muon = make_optimizers(model, settings.train, torch.device("cpu"))
    names = {id(weight): name for name, weight in model.named_parameters()}
    taken = {names[id(weight)] for group in muon.param_groups for weight in group["params"]}
    left = {names[id(weight)] for group in adamw.param_groups for weight in group["params"]}
    assert taken == {name for name, weight in model.named_parameters() if ".layers." in name and weight.dim() == 2}
    assert taken.isdisjoint(left) and len(taken | left) == len(names)

    out = train(train__optimizer="muon", train__steps="30", train__eval_every="30", **SHORT)
    values = [line["val_bpb"] for line in map(json.loads, (out / "metrics.jsonl").open()) if "val_bpb" in line]
    assert values[-1] < 4.4 < 5 < values[0]


def test_an_untied_embedding_has_a_rate_of_its_own() -> None:
    settings = config.load("tiny", {"model.family": "fast", "train.embedding_lr": "2e-2", "train.lr": "1e-2"})
    model = language_model(settings.model, 300)
    optimizers = make_optimizers(model, settings.train, torch.device("cpu"))
    set_lr(optimizers, 5e-3)  # half the peak
    rates = {weight: group["lr"] for each in optimizers for group in each.param_groups for weight in group["params"]}
    assert len(rates) == len(list(model.parameters()))
    assert {name: rates[weight] for name, weight in model.named_parameters() if rates[weight] != 5e-3} == {
        "model.embed_tokens.weight": pytest.approx(1e-2)
    }
    tied = config.load("tiny", {"model.tie_embeddings": "true", "train.embedding_lr": "2e-2"})
    (adamw,) = make_optimizers(language_model(tied.model, 300), tied.train, torch.device("cpu"))
    assert all("lr_scale" not in group for group in adamw.param_groups)


@pytest.mark.parametrize("shape", [(7, 7), (5, 19), (23, 6), (1, 4)])
def test_a_step_of_muon_is_the_algorithm(shape: tuple[int, int]) -> None:
    """Three steps against the plainest form in f64, one matrix at a time, and beside PyTorch's, which computes in
    bf16."""
    generator = torch.Generator().manual_seed(4)
    weights = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for _ in range(3)]
    theirs = [torch.nn.Parameter(weight.detach().clone()) for weight in weights]
    plain = [weight.detach().double() for weight in weights]
    momenta = [torch.zeros(shape, dtype=torch.float64) for _ in weights]
    before = [weight.clone() for weight in plain]
    ours = Muon(weights, lr=0.1, weight_decay=0.2)
    other = torch.optim.Muon(theirs, lr=0.1, weight_decay=0.2, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        for index, weight in enumerate(weights):
            gradient = torch.randn(shape, generator=generator)
            weight.grad, theirs[index].grad = gradient, gradient.clone()
            momenta[index] = 0.95 * momenta[index] + 0.05 * gradient.double()
            x = 0.05 * gradient.double() + 0.95 * momenta[index]
            x = x / x.norm()
            u, values, v = torch.linalg.svd(x, full_matrices=False)
            for _ in range(5):  # the quintic acts on the singular values alone
                values = 3.4445 * values - 4.775 * values**3 + 2.0315 * values**5
            plain[index] = plain[index] * (1 - 0.1 * 0.2) - 0.1 * 0.2 * max(shape) ** 0.5 * (u * values) @ v
        ours.step()
        other.step()
    for weight, twin, expected, was in zip(weights, theirs, plain, before, strict=True):
        torch.testing.assert_close(weight.detach().double(), expected, rtol=1e-4, atol=1e-4)
        moved, their_move = weight.detach() - was, twin.detach() - was
        assert float((moved * their_move).sum() / moved.norm() / their_move.norm()) > 0.97


def small_model() -> tuple[Llama, torch.optim.Optimizer]:
    """A model and an optimizer with moments."""
    settings = config.load("tiny")
    model = Llama(settings.model, 300)
    model.initialise(torch.Generator().manual_seed(1))
    (optimizer,) = make_optimizers(model, settings.train, torch.device("cpu"))
    model(torch.arange(20)[None]).square().mean().backward()
    optimizer.step()
    return model, optimizer


def test_checkpoints_come_back_whole_or_not_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, optimizer = small_model()
    at_five = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    checkpoint.write(tmp_path, model, [optimizer], {"run": "r", "step": 5})
    optimizer.step()
    newest = checkpoint.write(tmp_path, model, [optimizer], {"run": "r", "step": 6})
    (tmp_path / ".tmp-1").write_bytes(b"half of a checkpoint")

    def load(run: str = "r") -> tuple[Llama, dict[str, object] | None]:
        other, fresh = small_model()
        state = checkpoint.read_latest(tmp_path, other, [fresh], {"run": run, "step": 0})
        if state:
            steps = [float(values["step"]) for values in fresh.state.values()]
            assert set(steps) == {float(str(state["step"])) - 4}
        return other, state

    loaded, state = load()
    assert state == {"run": "r", "step": 6}
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in loaded.state_dict().items())
    assert not (tmp_path / ".tmp-1").exists()

    data = bytearray(newest.read_bytes())
    for at in (0, len(data) // 2, len(data) - 1):  # header, middle, end
        data[at] ^= 1
        newest.write_bytes(data)
        loaded, state = load()
        assert state == {"run": "r", "step": 5}
        assert all(torch.equal(tensor, at_five[name]) for name, tensor in loaded.state_dict().items())
        assert "damaged" in capsys.readouterr().err
        data[at] ^= 1
    newest.write_bytes(data[:100])
    assert load()[1] == {"run": "r", "step": 5}
    assert load("another run")[1] is None
    assert "of a run with other settings or data" in capsys.readouterr().err


def test_only_the_last_checkpoints_are_kept(tmp_path: Path) -> None:
    model, optimizer = small_model()
    for step in range(5):
        checkpoint.write(tmp_path, model, [optimizer], {"run": "r", "step": step})
    assert sorted(int(path.name[5:13]) for path in tmp_path.iterdir()) == [3, 4]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that speed's clock shows: only a test moves them, so a busy machine changes nothing."""
    now = [0.0]
    monkeypatch.setattr(speed.time, "perf_counter", lambda: now[0])
    return now


def test_the_trial_leaves_no_trace_and_takes_the_fastest(
    capsys: pytest.CaptureFixture[str], clock: list[float]
) -> None:
    model, optimizer = small_model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    settings = config.load("tiny", {"train.precision": "auto", "train.compile": "true"}).train
    slow = {"f32": 0.004, "bf16": 0.001}

    def step(way: speed.Way) -> float:
        if way.compile:
            raise RuntimeError("no C++ compiler")
        with torch.no_grad():
            for weight in model.parameters():
                weight += 1
        optimizer.step()
        clock[0] += slow[way.precision]
        return 1.0

    threads = torch.get_num_threads()
    try:
        way, measured = speed.choose(settings, torch.device("cpu"), model, [optimizer], step)
    finally:
        torch.set_num_threads(threads)
    assert (way.precision, way.compile) == ("bf16", False)
    assert {entry["precision"] for entry in measured} == {"f32", "bf16"}
    assert "bf16 compiled: does not run here (RuntimeError); left out" in capsys.readouterr().err
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert {float(values["step"]) for values in optimizer.state.values()} == {1.0}


def test_bf16_must_be_clearly_faster(clock: list[float]) -> None:
    model, optimizer = small_model()

    def step(way: speed.Way) -> float:
        clock[0] += 0.010 if way.precision == "f32" else 0.0095
        return 1.0

    settings = config.load("tiny", {"train.precision": "auto"}).train
    assert speed.choose(settings, torch.device("cpu"), model, [optimizer], step)[0].precision == "f32"
    torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("failure", "kind", "message"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), ValueError, "out of memory; make train.batch_size"),
        (RuntimeError("no kernel image"), ValueError, r"no training step runs on cpu \(no kernel image\); try"),
    ],
)
def test_why_no_way_runs_is_said(failure: Exception, kind: type[Exception], message: str) -> None:
    model, optimizer = small_model()

    def step(way: speed.Way) -> float:
        raise failure

    settings = config.load("tiny", {"train.precision": "auto"}).train
    with pytest.raises(kind, match=message), speed.memory_named():
        speed.choose(settings, torch.device("cpu"), model, [optimizer], step)
    torch.set_num_threads(1)


def test_the_number_of_threads_follows_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads are faster; then the machine is busy, and they are thirty times slower; then it is quiet again."""
    clock = [0.0]
    used: list[int] = []
    monkeypatch.setattr(speed.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(speed.torch, "set_num_threads", used.append)
    threads = speed.Threads([2, 1], 2)
    used.append(2)

    def busy(seconds: float, two: float, one: float) -> None:
        end = clock[0] + seconds
        while clock[0] < end:
            took = two if used[-1] == 2 else one
            clock[0] += took
            threads.step_took(took)

    busy(200, 0.05, 0.09)
    assert threads.threads == 2
    busy(200, 3.0, 0.26)
    assert threads.threads == 1
    busy(200, 0.05, 0.09)
    assert threads.threads == 2


@pytest.mark.parametrize(
    ("overrides", "profile", "message"),
    [
        ({"train__device": "cuda"}, "repro", "profile repro trains on the CPU; train.device='cuda'"),
        ({"train__device": "mps"}, "fast", "this PyTorch finds no such device; use train.device=auto"),
        ({"train__lr": "1e30", "train__warmup_steps": "0"}, "repro", "lower train.lr (now 1e+30)"),
    ],
)
def test_errors(train: Callable[..., Path], overrides: dict[str, str], profile: str, message: str) -> None:
    if torch.backends.mps.is_available():
        overrides.pop("train__device", None)
    with pytest.raises(ValueError) as raised:
        train(profile=profile, train__steps="12", **SHORT, **overrides)
    assert message in str(raised.value)


def test_the_commands_from_text_to_model(tmp_path: Path) -> None:
    """The thin path as it is typed: a parameter file or a preset, one process a step."""
    from training.format.file import read_model

    written = subprocess.run(
        [sys.executable, "-m", "training.params", "tiny", "train.steps=12", "sample.tokens=4"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (tmp_path / "params.json").write_bytes(written.stdout)
    given = ("--params", tmp_path / "params.json")
    corpus, tokenizer, trained = tmp_path / "corpus", tmp_path / "tokenizer", tmp_path / "train"
    weights = ("--weights", trained / "model.safetensors")
    command("corpus", *given, "--out", tmp_path)
    command("tokenizer", *given, "--corpus", corpus, "--out", tokenizer)
    command("shards", *given, "--corpus", corpus, "--tokenizer", tokenizer, "--out", tmp_path)
    said = command("train", *given, "--shards", tmp_path / "shards", "--tokenizer", tokenizer, "--out", trained)
    assert "bits/byte on 23,453 held-out bytes after 18,432 tokens in" in said
    assert "\n    PROSPERO:\n" in said, "what the model writes is shown after an evaluation"
    command("sample", *given, *weights, "--tokenizer", tokenizer, "--out", tmp_path)
    assert (tmp_path / "samples.txt").read_text().startswith("--- 1\nPROSPERO:\n")
    recorded = ("--metrics", trained / "metrics.jsonl", "--samples", trained / "samples.jsonl")
    command("report", *recorded, "--out", tmp_path)
    assert "bits per byte after 0.0 M tokens" in (tmp_path / "loss.svg").read_text()
    assert [step for step, _ in json.loads((tmp_path / "training.json").read_text())["val"]] == [0, 12]
    written = json.loads((tmp_path / "samples.json").read_text())["samples"]
    assert [(sample["step"], sample["text"][:9]) for sample in written] == [(0, "PROSPERO:"), (12, "PROSPERO:")]
    summary = ("--summary", trained / "summary.json")
    both = ("--tokenizer", tokenizer, "--shards", tmp_path / "shards")
    said = command("export", *given, *weights, *summary, *both, "--out", tmp_path)
    assert re.search(r"model\.bin: [\d,]+ bytes, \d+ tensors, f32\n.*\d\.\d{3} bits/byte on the held-out text\n", said)
    model = read_model(tmp_path / "model.bin")
    assert model.config["vocab_size"] == 307
    timings = json.loads((tmp_path / "train" / "timings.json").read_text())
    assert set(timings) == {"threads", "trial", "train_s", "tokens_a_second"}
    assert not set(timings) & set(json.loads((tmp_path / "train" / "summary.json").read_text()))
    assert json.loads((tmp_path / "tokenizer" / "tokenizer.json").read_text())["model"]["type"] == "BPE"
    assert sorted(path.name for path in (tmp_path / "train").iterdir()) == sorted([*OUTPUTS, "timings.json"])
    assert params()["profile"] == "repro"
