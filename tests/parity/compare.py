"""What parity means: torch's logits against an engine's.

Tolerance, as in FORMAT.md: 1e-3 * max(standard deviation of the logits, 0.1). f32 against f64 on random Llamas differs
by up to 4e-4 of the standard deviation, so a correct engine stays within it and a wrong one does not.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

DEVICES = ["cpu", "gpu"]
Logits = Callable[..., np.ndarray]  # (model, ids, device, chunk=None, cache="f32") -> (T, V)


def tolerance(logits: np.ndarray) -> float:
    """The largest difference that counts as rounding."""
    return float(1e-3 * max(logits.std(), 0.1))


def nmse(got: np.ndarray, expected: np.ndarray) -> float:
    """Squared error over squared logits."""
    error, power = ((rows.astype(np.float64) ** 2).sum() for rows in (got - expected, expected))
    return float(error / power)


def margin(row: np.ndarray) -> float:
    """How far the largest logit is above the next."""
    ordered = np.sort(row)
    return float(ordered[-1] - ordered[-2])


def assert_parity(name: str, got: np.ndarray, expected: np.ndarray, exact: Callable[[], np.ndarray]) -> None:
    """No logit differs by more than the tolerance, and top-1 agrees everywhere.

    got, expected: (T, V), f32; exact: gives (T, V) in f64. Two logits closer than rounding have no order: where top-1
    differs, the position must be such a tie in f64, and is reported.
    """
    assert got.shape == expected.shape
    difference = np.abs(got - expected)
    t, v = np.unravel_index(difference.argmax(), difference.shape)
    worst = f"{name}: largest difference at [{t}, {v}]: expected {expected[t, v]}, got {got[t, v]}"
    assert difference[t, v] <= tolerance(expected), worst
    disagree = np.flatnonzero(got.argmax(1) != expected.argmax(1))
    if disagree.size:
        rows = exact()
        for t in disagree:
            assert margin(rows[t]) < 2 * difference.max(), f"{name}: top-1 differs at {t}, margin {margin(rows[t])}"
            print(f"{name}: tie at position {t}, f64 margin {margin(rows[t]):.2e}")


def assert_greedy(name: str, got: np.ndarray, exact: np.ndarray, tokens: list[int]) -> None:
    """Each row's largest logit is the token, unless the f64 margin is below twice the largest difference (reported)."""
    slack = 2 * float(np.abs(got - exact).max())
    for step, (row, exact_row, token) in enumerate(zip(got, exact, tokens, strict=True)):
        if row.argmax() != token:
            gap = margin(exact_row)
            assert gap < slack, f"{name}: token {step} is {row.argmax()}, torch has {token}, margin {gap}"
            print(f"{name}: greedy tie at token {step}, f64 margin {gap:.2e} < {slack:.2e}")
