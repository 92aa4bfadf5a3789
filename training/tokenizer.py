"""Training documents in, a byte-level BPE tokenizer out.

Writes OUT/tokenizer.json  the form that Hugging Face's tools read
       OUT/tokenizer.tok   our own flat form (rust/tokenizer/FORMAT.md), which goes into model.bin
The work is done in Rust (rust/tokenizer), through the module pocketlm_tokenizer. With data.engine="ray" the words are
counted piece by piece by the workers of a cluster, and merged here: the counts add up to the same.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import sys
from pathlib import Path

from pocketlm_tokenizer import Tokenizer, WordCounts, safe_cut

from training import command
from training.config.engine import Engine, engine_of
from training.config.section import read
from training.config.tokenizer import Tokenizer as Settings
from training.data import documents, on_ray
from training.data.word_counts import CountWords
from training.tokenizer_file import FLAT_NAME, JSON_NAME


def build(settings: Settings, corpus_dir: Path, engine: Engine | None = None) -> Tokenizer:
    """Learn the merges from the training documents alone: what the validation text holds must stay unknown.

    engine: what counts the words (None: this process). Raises ValueError where there is no training document.
    """
    limits = {
        "vocab_size": settings.vocab_size,
        "special_tokens": list(settings.special_tokens),
        "min_frequency": settings.min_frequency,
        "max_token_length": settings.max_token_length or None,
    }
    if engine is not None and engine.engine == "ray":
        return Tokenizer.train_from_counts(_counted(settings.split, corpus_dir, engine.ray_address), **limits)
    between_words = functools.partial(safe_cut, split=settings.split)
    texts = (part for _, parts in documents.read(corpus_dir, "train", between_words) for part in parts)
    first = next(texts, None)
    if first is None:
        raise ValueError(_nothing(corpus_dir))
    return Tokenizer.train(itertools.chain([first], texts), split=settings.split, **limits)


def _nothing(corpus_dir: Path) -> str:
    return f"{corpus_dir}: no training documents"


def _counted(split: str, corpus_dir: Path, address: str) -> WordCounts:
    """The words of the training documents, counted by a Ray cluster. A piece's words are in memory at a time, and all
    distinct ones.
    """
    pieces = [piece for piece in documents.pieces(corpus_dir) if piece.split == "train"]
    if not pieces:
        raise ValueError(_nothing(corpus_dir))
    counts = WordCounts(split)
    for items in on_ray.over(CountWords(corpus_dir.resolve(), split), pieces, address, "pieces counted"):
        counts.add_items(items)
    return counts


def main(arguments: argparse.Namespace) -> None:
    """The command."""
    params = command.params_of(arguments)
    settings = read(params, Settings)
    tokenizer = build(settings, arguments.corpus, engine_of(params))
    with command.publishing(arguments.out) as temporary:
        (temporary / JSON_NAME).write_text(tokenizer.to_hf_json(), encoding="utf-8")
        (temporary / FLAT_NAME).write_bytes(tokenizer.to_bytes())
    short = (
        f" (asked for {settings.vocab_size}: the corpus has no more pairs)"
        if tokenizer.vocab_size < settings.vocab_size
        else ""
    )
    command.say(f"vocabulary: {tokenizer.vocab_size} tokens{short}")


if __name__ == "__main__":
    arguments = command.parser("tokenizer", "Train the tokenizer on the training documents.")
    arguments.add_argument("--corpus", type=Path, required=True, metavar="DIR", help="the corpus folder")
    sys.exit(command.run(main, arguments))
