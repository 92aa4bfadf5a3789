"""Matrices brought towards the orthogonal ones that are nearest to them, by products alone: for Muon.

Each step applies a polynomial of x, x³ and x⁵ to the singular values, whose vectors it leaves as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat

import torch
from torch import Tensor

Quintic = tuple[float, float, float]  # the coefficients of x, x³ and x⁵

NEWTON_SCHULZ: Quintic = (3.4445, -4.775, 2.0315)  # in each of its steps; Jordan et al. 2024, "Muon"
NEWTON_SCHULZ_STEPS = 5
POLAR: Sequence[Quintic] = (  # Amsel et al. 2025, "The Polar Express", arXiv:2505.16932: for each step what does best
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
)
POLAR_MARGIN = 1.02  # singular values begin below 1 by it
LONG = 1.5  # times as long as wide: from there on the Gram matrix takes fewer products


def newton_schulz(matrices: Tensor) -> Tensor:
    """Singular values of 0.68 to 1.13, the tiny ones apart. matrices: (N, out, in) f32; returns the same shape."""
    norms = torch.linalg.matrix_norm(matrices, keepdim=True)
    return quintics(matrices / (norms + 1e-7), tuple(repeat(NEWTON_SCHULZ, NEWTON_SCHULZ_STEPS)))


def polar_factors(matrices: Tensor) -> Tensor:
    """In three steps instead of five: rougher, singular values of 0.18 to 1.87, but as good a step for half the time
    (training/LOG.md). matrices: (N, out, in) f32; returns the same shape.
    """
    norms = torch.linalg.matrix_norm(matrices, keepdim=True)
    return quintics(matrices / (POLAR_MARGIN * norms + 1e-7), POLAR)


def quintics(x: Tensor, steps: Sequence[Quintic]) -> Tensor:
    """x, (N, out, in), with the polynomials applied to its singular values, one after the other."""
    if x.shape[-2] > x.shape[-1]:
        return quintics(x.mT, steps).mT  # the square of the shorter side is the smaller one
    if x.shape[-1] >= LONG * x.shape[-2]:
        return _by_gram_matrix(x, steps)
    for step in steps:
        x = _factor(x @ x.mT, step) @ x
    return x


def _by_gram_matrix(x: Tensor, steps: Sequence[Quintic]) -> Tensor:
    """The same, where x, (N, n, m), is much longer than wide: a step takes products of (n, n) alone, and the long side
    is met twice in all.
    """
    square = x @ x.mT  # (N, n, n), the Gram matrix of what x has become
    product = None  # (N, n, n), what x has been multiplied by
    for index, step in enumerate(steps):
        factor = _factor(square, step)
        product = factor if product is None else factor @ product
        if index + 1 < len(steps):
            square = factor @ square @ factor
    return x if product is None else product @ x


def _factor(square: Tensor, step: Quintic) -> Tensor:
    """What a step multiplies x by: a + b xxᵀ + c (xxᵀ)². square: xxᵀ, (N, n, n)."""
    a, b, c = step
    factor = torch.baddbmm(square, square, square, beta=b, alpha=c)
    factor.diagonal(dim1=-2, dim2=-1).add_(a)
    return factor
