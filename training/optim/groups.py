"""Which optimizer each parameter goes to."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import Optimizer

from training.config.train import Train


def make_optimizers(model: nn.Module, train: Train, device: torch.device) -> list[Optimizer]:
    """AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101), with decay on the matrices alone."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    matrices = [weight for weight in trained if weight.dim() == 2]
    norms = [weight for weight in trained if weight.dim() == 1]
    groups = [{"params": matrices, "weight_decay": train.weight_decay}, {"params": norms, "weight_decay": 0.0}]
    betas = (train.beta1, train.beta2)
    return [torch.optim.AdamW(groups, lr=train.lr, betas=betas, fused=device.type != "mps")]


def set_lr(optimizers: list[Optimizer], lr: float) -> None:
    """Give every group the learning rate of a step."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr
