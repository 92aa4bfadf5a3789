"""Batches as tensors on the device: a thread reads the next ones while a step is computed.

What comes is a function of its number alone (training/data/batches.py), so nothing depends on how far ahead the thread
is, and a checkpoint knows nothing of it.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from training.data.batches import Batches, ChatBatches

AHEAD = 2  # batches

OnDevice = tuple[Tensor, Tensor | None]  # ids, (B, T + 1) int64, and which targets are learnt, (B, T) bool: None: all


class Ahead:
    """The batches of one process."""

    def __init__(self, batches: Batches | ChatBatches, device: torch.device, stride: int = 1) -> None:
        """stride: from the number of a batch to that of this process's next."""
        self.batches, self.device, self.stride = batches, device, stride
        self.reader = ThreadPoolExecutor(1, "batches")
        self.coming: dict[int, Future[OnDevice]] = {}

    def take(self, k: int) -> OnDevice:
        """Batch k. Raises what reading it raised."""
        wanted = range(k, k + (AHEAD + 1) * self.stride, self.stride)
        for gone in self.coming.keys() - set(wanted):
            self.coming.pop(gone).cancel()
        for each in wanted:
            if each not in self.coming:
                self.coming[each] = self.reader.submit(self._read, each)
        ids, learnt = self.coming.pop(k).result()
        there = ids.to(self.device, non_blocking=True)
        return there, None if learnt is None else learnt.to(self.device, non_blocking=True)

    def _read(self, k: int) -> OnDevice:
        batch = self.batches.batch(k)
        return self._pinned(torch.from_numpy(batch.ids)), (
            None if batch.learnt is None else self._pinned(torch.from_numpy(batch.learnt))
        )

    def _pinned(self, tensor: Tensor) -> Tensor:
        """Where a GPU can fetch it while the CPU goes on."""
        return tensor.pin_memory() if self.device.type == "cuda" else tensor
