"""A model while it is trained: what the steps change, and what a checkpoint holds beside the weights."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from training import dist
from training.data.batches import Batches, ChatBatches
from training.inputs import Inputs
from training.journal import Journal
from training.model.families import LanguageModel
from training.speed import Way, compiled


@dataclass
class Training:
    """A model while it is trained: what the steps change, and what a checkpoint holds beside the weights."""

    inputs: Inputs
    device: torch.device
    model: LanguageModel
    optimizers: list[Optimizer]
    batches: Batches | ChatBatches
    world: dist.World = field(default_factory=dist.World)
    step: int = 0  # optimizer steps made
    loss_sum: Tensor = field(default_factory=lambda: torch.zeros(()))  # (), nats, of the steps since the last record
    seconds: float = 0.0  # spent by the processes before this one
    way: Way | None = None  # how steps are computed; None until it was measured
    trial: list[dict[str, Any]] = field(default_factory=list)  # what was measured
    started: float = field(default_factory=time.monotonic)
    forwards: dict[Way, Callable[..., Tensor]] = field(default_factory=dict)  # the model as each way wants it
    grad_norm: Tensor = field(default_factory=lambda: torch.zeros(()))  # (), of the last step's gradients

    def forward(self, way: Way) -> Callable[..., Tensor]:
        """The model's forward pass as a way wants it: ids, (B, T), to logits, (B, T, V)."""
        if way not in self.forwards:
            self.forwards[way] = compiled(way, self.model)
        return self.forwards[way]

    @property
    def in_pieces(self) -> bool:
        """Whether each process holds a piece of every weight: then all of them evaluate and save together."""
        return self.inputs.train.shard and self.world.size > 1

    def agreed(self, due: bool) -> bool:
        """Whether something is due: of processes that do it together, by any one's clock."""
        return bool(self.world.largest(int(due), self.device)) if self.in_pieces else due

    @property
    def tokens_a_step(self) -> int:
        """Tokens that an optimizer step reads."""
        train = self.inputs.train
        return train.batch_size * train.grad_accum * self.batches.window

    @property
    def elapsed_s(self) -> float:
        """Seconds of all processes of this run."""
        return self.seconds + time.monotonic() - self.started

    def state(self, metrics: Journal | None) -> dict[str, Any]:
        """What a checkpoint holds beside the tensors, as JSON; of a run without metrics yet where that is None.

        Raises Diverged where the last step was no good.
        """
        finite(float(self.grad_norm), "the gradients' norm", self)
        return {
            "run": self.inputs.digest(),
            "torch": torch.__version__,
            "step": self.step,
            "loss_sum": finite(float(self.loss_sum), "the loss", self),
            "train_s": 0.0 if metrics is None else self.elapsed_s,
            "metrics_nbytes": 0 if metrics is None else metrics.mark(),
            "way": None if self.way is None else vars(self.way),
            "trial": self.trial,
        }


class Diverged(ValueError):
    """The loss has run away."""


def finite(value: float, what: str, training: Training) -> float:
    """A figure of the last step. Raises Diverged where it is not a finite number."""
    if not math.isfinite(value):
        lr = training.inputs.train.lr
        raise Diverged(f"{what} is {value} at step {training.step}; lower train.lr (now {lr:g})")
    return value


def count(model: LanguageModel) -> int:
    """The number of weights."""
    return sum(weight.numel() for weight in model.parameters())
