"""Two processes on this machine beside one: the same losses, and a checkpoint that either goes on from."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.training.conftest import command, start, write_params
from training.dist import World

SETTINGS = {
    "profile": "fast",
    "train__steps": "12",
    "train__batch_size": "2",
    "train__grad_accum": "4",
    "train__eval_every": "6",
    "train__log_every": "1",
    "train__eval_tokens": "2048",
    "train__last_eval_tokens": "2048",
    "sample__tokens": "2",
    "train__precision": "f32",
    "train__device": "cpu",
}


def arguments(tiny: Path, out: Path, settings: Path) -> tuple[object, ...]:
    inputs = ("--shards", tiny / "shards", "--tokenizer", tiny / "tokenizer")
    return ("--params", settings, *inputs, "--out", out, "--resume", out / "kept")


def losses(out: Path) -> list[float]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [value for line in lines for name, value in line.items() if name in ("loss_nats", "val_bpb")]


def stopped_in_the_middle(tiny: Path, out: Path, settings: Path) -> str:
    """Train until three steps are kept, and no further than SIGTERM lets it; returns what it said. Where that came
    when all was done, once more.
    """
    for _ in range(10):
        with start("train", *arguments(tiny, out, settings)) as child:
            deadline = time.monotonic() + 240
            while not any(int(path.name[5:13]) >= 3 for path in (out / "kept").glob("*/step-*")):
                assert child.poll() is None and time.monotonic() < deadline
                time.sleep(0.01)
            child.send_signal(signal.SIGTERM)
            said: str = child.communicate(timeout=120)[1]
        if "held-out bytes after" not in said:
            assert child.returncode == 143, said
            return said
        shutil.rmtree(out)
    pytest.fail("the training was always faster than the signal")


def killed_in_the_middle(tiny: Path, out: Path, settings: Path, until: int) -> None:
    """Train until so many steps are kept, and then end all its processes at once."""
    with start("train", *arguments(tiny, out, settings)) as child:
        deadline = time.monotonic() + 240
        while not any(int(path.name[5:13]) >= until for path in (out / "kept").glob("*/step-*")):
            assert child.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        for pid in [child.pid, *started_by(child.pid)]:
            os.kill(pid, signal.SIGKILL)
        child.communicate()


def started_by(pid: int) -> list[int]:
    """The processes that one has started, each in a group of its own."""
    if not Path(f"/proc/{pid}/task").is_dir():
        pytest.skip("what a process has started is found out by /proc")
    children = Path(f"/proc/{pid}/task").glob("*/children")
    listed = [int(each) for path in children for each in path.read_text().split()]
    return [*listed, *(inner for each in listed for inner in started_by(each))]


@pytest.fixture(scope="module")
def by_one(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process makes that nobody disturbs."""
    out = tmp_path_factory.mktemp("by-one") / "out"
    settings = write_params(out.with_suffix(".json"), train__processes="1", **SETTINGS)
    command("train", *arguments(tiny, out, settings))
    return out


