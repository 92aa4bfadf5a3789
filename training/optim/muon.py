"""Muon: momentum whose matrices are brought near to orthogonal ones before each step.

As torch.optim.Muon with adjust_lr_fn="match_rms_adamw", but in f32, and with all matrices of one shape, lying or
standing, at once: on a CPU without bf16 units that takes half the time (training/LOG.md).
Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; the length of the steps is that
of AdamW's: Liu et al. 2025, arXiv:2502.16982.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer

from training.optim.orthogonal import newton_schulz


class Muon(Optimizer):
    """For matrices alone. Weight decay is decoupled, as AdamW's is."""

    def __init__(
        self,
        matrices: Iterable[Tensor],
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        orthogonalised: Callable[[Tensor], Tensor] = newton_schulz,
    ) -> None:
        """orthogonalised: (N, out, in) f32 to the same."""
        self.orthogonalised = orthogonalised
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step, from the gradients; with Nesterov's look ahead."""
        assert closure is None
        for group in self.param_groups:
            # (weight, change) by shape, all of them lying: a tall matrix is computed with the wide ones.
            same: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
            for weight in group["params"]:
                if weight.grad is not None:
                    change = self._looking_ahead(weight, weight.grad, group["momentum"]).float()
                    lying = (weight, change) if weight.shape[0] <= weight.shape[1] else (weight.mT, change.mT)
                    same[lying[0].shape].append(lying)
            for shape, pairs in same.items():
                length = group["lr"] * 0.2 * max(shape) ** 0.5
                changes = self.orthogonalised(torch.stack([change for _, change in pairs]))  # (N, *shape)
                for (weight, _), change in zip(pairs, changes, strict=True):
                    weight.mul_(1 - group["lr"] * group["weight_decay"]).sub_(change, alpha=length)

    def _looking_ahead(self, weight: Tensor, gradient: Tensor, momentum: float) -> Tensor:
        """Nesterov's mean of a gradient and those before it; the momentum takes the gradient in."""
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        state["momentum"].lerp_(gradient, 1 - momentum)
        return gradient.lerp(state["momentum"], momentum)
