"""A matrix brought towards the orthogonal one that is nearest to it, in three steps where Newton and Schulz take five.

For Muon(..., orthogonalised=polar_factors): rougher, but as good a step for half the time (training/LOG.md).
Source: Amsel et al. 2025, "The Polar Express", arXiv:2505.16932: for each step the quintic that does best there.
"""

from __future__ import annotations

import torch
from torch import Tensor

COEFFICIENTS = (  # of x, x³ and x⁵ in each step
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
)
MARGIN = 1.02  # singular values begin below 1 by it


def polar_factors(matrices: Tensor) -> Tensor:
    """Matrices with the same singular vectors; singular values of 0.18 to 1.87, the tiny ones apart. (N, out, in) f32.

    The polynomials are worked out on the square of the shorter side, so that a long side is met twice in all.
    """
    x = matrices / (MARGIN * torch.linalg.matrix_norm(matrices, keepdim=True) + 1e-7)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    square = x @ x.mT  # (N, n, n), the Gram matrix of what x has become
    factor = None  # what x has been multiplied by
    for index, (a, b, c) in enumerate(COEFFICIENTS):
        step = torch.baddbmm(square, square, square, beta=b, alpha=c)  # (N, n, n)
        step.diagonal(dim1=-2, dim2=-1).add_(a)
        factor = step if factor is None else step @ factor
        if index + 1 < len(COEFFICIENTS):
            square = step @ square @ step
    assert factor is not None
    x = factor @ x
    return x.mT if tall else x