def test_two_processes_learn_what_one_does(tiny: Path, by_one: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    settings = write_params(tmp_path / "params.json", train__processes="2", **SETTINGS)
    said = command("train", *arguments(tiny, out, settings))
    assert said.count("held-out bytes after") == 1, "one process alone speaks"
    one, two = losses(by_one), losses(out)
    assert len(one) == 12 + 3
    assert two == pytest.approx(one, rel=1e-4)
    weights = load_file(out / "model.safetensors")
    for name, tensor in load_file(by_one / "model.safetensors").items():
        torch.testing.assert_close(weights[name], tensor, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("counts", [(2, 1), (1, 2)])
def test_another_number_of_processes_goes_on(tiny: Path, by_one: Path, tmp_path: Path, counts: tuple[int, int]) -> None:
    """Stopped by a signal in the middle, and taken up by the other number: the losses are those of one process."""
    out = tmp_path / "out"
    settings = write_params(
        tmp_path / "first.json",
        train__processes=str(counts[0]),
        train__checkpoint_seconds="0",
        **SETTINGS,
    )
    said = stopped_in_the_middle(tiny, out, settings)
    assert said.splitlines()[-1].endswith("stopped by SIGTERM; the same command goes on from here")
    settings = write_params(tmp_path / "then.json", train__processes=str(counts[1]), **SETTINGS)
    said = command("train", *arguments(tiny, out, settings))
    assert "resumed at step" in said
    assert losses(out) == pytest.approx(losses(by_one), rel=1e-4)


def test_pieces_are_stored_in_pieces_and_any_number_goes_on(tiny: Path, tmp_path: Path) -> None:
    """FSDP2: two processes, then one, then two, each killed in the middle: losses and weights are those of one.
    A checkpoint of two is two files, neither of which has all of it.
    """
    settings = {**SETTINGS, "train__steps": "15", "train__keep": "best"}
    whole = write_params(tmp_path / "whole.json", **settings)
    command("train", *arguments(tiny, tmp_path / "whole", whole))
    out = tmp_path / "out"
    pieces, alone = ({"train__processes": count, "train__shard": "true"} for count in "21")
    for number, (given, until) in enumerate(((pieces, 3), (alone, 7), (pieces, 11))):
        each = write_params(tmp_path / f"{number}.json", train__checkpoint_seconds="0", **given, **settings)
        killed_in_the_middle(tiny, out, each, until)
        newest = max((out / "kept").glob("*/step-*"), key=lambda path: int(path.name[5:13]))
        assert newest.is_dir() == (given is pieces)
        if given is pieces:
            parts = sorted(newest.glob("shard-*.safetensors"))
            sizes = [path.stat().st_size for path in parts]
            assert len(parts) == 2 and max(sizes) < 0.6 * sum(sizes)
    last = write_params(tmp_path / "last.json", **pieces, **settings)
    assert "resumed at step" in command("train", *arguments(tiny, out, last))
    assert losses(out) == pytest.approx(losses(tmp_path / "whole"), rel=1e-4)
    for name, tensor in load_file(tmp_path / "whole" / "model.safetensors").items():
        torch.testing.assert_close(load_file(out / "model.safetensors")[name], tensor, rtol=1e-2, atol=1e-3, msg=name)


def test_a_damaged_piece_is_seen_by_all_processes(tiny: Path, tmp_path: Path) -> None:
    """The checkpoint before it is taken; and what is left of one that was being written is swept away."""
    pieces = {"train__processes": "2", "train__shard": "true", "train__checkpoint_seconds": "0"}
    settings = write_params(tmp_path / "params.json", **pieces, **SETTINGS)
    killed_in_the_middle(tiny, tmp_path, settings, 4)
    (folder,) = (path for path in (tmp_path / "kept").iterdir() if path.is_dir())
    *_, before, newest = sorted(folder.glob("step-*"), key=lambda path: int(path.name[5:13]))
    part = max(newest.glob("shard-*.safetensors"))
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    (folder / ".tmp-step-00000099").mkdir()
    said = command("train", *arguments(tiny, tmp_path, settings))
    assert f"{newest.name}: damaged (a sha256 of its files is not the one in its notes); passed over" in said
    assert f"resumed at step {int(before.name[5:13])} of 12" in said
    assert not list((tmp_path / "kept").glob("**/.tmp-*"))


def test_batches_are_shared_out() -> None:
    with pytest.raises(ValueError, match=r"train\.grad_accum=3 batches of a step cannot be shared by 2 processes"):
        World(0, 2).share(3)
    assert [list(World(rank, 2).share(4)) for rank in (0, 1)] == [[0, 2], [1, 3]]


def test_the_profile_repro_has_one_process(tiny: Path, tmp_path: Path) -> None:
    settings = write_params(tmp_path / "params.json", train__processes="2", **{**SETTINGS, "profile": "repro"})
    with start("train", *arguments(tiny, tmp_path / "out", settings)) as child:
        said = child.communicate()[1]
    assert child.returncode == 1
    assert said == "training.train: profile repro trains in one process; train.processes=2 is not bit-exact\n"
