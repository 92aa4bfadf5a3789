"""The loss of the last layer's output, without the logits of a whole batch where they are many.

Letters of shapes: N positions, C = d_model, V = vocab_size.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

MOST_LOGITS = 1 << 25  # at a time, 128 MiB; chosen by measurement (training/LOG.md)


def logits_of(x: Tensor, head: Tensor, cap: float | None) -> Tensor:
    """x: (..., C); head: (V, C). Returns (..., V), between -cap and cap where that is given."""
    logits = F.linear(x, head)
    return logits if cap is None else cap * torch.tanh(logits / cap)


def cross_entropy(x: Tensor, head: Tensor, targets: Tensor, cap: float | None = None) -> Tensor:
    """Mean cross entropy in nats, (). x: (N, C); head: (V, C); targets: (N,) int64. More than MOST_LOGITS logits are
    computed a block of positions after the other.
    """
    if len(x) * len(head) > MOST_LOGITS:
        return cast(Tensor, _ByBlocks.apply(x, head, targets, cap, max(1, MOST_LOGITS // len(head))))
    return F.cross_entropy(logits_of(x, head, cap).float(), targets)


class _ByBlocks(torch.autograd.Function):
    """Each block's part of the gradient is computed beside its logits, which are forgotten then; backward scales it.

    F.linear_cross_entropy does so too, but knows no cap and no autocast. Source: Hsu et al. 2024, arXiv:2410.10989.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, head: Tensor, targets: Tensor, cap: float | None, rows: int) -> Tensor:
        """rows: of a block."""
        total = torch.zeros((), device=x.device)
        to_x, to_head = torch.empty_like(x), torch.zeros_like(head) if ctx.needs_input_grad[1] else None
        kind = x.device.type
        narrow = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else head.dtype  # of products
        for begin in range(0, len(x), rows):
            block, wanted = x[begin : begin + rows], targets[begin : begin + rows, None]  # (R, C), (R, 1)
            logits = logits_of(block, head, cap).float()  # (R, V)
            shares = logits.log_softmax(-1)
            total -= shares.gather(-1, wanted).sum()
            change = shares.exp_().scatter_add_(-1, wanted, torch.full(wanted.shape, -1.0, device=x.device))  # (R, V)
            if cap is not None:
                change *= 1 - (logits / cap).square_()
            change = change.to(narrow)
            to_x[begin : begin + rows] = change @ head.to(narrow)
            if to_head is not None and narrow == head.dtype:
                to_head.addmm_(change.mT, block)
            elif to_head is not None:
                to_head += change.mT @ block.to(narrow)
        ctx.save_for_backward(to_x, to_head)
        ctx.n = len(x)
        return total / len(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None, None, None]:
        """gradient: ()."""
        to_x, to_head = ctx.saved_tensors
        scale = gradient / ctx.n
        return to_x.mul_(scale), None if to_head is None else to_head.mul_(scale), None, None, None
