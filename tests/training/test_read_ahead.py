"""Batches that a thread reads ahead: the same ones, whatever is asked for."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.test_train import digests
from training.ahead import AHEAD, Ahead
from training.data.batches import Batch, Batches
from training.data.shard_file import open_split

CPU = torch.device("cpu")


def test_a_batch_is_what_it_is_without_a_thread(tiny: Path) -> None:
    """In order, twice the same as in a trial, and from another place on as after a resume."""
    batches = Batches(open_split(tiny / "shards", "train"), 40, 3, 1)
    numbers = [0, 1, 2, 2, 2, 3, 50, 51, 7, *(random.Random(3).randrange(200) for _ in range(20))]
    ahead = Ahead(batches, CPU)
    for k in numbers:
        ids, learnt = ahead.take(k)
        assert np.array_equal(ids.numpy(), batches.batch(k).ids) and learnt is None


class Noted:
    """Batches that say which were read."""

    window = 3

    def __init__(self, masked: bool = False, broken: int = -1) -> None:
        self.read: list[int] = []
        self.masked, self.broken = masked, broken
        self.threads: set[int] = set()

    def batch(self, k: int) -> Batch:
        """Batch k."""
        if k == self.broken:
            raise ValueError("shard 7 is gone")
        self.read.append(k)
        self.threads.add(threading.get_ident())
        return Batch(np.full((2, 4), k), np.full((2, 3), k % 2 == 0) if self.masked else None)


@pytest.mark.parametrize("stride", [1, 3])
def test_it_is_so_far_ahead_and_no_further(stride: int) -> None:
    noted = Noted(masked=True)
    ahead = Ahead(noted, CPU, stride)  # type: ignore[arg-type]
    for k in range(1, 1 + 10 * stride, stride):
        ids, learnt = ahead.take(k)
        assert ids.unique().tolist() == [k]
        assert learnt is not None and learnt.unique().tolist() == [k % 2 == 0]
        assert set(ahead.coming) == {k + stride * (index + 1) for index in range(AHEAD)}
    assert noted.read[:10] == list(range(1, 1 + 10 * stride, stride)), "each is read once, in order"
    assert noted.threads == {next(iter(noted.threads))} != {threading.get_ident()}


def test_what_goes_wrong_in_the_thread_is_raised_where_it_is_asked_for() -> None:
    ahead = Ahead(Noted(broken=1), CPU)  # type: ignore[arg-type]
    assert int(ahead.take(0)[0][0, 0]) == 0
    with pytest.raises(ValueError, match="shard 7 is gone"):
        ahead.take(1)


def test_a_run_is_the_same_without_a_thread(at: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"train__steps": "6", "train__log_every": "1", "model__ctx_len": "64", "train__eval_overlap": "0"}
    ahead = digests(at("ahead", "ahead", **given))
    monkeypatch.setattr(Ahead, "take", Ahead._read)
    assert digests(at("plain", "plain", **given)) == ahead


def test_what_a_gpu_fetches_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[torch.Tensor] = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor)
    for device, count in ((CPU, 0), (torch.device("cuda"), 2)):
        Ahead(Noted(masked=True), device)._read(1)  # type: ignore[arg-type]
        assert len(pinned) == count
