"""How much of a figure in bits per byte is chance of the text: an interval, by drawing its documents again.

What is drawn must be independent of the rest, so it is whole documents; where those are few, as of two plays, their
scenes or chapters; where there are none, passages. Windows of a context's length would not do: within a scene they are
alike, and the interval would come out too narrow.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
LEAST_UNITS = 20  # with fewer a resample says little
PASSAGE_NBYTES = 4096  # a page or two; less in a text so short that fewer than LEAST_UNITS would come of it
_HEADING = re.compile(
    rb"^(?:SCENE|PROLOGUE|EPILOGUE|CHAPTER|Chapter)\b", re.MULTILINE
)  # as training/data/clean.py has it


class Units(NamedTuple):
    """What a text is parted into."""

    kind: str  # "documents", "scenes" (or chapters) or "passages"
    borders: NDArray[np.int64]  # (units + 1,): the first token of each, and the end of the last


def units_of(text: bytes, documents: NDArray[np.int64], nbytes: NDArray[np.int64]) -> Units:
    """The units of a split. text: of its documents, one after the other, or its end alone, where it is long; documents:
    their first tokens, and the end of the last; nbytes: how many bytes of text each token stands for, (tokens,).
    """
    if len(documents) > LEAST_UNITS:
        return Units("documents", documents)
    ends = np.cumsum(nbytes)  # (tokens,): bytes of text up to each token, itself included
    missing = int(ends[-1]) - len(text)  # bytes before the part of the text that is there
    headings = [found.start() + missing for found in _HEADING.finditer(text)]
    scenes, passages = (
        _parted(np.array(places, np.int64), documents, ends)
        for places in (headings, range(0, int(ends[-1]), max(1, min(PASSAGE_NBYTES, int(ends[-1]) // LEAST_UNITS))))
    )
    return Units("scenes", scenes) if len(scenes) > LEAST_UNITS else Units("passages", passages)


def _parted(places: NDArray[np.int64], documents: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """The borders of documents, and the tokens that hold these bytes of the text."""
    first = np.searchsorted(ends, places, side="right")
    return np.union1d(documents, first[~np.isin(first - 1, documents)])  # a document begins with its separator


def interval(nats: NDArray[np.float64], nbytes: NDArray[np.int64]) -> tuple[float, float]:
    """What 95 % of the bits per byte lie between that come out of as many units, drawn again from these with
    repetition. nats, nbytes: (units,), of what was scored of each.

    Source: Efron 1979, "Bootstrap methods", Annals of Statistics 7(1).
    """
    random = np.random.default_rng(1)
    found = np.empty(RESAMPLES)
    for index in range(RESAMPLES):  # one at a time: of many documents all of them would fill the memory
        drawn = random.integers(len(nats), size=len(nats))
        found[index] = nats[drawn].sum() / np.log(2) / nbytes[drawn].sum()
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)
