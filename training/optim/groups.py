"""Which optimizer each parameter goes to."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import Optimizer

from training.config.train import Train
from training.optim.muon import Muon
from training.optim.orthogonal import newton_schulz, polar_factors

WAYS = {"newton-schulz": newton_schulz, "polar": polar_factors}


def make_optimizers(model: nn.Module, train: Train, device: torch.device) -> list[Optimizer]:
    """AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101), with decay on the matrices alone; for train.optimizer="muon"
    after it Muon on the layers' matrices.
    """
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    orthogonal = [weight for name, weight in trained.items() if train.optimizer == "muon" and _in_a_layer(name, weight)]
    others = {name: weight for name, weight in trained.items() if not any(weight is each for each in orthogonal)}
    apart = {name for name in others if train.embedding_lr and "lm_head.weight" in others and "embed_tokens" in name}
    matrices = [weight for name, weight in others.items() if weight.dim() == 2 and name not in apart]
    norms = [weight for weight in others.values() if weight.dim() == 1]
    groups = [{"params": matrices, "weight_decay": train.weight_decay}, {"params": norms, "weight_decay": 0.0}]
    if apart:
        rate = {"lr_scale": train.embedding_lr / train.lr, "weight_decay": train.weight_decay}
        groups.append({"params": [others[name] for name in apart], **rate})
    betas = (train.beta1, train.beta2)
    made: list[Optimizer] = [torch.optim.AdamW(groups, lr=train.lr, betas=betas, fused=device.type != "mps")]
    if orthogonal:
        made.append(Muon(orthogonal, train.lr, train.weight_decay, orthogonalised=WAYS[train.orthogonal]))
    return made


def _in_a_layer(name: str, weight: torch.Tensor) -> bool:
    return ".layers." in name and weight.dim() == 2


def set_lr(optimizers: list[Optimizer], lr: float) -> None:
    """Give every group the learning rate of a step."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr * group.get("lr_scale", 1.0)
