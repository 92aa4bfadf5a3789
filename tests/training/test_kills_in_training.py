"""kill -9 at ten moments of one training: what comes out has the bytes of the training that nobody disturbed.

The processes are forked from one that has imported PyTorch already, so that ten of them take seconds.
"""

from __future__ import annotations

import multiprocessing
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.training.conftest import never_stop, params
from tests.training.test_train import FAST, digests

KILLS, STEPS, LAST_KILL = 10, 40, 32
SHORT = {"sample__tokens": "2", "train__eval_tokens": "1024", "train__last_eval_tokens": "1024"}
SMALL = {"model__d_model": "24", "model__d_head": "4", "model__d_ff": "32", "train__batch_size": "1"}


def trained(settings: dict[str, Any], made: Path, out: Path) -> None:
    """A run in a process of its own, to its end or to the parent's signal."""
    from training import train

    train.run(train.load(settings, made / "shards", made / "tokenizer"), out / "kept", out, never_stop())


@pytest.mark.parametrize("family", [{}, FAST], ids=["llama", "fast"])
def test_ten_kills(tiny: Path, tmp_path: Path, family: dict[str, str]) -> None:
    settings = params(
        train__steps=str(STEPS), train__eval_every="9", train__checkpoint_seconds="0", **SHORT, **SMALL, **family
    )
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["training.train"])

    def start(name: str) -> multiprocessing.process.BaseProcess:
        process = context.Process(target=trained, args=(settings, tiny, tmp_path / name))
        process.start()
        return process

    whole = start("whole")
    moments = random.Random(12)
    at = []
    for wanted in sorted(moments.sample(range(1, LAST_KILL), KILLS)):
        process = start("killed")
        deadline = time.monotonic() + 240
        while newest(tmp_path / "killed") < wanted:
            assert process.is_alive() and time.monotonic() < deadline
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.02))  # in the step, or in the checkpoint behind it
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        at.append(newest(tmp_path / "killed"))
    assert at == sorted(at) and at[-1] < STEPS, "each kill must hit the training"
    last = start("killed")
    for process in (last, whole):
        process.join()
        assert process.exitcode == 0
    assert digests(tmp_path / "killed") == digests(tmp_path / "whole"), f"killed at the steps {at}"


def newest(out: Path) -> int:
    """The step of the newest checkpoint; 0 where there is none."""
    return max((int(path.name[5:13]) for path in (out / "kept").glob("*/step-*")), default=0)
