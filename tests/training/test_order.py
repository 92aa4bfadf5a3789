"""The order that is computed: every place once, and no pattern in it."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data import order as orders
from training.data.order import Shuffle


def shuffle(n: int, *seed: int) -> Shuffle:
    return Shuffle(n, np.random.Generator(np.random.PCG64([n, *seed])))


@given(st.integers(1, 3000), st.integers(0, 1 << 40))
def test_every_number_comes_once(n: int, seed: int) -> None:
    order = shuffle(n, seed)
    assert sorted(order[place] for place in range(n)) == list(range(n))


@pytest.mark.parametrize("n", [1 << 40, (1 << 40) + 1, 10**12 - 1])
def test_any_number_of_things(n: int) -> None:
    order = shuffle(n)
    near = [order[place] for place in range(2000)]
    assert len(set(near)) == 2000 and all(0 <= each < n for each in near)
    assert np.corrcoef(near[:-1], near[1:])[0, 1] == pytest.approx(0, abs=0.1)


def chi_square(counts: Counter[tuple[int, ...]], cells: int, freedom: int) -> float:
    """Against equal chances, as standard deviations from what chance gives; of many cells that is nearly normal."""
    expected = sum(counts.values()) / cells
    value = sum((count - expected) ** 2 for count in counts.values()) / expected + expected * (cells - len(counts))
    return (value - freedom) / (2 * freedom) ** 0.5


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_all_orders_of_a_few_are_as_likely(n: int) -> None:
    cells = math.factorial(n)
    got = Counter(tuple(order[place] for place in range(n)) for order in (shuffle(n, seed) for seed in range(6000)))
    assert abs(chi_square(got, cells, cells - 1)) < 5


@pytest.mark.parametrize("n", [16, 112, 272, 2000])
def test_each_comes_at_each_place_as_often(n: int) -> None:
    """Sixteenths of the places against sixteenths of the things; and how far apart two are that follow one another."""
    places: Counter[tuple[int, ...]] = Counter()
    steps: Counter[tuple[int, ...]] = Counter()
    for seed in range(300):
        order = shuffle(n, seed)
        got = [order[place] for place in range(n)]
        places.update((place * 16 // n, value * 16 // n) for place, value in enumerate(got))
        steps.update(((b - a) % n,) for a, b in itertools.pairwise(got))
    assert abs(chi_square(places, 256, 225)) < 5
    assert (0,) not in steps
    assert abs(chi_square(steps, n - 1, n - 2)) < 5


@pytest.mark.parametrize("n", [1, 2, 1000])
def test_the_order_of_few_is_drawn_and_that_of_many_computed(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for most in (n, n - 1):
        monkeypatch.setattr(orders, "MOST_KEPT", most)
        got = orders.shuffled(n, np.random.Generator(np.random.PCG64(n)))
        assert isinstance(got, Shuffle) == (most < n)
        assert sorted(int(got[place]) for place in range(n)) == list(range(n))
