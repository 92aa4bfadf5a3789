"""`doit exp` on the real graph: six variants of `tiny` are six trainings, and all that they share is made once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from stages import paths
from stages.project import EXPERIMENTS, variant

SHORT = ("train.steps=4", "train.warmup_steps=1", "train.eval_every=4", "train.last_eval_tokens=4096")
GRID = ("train.lr=1e-3,3e-3,1e-2", "model.n_layer=1,2")


def doit(build: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "POCKETLM_BUILD": str(build), "POCKETLM_STORE": ""}
    return subprocess.run([paths.ROOT / "doitw", *words], cwd=paths.ROOT, env=env, capture_output=True, text=True)


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
    wheel = (paths.BUILD / "shared/.current/wheel").resolve()
    shutil.copytree(wheel, tmp_path / "build/store" / wheel.name)  # compiling it again would show nothing more
    words = ("exp", "run", "preset=tiny", *SHORT, *GRID, "--name", "g")
    done = doit(tmp_path / "build", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    built = Counter(line.split()[1] for line in done.stdout.splitlines() if line.startswith("built "))
    assert built["train"] == 6
    assert {name: count for name, count in built.items() if name != "train"} == dict.fromkeys(
        ("corpus", "tokenizer", "shards"), 1
    )
    again = doit(tmp_path / "build", *words)
    assert "6 choices: 0 built, 6 there before" in again.stdout and "\nbuilt" not in again.stdout
    rows = json.loads(doit(tmp_path / "build", "exp", "show", "preset=tiny", "--json").stdout)
    assert len({(row["params"]["train.lr"], row["params"]["model.n_layer"]) for row in rows}) == 6
    assert all(row["metrics"]["val_bpb"] > 0 and row["names"][0].startswith("g-") for row in rows)
