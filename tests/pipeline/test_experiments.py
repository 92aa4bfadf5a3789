"""`doit exp` on the real graph: six variants of `tiny` are six trainings, and all that they share is made once."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from stages import paths
from stages.project import EXPERIMENTS, variant

SHORT = ("train.steps=4", "train.warmup_steps=1", "train.eval_every=4", "train.last_eval_tokens=4096")
GRID = ("train.lr=1e-3,3e-3,1e-2", "model.n_layer=1,2")


def start(build: Path, *words: str) -> subprocess.Popen[str]:
    env = {**os.environ, "POCKETLM_BUILD": str(build), "POCKETLM_STORE": ""}
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([paths.ROOT / "doitw", *words], cwd=paths.ROOT, env=env, **piped)


def doit(build: Path, *words: str) -> subprocess.CompletedProcess[str]:
    process = start(build, *words)
    said, errors = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, said, errors)


def with_wheel(build: Path) -> Path:
    """A build folder whose store has the wheel: compiling it again would show nothing more."""
    wheel = (paths.BUILD / "shared/.current/wheel").resolve()
    shutil.copytree(wheel, build / "store" / wheel.name)
    return build


def table(build: Path, *words: str) -> list[tuple[object, ...]]:
    """What `exp show` says of each result, but for when and how long."""
    rows = json.loads(doit(build, "exp", "show", *words, "--json").stdout)
    return sorted(
        (row["names"], row["key"], row["params"], {n: v for n, v in row["metrics"].items() if n != "train_s"})
        for row in rows
    )


def finished(build: Path) -> dict[str, int]:
    """Key and inode of each result's receipt: a stage that runs again writes another file."""
    receipts = build.glob("store/*/receipt.json")
    return {path.parent.name: path.stat().st_ino for path in receipts if not path.parent.name.startswith(".")}


def test_a_choice_is_the_graph_with_its_words() -> None:
    train = {stage.name: stage for stage in variant({"preset": "tiny", "train.lr": "0.5"})}["train"]
    assert train.params["train.lr"] == 0.5 and train.scope == "tiny"
    with pytest.raises(ValueError, match="did you mean"):
        variant({"train.lrr": "1"})


@pytest.mark.parametrize("preset", ["tiny", "shakespeare"])
def test_a_short_run_is_valid_for_every_preset_that_trains(preset: str) -> None:
    train = {stage.name: stage for stage in variant({"preset": preset, **EXPERIMENTS.smoke})}[EXPERIMENTS.stage]
    assert train.params["train.steps"] == 3
    assert set(EXPERIMENTS.noise) <= set(train.params)


@pytest.mark.slow
def test_six_variants_share_what_they_can(tmp_path: Path) -> None:
    build = with_wheel(tmp_path / "build")
    words = ("exp", "run", "preset=tiny", *SHORT, *GRID, "--name", "g")
    done = doit(build, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    built = Counter(line.split()[1] for line in done.stdout.splitlines() if line.startswith("built "))
    assert built["train"] == 6
    assert {name: count for name, count in built.items() if name != "train"} == dict.fromkeys(
        ("corpus", "tokenizer", "shards"), 1
    )
    again = doit(build, *words)
    assert "6 choices: 0 built, 6 there before" in again.stdout and "\nbuilt" not in again.stdout
    rows = json.loads(doit(build, "exp", "show", "preset=tiny", "--json").stdout)
    assert len({(row["params"]["train.lr"], row["params"]["model.n_layer"]) for row in rows}) == 6
    assert all(row["metrics"]["val_bpb"] > 0 and row["names"][0].startswith("g-") for row in rows)


@pytest.mark.slow
def test_six_variants_killed_at_five_moments_give_the_same_table(tmp_path: Path) -> None:
    """SIGKILL to the run alone, as the kernel does when memory is short; `repro`, so that equal means the same bits."""
    words = ("exp", "run", "preset=tiny", "profile=repro", *SHORT, *GRID, "--name", "g")
    quiet, build = (with_wheel(tmp_path / name) for name in ("quiet", "killed"))
    began = time.monotonic()
    assert doit(quiet, *words).returncode == 0
    longest_s = (time.monotonic() - began) / 2
    expected = table(quiet, "preset=tiny", "profile=repro")
    moments, before, hits = random.Random(13), finished(build), []
    for _ in range(5):
        run = start(build, *words)
        try:
            run.communicate(timeout=moments.uniform(0.1, 1.0) * longest_s)
            hits.append("it was done")
        except subprocess.TimeoutExpired:
            os.kill(run.pid, signal.SIGKILL)
            run.communicate()
            hits.append(str(len(finished(build))))
        now = finished(build)
        assert before.items() <= now.items(), "a finished result was lost, or ran again"
        before = now
    print(f"\nresults in the store after each kill: {', '.join(hits)}")
    assert len({hit for hit in hits if hit.isdigit()}) > 1, "the kills hit one moment alone"
    last = doit(build, *words)
    assert last.returncode == 0, last.stdout + last.stderr
    assert before.items() <= finished(build).items(), "a finished result ran again"
    assert len(expected) == 6 and table(build, "preset=tiny", "profile=repro") == expected
