"""The words of a piece of the corpus, counted apart from the others: counts of pieces add up to those of the whole."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from pocketlm_tokenizer import WordCounts, safe_cut

from training.data import documents
from training.data.documents import Piece


@dataclass(frozen=True)
class CountWords:
    """A function that can be sent to another process."""

    corpus: Path
    split: str  # the tokenizer's

    def __call__(self, piece: Piece) -> list[tuple[bytes, int]]:
        """The distinct words, and how often each occurs."""
        counts = WordCounts(self.split)
        texts = documents.read_piece(self.corpus, piece, functools.partial(safe_cut, split=self.split))
        counts.add(part for _, parts in texts for part in parts)
        return counts.items()
