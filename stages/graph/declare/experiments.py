"""Experiments as a project declares them, and the words of `doit exp run` as the choices that they stand for.

`train.lr=1e-3,3e-3 model.n_layer=4,6` is a grid of four choices. A comma inside brackets, braces, parentheses or
double quotes parts nothing, nor does one behind a backslash: `data.sources='["a","b"],["c"]'` has two values.
`train.lr=1e-4..1e-2` is a range, from which a sampler takes what it likes (run/search.py).
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import UsageError
from .stage import Stage

Words = dict[str, str]  # parameter -> its value, as typed

CLOSES = {"[": "]", "{": "}", "(": ")", '"': '"'}
WIDE = 10  # from where on a range is looked at by the logarithm: its upper end over its lower
_NUMBER = r"[+-]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})")


@dataclass(frozen=True)
class Experiments:
    """What a project says of its experiments."""

    stage: str  # whose results are compared: `doit exp run` builds it, `doit exp show` has a row for each
    # The stages of a choice: the words are added to those of the command line. Raises ValueError for bad ones.
    variant: Callable[[Mapping[str, str]], Sequence[Stage]]
    smoke: Mapping[str, str] = field(default_factory=dict)  # words that make a run short enough to try first
    # Parameters that should decide nothing, such as a seed: what they move a metric by is noise.
    noise: Sequence[str] = ()


@dataclass(frozen=True)
class Range:
    """All numbers between two, both included."""

    low: float
    high: float
    whole: bool  # whole numbers alone

    @property
    def log(self) -> bool:
        """Whether a factor counts, and not a difference."""
        return self.low > 0 and self.high > WIDE * self.low

    def text(self, number: float) -> str:
        """A number of it as a word of the command line."""
        return str(int(number)) if self.whole else repr(float(number))

    def __str__(self) -> str:
        kind = ["whole numbers"] * self.whole + ["by the logarithm"] * self.log
        return ", ".join([f"{self.low:.6g} to {self.high:.6g}", *kind])


def split_values(name: str, text: str) -> list[str]:
    """The values of one word, each once. Raises UsageError for an empty one, or a bracket that is not closed."""
    values, value, open_now, letters = [], "", list[str](), iter(text)
    for letter in letters:
        if letter == "," and not open_now:
            values.append(value)
            value = ""
        elif letter == "\\":
            after = next(letters, "")
            value += after if after == "," and not open_now else letter + after
        else:
            value += letter
            if open_now and letter == open_now[-1]:
                open_now.pop()
            elif letter in CLOSES and open_now[-1:] != ['"']:
                open_now.append(CLOSES[letter])
    if open_now:
        raise UsageError(f"{name}={text}: {open_now[-1]} is missing; in a shell, put the word in single quotes")
    values.append(value)
    if len(values) > 1 and "" in values:
        raise UsageError(f"{name}={text}: a value between the commas is empty")
    return list(dict.fromkeys(values))


def axes_of(words: Mapping[str, str]) -> dict[str, list[str] | Range]:
    """The words that have several values, with them, and those that have a range."""
    found: dict[str, list[str] | Range] = {}
    for name, text in words.items():
        values = split_values(name, text)
        if len(values) == 1 and (ends := _RANGE.fullmatch(values[0])):
            found[name] = _range(name, *ends.groups())
        elif len(values) > 1:
            found[name] = values
    return found


def _range(name: str, low: str, high: str) -> Range:
    if not float(low) < float(high):
        raise UsageError(f"{name}={low}..{high}: the lower end comes first")
    return Range(float(low), float(high), whole=all(re.fullmatch(r"[+-]?\d+", end) for end in (low, high)))


def grid(axes: Mapping[str, Sequence[str]], sample: int | None = None, seed: int = 0) -> list[Words]:
    """Every combination, the last axis fastest; or `sample` of them in that order, drawn by the seed."""
    total = 1
    for values in axes.values():
        total *= len(values)
    if sample is None or sample >= total:
        return [dict(zip(axes, values)) for values in itertools.product(*axes.values())]
    draw, drawn = random.Random(seed), set[int]()
    while len(drawn) < sample:  # so a larger sample of the same seed holds the smaller one
        drawn.add(draw.randrange(total))
    found = []
    for number in sorted(drawn):
        words, rest = {}, number
        for name in reversed(list(axes)):
            rest, place = divmod(rest, len(axes[name]))
            words[name] = axes[name][place]
        found.append({name: words[name] for name in axes})
    return found


def words_text(words: Mapping[str, str]) -> str:
    """`train.lr=1e-3 model.n_layer=4`."""
    return " ".join(f"{name}={value}" for name, value in words.items()) or "(as it stands)"
