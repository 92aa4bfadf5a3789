"""Training documents in, a byte-level BPE tokenizer out.

Writes OUT/tokenizer.json  the form that Hugging Face's tools read
       OUT/tokenizer.tok   our own flat form (rust/tokenizer/FORMAT.md), which goes into model.bin
The work is done in Rust (rust/tokenizer), through the module pocketlm_tokenizer.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import sys
from pathlib import Path

from pocketlm_tokenizer import Tokenizer, safe_cut

from training import command
from training.config.section import read
from training.config.tokenizer import Tokenizer as Settings
from training.data import documents
from training.tokenizer_file import FLAT_NAME, JSON_NAME


def build(settings: Settings, corpus_dir: Path) -> Tokenizer:
    """Learn the merges from the training documents alone: what the validation text holds must stay unknown.

    Raises ValueError where there is no training document.
    """
    between_words = functools.partial(safe_cut, split=settings.split)
    texts = (part for _, parts in documents.read(corpus_dir, "train", between_words) for part in parts)
    first = next(texts, None)
    if first is None:
        raise ValueError(f"{corpus_dir}: no training documents")
    return Tokenizer.train(
        itertools.chain([first], texts),
        vocab_size=settings.vocab_size,
        special_tokens=list(settings.special_tokens),
        min_frequency=settings.min_frequency,
        split=settings.split,
        max_token_length=settings.max_token_length or None,
    )


def main(arguments: argparse.Namespace) -> None:
    """The command."""
    settings = read(command.params_of(arguments), Settings)
    tokenizer = build(settings, arguments.corpus)
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
