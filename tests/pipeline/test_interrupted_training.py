"""The real graph, killed in the middle of training: it resumes, finished stages do not run twice, the weights are
the same bits.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from stages import paths

DOIT = [str(paths.VENV / "bin" / "python"), "-P", str(paths.VENV / "bin" / "doit")]
WORDS = [
    "export",
    "preset=tiny",
    "profile=repro",
    "train.steps=60",
    "train.warmup_steps=5",
    "train.eval_every=1000",
    "train.checkpoint_seconds=0.2",
    "train.eval_tokens=1024",
    "train.last_eval_tokens=1024",
]
EARLY = ("corpus", "wheel", "tokenizer", "shards")


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A build folder of its own that shares nothing with ours but the compiled wheel."""
    shared = tmp_path / "shared"
    wheel = (paths.BUILD / "shared" / ".current" / "wheel").resolve()
    shutil.copytree(wheel, shared / wheel.name)
    return {**os.environ, "POCKETLM_BUILD": str(tmp_path / "build"), "POCKETLM_STORE": str(shared)}


def doit(env: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        [*DOIT, *WORDS, *words], cwd=paths.ROOT, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def outcome(output: str, stage: str) -> str:
    """What the report says of a stage: fresh, built, from the store."""
    return next(
        line.split(stage)[0].strip() for line in output.splitlines() if stage in line.split()[:4] and "│" not in line
    )


def test_kill_9_in_the_middle_of_training(env: dict[str, str], tmp_path: Path) -> None:
    build = Path(env["POCKETLM_BUILD"])
    run = subprocess.Popen(
        [*DOIT, *WORDS],
        cwd=paths.ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 180
    while not list(build.glob("partial/*/*/step-*")):
        assert run.poll() is None and time.monotonic() < deadline, run.communicate()[0]
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert not (build / "tiny/model.bin").exists()
    again = doit(env)
    assert "resumed at step" in again, again
    assert [outcome(again, stage) for stage in EARLY] == ["fresh"] * 4, again
    assert [outcome(again, stage) for stage in ("train", "export")] == ["built"] * 2, again
    kept = [path.parent.name for path in build.glob("partial/*/*/**/step-*")]
    assert kept == ["extend"] and not list(build.glob("store/.tmp-*"))  # for a longer run, and no more
    resumed = (build / "tiny/model.bin").read_bytes()
    longer = doit(env, "train.steps=70")
    assert "a run of 60 steps was kept: goes on from its step 30, to 70" in longer, longer

    shutil.rmtree(build)
    shutil.rmtree(tmp_path / "shared")
    shutil.copytree(
        (paths.BUILD / "shared/.current/wheel").resolve(),
        tmp_path / "shared" / (paths.BUILD / "shared/.current/wheel").resolve().name,
    )
    assert "resumed" not in doit(env)
    assert (build / "tiny/model.bin").read_bytes() == resumed
