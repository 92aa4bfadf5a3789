"""The learning rate of each step, and how far two runs of different lengths have the same."""

from __future__ import annotations

import math

from training.config.train import Train


def lr_at(step: int, train: Train) -> float:
    """The learning rate of step 0 ... train.steps - 1.

    Linear warm-up from lr / warmup to lr, over a tenth of the steps at the most; then "cosine" falls to lr *
    min_lr_ratio along half a cosine (Loshchilov & Hutter 2017, arXiv:1608.03983), and "linear" stays at lr until the
    last decay_fraction of the steps and falls to the same value in a straight line (warm-up, stable, decay: Hu et al.
    2024, arXiv:2404.06395).
    """
    warmup, decay = _warmup(train.steps, train), decay_start(train.steps, train)
    if step < warmup:
        return train.lr * (step + 1) / warmup
    lowest = train.lr * train.min_lr_ratio
    progress = max(0, step - decay) / max(1, train.steps - decay)  # in [0, 1)
    share = 0.5 * (1.0 + math.cos(math.pi * progress)) if train.schedule == "cosine" else 1.0 - progress
    return lowest + (train.lr - lowest) * share


def decay_start(steps: int, train: Train) -> int:
    """The first step whose rate lies below the peak again, in a run of `steps`."""
    warmup = _warmup(steps, train)
    return warmup if train.schedule == "cosine" else max(warmup, steps - round(steps * train.decay_fraction))


def shared_steps(steps: int, other: int, train: Train) -> int:
    """How many first steps of a run of `steps` and of one of `other` have the same rates: up to there the one may go
    on from the other's checkpoint. Their warm-ups may differ, where a tenth of the steps is less than warmup_steps.
    """
    if steps == other:
        return steps
    if _warmup(steps, train) != _warmup(other, train):
        return 0
    return min(decay_start(steps, train), decay_start(other, train))


def _warmup(steps: int, train: Train) -> int:
    return min(train.warmup_steps, steps // 10)
