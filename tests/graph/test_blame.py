"""`doit blame` on planted effects: the learning rate matters, the seed does not, two changes at once are confounded."""

from __future__ import annotations

import json
import random
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import pytest

from stages.graph.manage.blame import CONFOUNDED, MATTERS, NO_EFFECT, NOISE, UNKNOWN, Factor, blame
from stages.graph.manage.results import Leaf
from tests.graph.experiments import TRAIN, Lab


class Planted:
    """Results made up from parameters and a formula; `Results` as far as blame needs it."""

    def __init__(self, rows: list[dict[str, Any]], metric: Any) -> None:
        self.receipts = [{"key": str(at), **row} for at, row in enumerate(rows)][
            ::-1
        ]  # the newest first, as in a store
        self.metric = metric

    def recipe(self, receipt: dict[str, Any]) -> dict[Leaf, Any]:
        kinds = {"torch": "tool", "a.py": "source", "b.py": "source"}
        rest = {name: value for name, value in receipt.items() if name != "key"}
        return {Leaf("train", kinds.get(name, "parameter"), name): value for name, value in rest.items()}

    def metrics(self, receipt: dict[str, Any]) -> dict[str, float]:
        value = self.metric(SimpleNamespace(**receipt))
        return {} if value is None else {"loss": value}

    def factors(self) -> dict[str, Factor]:
        return {factor.name: factor for factor in blame(self, self.receipts, "loss", ("seed",)).factors}  # type: ignore[arg-type]


def rows(**axes: list[Any]) -> list[dict[str, Any]]:
    from itertools import product

    return [dict(zip(axes, values)) for values in product(*axes.values())]


def test_the_learning_rate_matters_and_the_seed_does_not() -> None:
    planted = Planted(rows(lr=[1, 2], seed=[0, 1, 2], depth=[4, 6]), lambda r: 10 - 3 * r.lr + 0.01 * r.seed)
    found = planted.factors()
    assert {name: factor.verdict for name, factor in found.items()} == {
        "lr": MATTERS,
        "seed": NOISE,
        "depth": NO_EFFECT,
    }
    (change,) = found["lr"].changes
    assert (change.old, change.new) == (1, 2) and change.mean == pytest.approx(-3) and len(change.effects) == 6
    assert list(found) == ["lr", "seed", "depth"]


def test_no_larger_than_the_noise() -> None:
    found = Planted(rows(lr=[1, 2], seed=[0, 1]), lambda r: 0.005 * r.lr + 0.01 * r.seed).factors()
    assert found["lr"].verdict == NOISE
    found = Planted(rows(lr=[1, 2]), lambda r: r.lr).factors()
    assert found["lr"].verdict == UNKNOWN


def test_two_changes_at_once_are_confounded() -> None:
    """They part the results alike: one factor of both."""
    found = Planted([{"lr": 1, "depth": 4}, {"lr": 2, "depth": 6}], lambda r: r.lr).factors()
    assert {name: factor.verdict for name, factor in found.items()} == {"depth + lr": CONFOUNDED}


def test_confounded_with_what() -> None:
    """Depth never changes alone, and the learning rate does: two results that differ in it alone tell its effect."""
    planted = Planted(
        [{"lr": 1, "depth": 4, "seed": 0}, {"lr": 2, "depth": 4, "seed": 0}, {"lr": 3, "depth": 6, "seed": 0}],
        lambda r: 10 * r.depth + r.lr,
    )
    found = planted.factors()
    assert found["lr"].verdict == UNKNOWN and found["lr"].changes[0].effects == [1]
    assert found["depth"].verdict == CONFOUNDED
    assert [[other.name for other in group] for group in found["depth"].company] == [["lr"]]


def test_the_sources_of_one_edit_are_one_change_and_a_tool_is_not() -> None:
    edit = [{"a.py": "x", "b.py": "x", "torch": "1"}, {"a.py": "y", "b.py": "y", "torch": "1"}]
    found = Planted(edit, lambda r: len(getattr(r, "a.py")) + (getattr(r, "a.py") == "y")).factors()
    assert found["a.py + b.py"].verdict == UNKNOWN and found["a.py + b.py"].changes[0].effects == [1]
    edit[1]["torch"] = "2"
    assert [factor.verdict for factor in Planted(edit, lambda r: 1.0).factors().values()] == [CONFOUNDED]


def test_results_without_the_metric_do_not_count() -> None:
    planted = Planted(rows(lr=[1, 2, 3]), lambda r: None if r.lr == 2 else r.lr)
    found = blame(planted, planted.receipts, "loss")  # type: ignore[arg-type]
    assert (found.results, found.pairs) == (2, 1)
    assert blame(planted, [], "loss").factors == []  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(8))
def test_against_every_pair_by_hand(seed: int) -> None:
    """Random results of four parameters; each pair that differs in one of them, by a double loop over the rows."""
    chosen = random.Random(seed)
    every = rows(a=[1, 2, 3], b=["x", "y"], seed=[0, 1], d=[True, False])
    some = chosen.sample(every, 12)
    weights = {"a": chosen.random(), "b": chosen.random(), "d": chosen.random()}

    def metric(r: Any) -> float:
        return weights["a"] * r.a + weights["b"] * (r.b == "x") + weights["d"] * r.d + 0.001 * r.seed

    expected: dict[str, list[float]] = {}
    for one, two in combinations(some, 2):
        apart = [name for name in one if one[name] != two[name]]
        if len(apart) == 1:
            effect = metric(SimpleNamespace(**two)) - metric(SimpleNamespace(**one))
            expected.setdefault(apart[0], []).append(abs(effect))
    for name, factor in Planted(some, metric).factors().items():
        effects = sorted(abs(effect) for change in factor.changes for effect in change.effects)
        assert effects == pytest.approx(sorted(expected.get(name, [])))
        for change in factor.changes:
            if name == "a":
                assert change.old < change.new
                assert change.mean == pytest.approx(weights["a"] * (change.new - change.old))


def test_command(lab: Lab) -> None:
    assert lab.doit("exp", "run", "train.lr=1,2", "train.seed=0,1").status == 0
    lab.write("train.py", TRAIN.replace("10 - 2", "9 - 2"))
    lab.doit("train", "train.lr=1", "train.layers=4", "words.least=3")
    result = lab.doit("blame", "loss")
    assert result.status == 0, result.err
    assert "train.lr: matters\n  1 → 2: -2 over 2 pairs" in result.out
    assert "train.seed: within the noise\n  0 → 1: +0.01 over 2 pairs" in result.out
    assert "confounded" in result.out and "the noise, by what should decide nothing: up to 0.01" in result.out
    found = json.loads(lab.doit("blame", "loss", "--json").out)
    (together,) = [each for each in found["factors"] if each["verdict"] == CONFOUNDED]
    assert {each["name"] for each in together["components"]} == {"train.layers", "words.least", "train.py"}
    few = lab.doit("blame", "loss", "--filter", "train.layers==2").out
    assert "confounded" not in few and "of 4 results" in few
    assert lab.doit("blame", "los").err == "doit: no result has a metric los; did you mean loss?\n"
    assert lab.doit("blame").status == 2
