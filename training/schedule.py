"""The learning rate of each step."""

from __future__ import annotations

import math

from training.config import Train


def lr_at(step: int, train: Train) -> float:
    """The learning rate of step 0 ... train.steps - 1.

    Linear warm-up from lr / warmup to lr, over a tenth of the steps at the most; then "cosine" falls to lr *
    min_lr_ratio along half a cosine (Loshchilov & Hutter 2017, arXiv:1608.03983), and "linear" stays at lr until the
    last decay_fraction of the steps and falls to the same value in a straight line (warm-up, stable, decay: Hu et al.
    2024, arXiv:2404.06395).
    """
    warmup = min(train.warmup_steps, train.steps // 10)
    if step < warmup:
        return train.lr * (step + 1) / warmup
    lowest = train.lr * train.min_lr_ratio
    start = (
        warmup if train.schedule == "cosine" else max(warmup, train.steps - round(train.steps * train.decay_fraction))
    )
    progress = max(0, step - start) / max(1, train.steps - start)  # in [0, 1)
    share = 0.5 * (1.0 + math.cos(math.pi * progress)) if train.schedule == "cosine" else 1.0 - progress
    return lowest + (train.lr - lowest) * share
