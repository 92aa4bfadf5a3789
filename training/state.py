"""A model while it is trained: what the steps change, and what a checkpoint holds beside the weights."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer

from training import dist
from training.ahead import Ahead
from training.inputs import Inputs
from training.journal import Journal
from training.model.families import LanguageModel
from training.speed import Way, compiled

MOST_SKIPPED = 30  # steps in a row: the loss was scaled by 2^16 at first, and is by 2^-14 then


class Best(NamedTuple):
    """The evaluation of a part of the held-out text that came out best."""

    step: int
    val_bpb: float


@dataclass
class Training:
    """A model while it is trained: what the steps change, and what a checkpoint holds beside the weights."""

    inputs: Inputs
    device: torch.device
    model: LanguageModel
    optimizers: list[Optimizer]
    ahead: Ahead  # its batches
    scaler: torch.amp.GradScaler  # of the loss; it does nothing but where train.precision is f16
    world: dist.World = field(default_factory=dist.World)
    step: int = 0  # optimizer steps made
    loss_sum: Tensor = field(default_factory=lambda: torch.zeros(()))  # (), nats, of the steps since the last record
    losses: int = 0  # how many are in that sum
    lost_at: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.int64))  # (), the first step whose loss
    # is not finite; 0: none
    skipped: int = 0  # steps whose gradients were not finite
    skipped_in_a_row: int = 0  # up to now
    best: Best | None = None  # of the evaluations after the first step and before the last
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
        return train.batch_size * train.grad_accum * self.ahead.batches.window

    def takes(self, grad_norm: Tensor) -> bool:
        """Whether a step is made with gradients of this norm, (): with a scaler not where it is not finite.

        Raises Diverged after MOST_SKIPPED that were not made.
        """
        if self.scaler.is_enabled() and not bool(grad_norm.isfinite()):
            self.skipped, self.skipped_in_a_row = self.skipped + 1, self.skipped_in_a_row + 1
            if self.skipped_in_a_row == MOST_SKIPPED:
                raise Diverged(
                    f"the gradients of {MOST_SKIPPED} steps in a row, up to step {self.step + 1}, are not finite; "
                    f"lower train.lr (now {self.inputs.train.lr:g}), or set train.precision=bf16"
                )
            return False
        self.grad_norm, self.skipped_in_a_row = grad_norm, 0
        return True

    def stepped(self, loss: Tensor) -> None:
        """A step was tried; its mean loss, (), counts where it was made. The first step whose loss is not finite is
        noted on the device, and looked at only when the losses are: a GPU need not wait for the answer.
        """
        self.step += 1
        if not self.skipped_in_a_row:
            self.loss_sum += loss
            self.losses += 1
            fine = self.loss_sum.isfinite() | (self.lost_at > 0)
            self.lost_at = torch.where(fine, self.lost_at, self.step)

    def mean_loss(self) -> float | None:
        """In nats, of the steps since this was asked last; None where none was made. Raises Diverged."""
        mean = self._whole_loss() / self.losses if self.losses else None
        self.loss_sum.zero_()
        self.losses = 0
        return mean

    def check(self) -> None:
        """Raises Diverged where a loss since the last record, or the norm of the last gradients, is no number."""
        self._whole_loss()
        finite(float(self.grad_norm), "the gradients' norm", self.step, self)

    def _whole_loss(self) -> float:
        """loss_sum. Raises Diverged."""
        return finite(float(self.loss_sum), "the loss", int(self.lost_at), self)

    def improves(self, val_bpb: float) -> bool:
        """Whether an evaluation is the best so far; then it is `best`. The same in all processes that ask."""
        before = self.best.val_bpb if self.best else math.inf
        if self.agreed(self.step > 0 and val_bpb < before):  # not where it is no number
            self.best = Best(self.step, val_bpb)
            return True
        return False

    @property
    def elapsed_s(self) -> float:
        """Seconds of all processes of this run."""
        return self.seconds + time.monotonic() - self.started

    def state(self, metrics: Journal | None) -> dict[str, Any]:
        """What a checkpoint holds beside the tensors, as JSON; of a run without metrics yet where that is None.

        Raises Diverged where the last step was no good.
        """
        self.check()
        return {
            "run": self.inputs.digest(),
            "torch": torch.__version__,
            "step": self.step,
            "loss_sum": float(self.loss_sum),
            "losses": self.losses,
            "skipped": self.skipped,
            "skipped_in_a_row": self.skipped_in_a_row,
            "scaler": self.scaler.state_dict(),
            "best": self.best,
            "train_s": 0.0 if metrics is None else self.elapsed_s,
            "metrics_nbytes": 0 if metrics is None else metrics.mark(),
            "way": None if self.way is None else vars(self.way),
            "trial": self.trial,
        }


class Diverged(ValueError):
    """The loss has run away."""


def finite(value: float, what: str, step: int, training: Training) -> float:
    """A figure of a step. Raises Diverged where it is not a finite number."""
    if not math.isfinite(value):
        lr = training.inputs.train.lr
        raise Diverged(f"{what} is {value} at step {step}; lower train.lr (now {lr:g})")
    return value


def count(model: LanguageModel) -> int:
    """The number of weights."""
    return sum(weight.numel() for weight in model.parameters())
