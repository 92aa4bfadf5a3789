"""Low-rank adapters: of each matrix of the layers only a change B·A of low rank is trained, and added to it at the end.

Source: Hu et al. 2021, arXiv:2106.09685. Gradients and moments are kept for A and B alone, and so are checkpoints: a
weight takes 16 bytes in full training, and little more than 4 here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from training.model.families import LanguageModel


class LowRank(nn.Module):
    """A matrix, (out, in), as it was and a change of it: weight + alpha / rank * B·A."""

    def __init__(self, weight: Tensor, rank: int, alpha: float, generator: torch.Generator) -> None:
        super().__init__()
        n_out, n_in = weight.shape
        bound = n_in**-0.5  # as a layer of this width begins in PyTorch
        self.a = nn.Parameter((2 * torch.rand(rank, n_in, generator=generator) - 1) * bound)  # (rank, in)
        self.b = nn.Parameter(torch.zeros(n_out, rank))  # (out, rank): 0, so that it begins with the model as it is
        self.scale = alpha / rank

    def forward(self, weight: Tensor) -> Tensor:
        """weight: (out, in), as it was. Returns (out, in)."""
        return weight + self.scale * (self.b @ self.a)


def add(model: LanguageModel, rank: int, alpha: float, seed: int) -> None:
    """Give each matrix of the layers an adapter, and let nothing else be trained."""
    generator = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        weight.requires_grad_(False)
    for module in _matrices(model):
        parametrize.register_parametrization(module, "weight", LowRank(module.weight, rank, alpha, generator))


def merge(model: LanguageModel) -> None:
    """Put the sums in the place of the matrices, and take the adapters away."""
    for module in _matrices(model):
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)


def _matrices(model: LanguageModel) -> list[nn.Linear]:
    return [module for module in model.model.layers.modules() if isinstance(module, nn.Linear)]
