"""Chats and an imported model in, token shards out, whose loss masks say which tokens are learnt: the answers.

Writes OUT/shards/ as training/shards.py does. A chat is a document (training/data/conversations.py).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from training import command, imported
from training.chat import Messages
from training.data import chat_tokens, documents
from training.data.conversations import of_text
from training.data.shard_file import MASKED_VERSION, open_split
from training.imported import Imported
from training.shards import SHARD_TOKENS, Encoded, token_type, write_encoded
from training.tokenizer_file import separator_of


def write(
    directory: Path,
    split: str,
    chats: Iterable[tuple[str, Messages]],
    model: Imported,
    shard_tokens: int = SHARD_TOKENS,
) -> tuple[int, int]:
    """Write a split's shards of chats, (name, messages) each. A chat whose first answer is not within the model's
    context is left out with a word. Returns (tokens, UTF-8 bytes of the answers).

    Raises ValueError where the model has no chat template, the template cannot be used, or no chat is left.
    """
    counts = write_encoded(directory, split, _encoded(chats, model), model.tokenizer, shard_tokens, MASKED_VERSION)
    if not counts[0]:
        raise ValueError(f"{split}: no chat is left to make shards of")
    return counts


def _encoded(chats: Iterable[tuple[str, Messages]], model: Imported) -> Iterator[Encoded]:
    template = model.template()
    if template is None:
        raise ValueError("the imported model has no chat template; set data.chat_column= and give it text to learn")
    tokenizer, ctx_len = model.tokenizer, model.config["ctx_len"]
    special = set(tokenizer.special_tokens.values())
    for name, messages in chats:
        try:
            chat = chat_tokens.encode(messages, template, tokenizer, model.stop_ids, ctx_len)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        if not chat.n_answers:
            command.say(f"{name}: left out, no answer ends within the {ctx_len} positions of the context")
            continue
        learnt = [token for token, is_learnt in zip(chat.ids, chat.learnt, strict=True) if is_learnt]
        nbytes = sum(len(tokenizer.token_bytes(token)) for token in learnt if token not in special)
        ids = np.array([separator_of(tokenizer), *chat.ids], token_type(tokenizer))
        yield Encoded(ids, np.zeros(1, np.int64), np.array([0, nbytes]), bytes([0, *chat.learnt]))


def main(arguments: argparse.Namespace) -> None:
    """The command; it needs no parameters."""
    model = imported.read(arguments.imported, weights=False)
    with command.publishing(arguments.out) as temporary:
        directory = temporary / "shards"
        directory.mkdir()
        for split in documents.splits_of(arguments.corpus):
            texts = documents.read(arguments.corpus, split, model.tokenizer.safe_cut)
            chats = ((each.name, of_text("".join(parts), each.name)) for each, parts in texts)
            n_tokens, nbytes = write(directory, split, chats, model)
            stream = open_split(directory, split, every_byte=False)
            command.say(f"{split}: {stream.n_documents:,} chats, {n_tokens:,} tokens, {nbytes:,} bytes of answers")


if __name__ == "__main__":
    arguments = command.parser("chat_shards", "Tokenise chats into shards.", params=False)
    arguments.add_argument("--corpus", type=Path, required=True, metavar="DIR", help="the corpus folder")
    arguments.add_argument("--imported", type=Path, required=True, metavar="DIR", help="what import_model wrote")
    sys.exit(command.run(main, arguments))
