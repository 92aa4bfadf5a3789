"""Train and score: one model alone, or one beside another within the CPU time that the other takes.

In: Trainees. Out: a Result of each.
"""

from __future__ import annotations

import math
from time import process_time
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.bench.train import protocol
from tests.bench.train.recipes import Trainee


class Result(NamedTuple):
    """What came of a run."""

    loss_nats: float  # per character of the text that is held out
    steps: int
    cpu_s: float  # of the whole process, training alone
    parameters: int


def train(trainee: Trainee, steps: int) -> float:
    """That many steps. Returns their CPU seconds."""
    return sum(train_step(trainee, step, step / steps) for step in range(steps))


def train_beside(pace: Trainee, trainee: Trainee, steps: int) -> tuple[float, float, int]:
    """That many steps of `pace`; after each as many of the other as fit into the CPU time that `pace` has taken so far,
    but no more than `steps`. They take turns, so that other work on the machine slows both alike.

    Returns the CPU seconds of both, and the steps of the other.
    """
    pace_s = spent_s = 0.0
    made = 0
    for step in range(steps):
        progress = step / steps
        pace_s += train_step(pace, step, progress)
        while made < steps and spent_s + spent_s / max(made, 1) <= pace_s:
            spent_s += train_step(trainee, made, progress)
            made += 1
    return pace_s, spent_s, made


def train_step(trainee: Trainee, step: int, progress: float) -> float:
    """One step on batch `step`, at the rates of `progress`, in [0, 1). Returns its CPU seconds."""
    begun = process_time()
    ids = trainee.batch(step)  # (B, T + 1)
    logits = trainee.model(ids[:, :-1])  # (B, T, V)
    F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()).backward()
    if trainee.grad_clip:
        torch.nn.utils.clip_grad_norm_(trainee.model.parameters(), trainee.grad_clip)
    scale = trainee.scale(progress)
    for optimizer in trainee.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * scale
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return process_time() - begun


def scored(trainee: Trainee, held_out: Tensor, steps: int, cpu_s: float) -> Result:
    """The result on the whole of held_out. Raises ValueError where the loss is not finite."""
    loss_nats = protocol.score(trainee.model, held_out)
    if not math.isfinite(loss_nats):
        raise ValueError(
            f"the loss is {loss_nats} after {steps} steps; lower the rates in tests/bench/train/recipes.py"
        )
    return Result(loss_nats, steps, cpu_s, sum(weight.numel() for weight in trainee.model.parameters()))
