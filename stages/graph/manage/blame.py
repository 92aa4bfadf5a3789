"""`doit blame METRIC`: which component of the key moved a metric, over all stored results of a stage.

Two results that differ in one component show its effect. What differs only together with something else is
confounded, and said to be so: no effect is made up for it. Components that part the results in the same way (the
sources of one edit, a version of two tools) cannot be told apart; they are one factor, named after all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from statistics import fmean, median
from typing import Any

from ..keep.receipt import Receipt
from ..read.digest import canonical
from .results import Leaf, Results

MATTERS, NOISE, UNKNOWN, CONFOUNDED = "matters", "within the noise", "no noise to compare with", "confounded"
NO_EFFECT = "no effect"


@dataclass
class Change:
    """One step of one factor, by every pair of results that differ in nothing else."""

    old: Any  # the value, or a tuple of the values of all leaves of a factor
    new: Any
    effects: list[float] = field(default_factory=list)  # the metric of the new result less that of the old one

    @property
    def mean(self) -> float:
        """Of all pairs."""
        return fmean(self.effects)


@dataclass
class Factor:
    """Components that always change together in the results; most often one."""

    leaves: list[Leaf]
    values: list[int]  # of each result: which of its values
    changes: list[Change] = field(default_factory=list)
    # Where it never changes alone: the smallest sets of other factors that change with it, the commonest first.
    company: list[list[Factor]] = field(default_factory=list)
    verdict: str = UNKNOWN
    is_noise: bool = False  # the project says that it should decide nothing

    @property
    def parts(self) -> list[str]:
        """Its components as people call them, each once: the same source may be one of several stages."""
        return list(dict.fromkeys(leaf.name if leaf.kind == "source" else leaf.text() for leaf in self.leaves))

    @property
    def name(self) -> str:
        """All its components."""
        return " + ".join(self.parts)

    @property
    def typical(self) -> float:
        """The median size of its effects."""
        return median(abs(effect) for change in self.changes for effect in change.effects)

    @property
    def largest(self) -> float:
        """The largest size of its effects."""
        return max(abs(effect) for change in self.changes for effect in change.effects)


@dataclass
class Blame:
    """What moved a metric."""

    metric: str
    results: int  # that have it
    factors: list[Factor]  # those that vary: what matters first, the confounded ones last
    noise: float | None  # the largest size of an effect of what should decide nothing; None where nothing showed one
    pairs: int  # of results that differ in one factor

    def as_json(self) -> dict[str, Any]:
        """{metric, results, pairs, noise, factors: [{name, verdict, changes, confounded_with}]}."""
        return {
            "metric": self.metric,
            "results": self.results,
            "pairs": self.pairs,
            "noise": self.noise,
            "factors": [
                {
                    "name": factor.name,
                    "components": [leaf._asdict() for leaf in factor.leaves],
                    "verdict": factor.verdict,
                    "changes": [
                        {"old": each.old, "new": each.new, "mean": each.mean, "effects": each.effects}
                        for each in factor.changes
                    ],
                    "confounded_with": [[other.name for other in group] for group in factor.company],
                }
                for factor in self.factors
            ],
        }


def blame(results: Results, receipts: Sequence[Receipt], metric: str, noise: Collection[str] = ()) -> Blame:
    """Look for what moved `metric` among these results. noise: parameters that should decide nothing, such as a seed:
    an effect that is no larger than theirs is none.
    """
    measured = [(receipt, value) for receipt in receipts if (value := results.metrics(receipt).get(metric)) is not None]
    measured.reverse()  # the oldest first: where values have no order, a change goes from what was there first
    factors = _factors(results, [receipt for receipt, _ in measured], noise)
    company: dict[int, dict[tuple[int, ...], int]] = {}
    changes: dict[tuple[int, int, int], Change] = {}
    recipes = [results.recipe(receipt) for receipt, _ in measured]
    rows = list(zip(*(factor.values for factor in factors))) if factors else []
    pairs = 0
    for one, two in combinations(range(len(rows)), 2):
        apart = [at for at, (a, b) in enumerate(zip(rows[one], rows[two])) if a != b]
        if len(apart) != 1:
            for at in apart:
                others = tuple(each for each in apart if each != at)
                seen = company.setdefault(at, {})
                seen[others] = seen.get(others, 0) + 1
            continue
        pairs += 1
        factor = factors[apart[0]]
        old, new = (_value(factor, recipes[at]) for at in (one, two))
        backwards = old > new if _numbers(old, new) else factor.values[one] > factor.values[two]
        first, second = (two, one) if backwards else (one, two)
        step = (apart[0], factor.values[first], factor.values[second])
        if step not in changes:
            changes[step] = Change(_value(factor, recipes[first]), _value(factor, recipes[second]))
            factor.changes.append(changes[step])
        changes[step].effects.append(measured[second][1] - measured[first][1])
    for at, factor in enumerate(factors):
        factor.changes.sort(key=lambda change: -abs(change.mean))
        if not factor.changes:
            found = company.get(at, {})
            fewest = min(map(len, found), default=0)
            sets = sorted((each for each in found if len(each) == fewest), key=lambda each: -found[each])
            factor.company = [[factors[other] for other in group] for group in sets]
    level = _judge(factors)
    order = {MATTERS: 0, UNKNOWN: 1, NOISE: 2, NO_EFFECT: 3, CONFOUNDED: 4}
    factors.sort(key=lambda each: (order[each.verdict], -each.typical if each.changes else 0.0, each.name))
    return Blame(metric, len(measured), factors, level, pairs)


def _factors(results: Results, receipts: Sequence[Receipt], noise: Collection[str]) -> list[Factor]:
    """The leaves that vary, those that part the results alike together."""
    recipes = [results.recipe(receipt) for receipt in receipts]
    leaves = dict.fromkeys(leaf for recipe in recipes for leaf in sorted(recipe))
    by_values: dict[tuple[int, ...], Factor] = {}
    for leaf in leaves:
        numbers: dict[bytes, int] = {}
        values = tuple(numbers.setdefault(canonical(recipe.get(leaf)), len(numbers)) for recipe in recipes)
        if len(numbers) > 1:
            by_values.setdefault(values, Factor([], list(values))).leaves.append(leaf)
    for factor in by_values.values():
        factor.is_noise = all(leaf.kind == "parameter" and leaf.name in noise for leaf in factor.leaves)
    return list(by_values.values())


def _judge(factors: Sequence[Factor]) -> float | None:
    """Set the verdict of each factor; returns the size of the noise. Two parameters that always change together are
    confounded with each other, whatever else is the same; the sources of one edit are one change.
    """
    shown = [factor.largest for factor in factors if factor.is_noise and factor.changes]
    level = max(shown, default=None)
    for factor in factors:
        kinds = {leaf.name if leaf.kind == "parameter" else leaf.kind for leaf in factor.leaves}
        if not factor.changes or len(kinds) > 1:
            factor.verdict = CONFOUNDED
        elif factor.largest == 0:
            factor.verdict = NO_EFFECT
        elif factor.is_noise:
            factor.verdict = NOISE
        elif level is None:
            factor.verdict = UNKNOWN
        else:
            factor.verdict = MATTERS if factor.typical > level else NOISE
    return level


def _value(factor: Factor, recipe: dict[Leaf, Any]) -> Any:
    values = [recipe.get(leaf) for leaf in factor.leaves]
    return values[0] if all(value == values[0] for value in values) else tuple(values)


def _numbers(*values: Any) -> bool:
    return all(isinstance(each, int | float) and not isinstance(each, bool) for each in values)
