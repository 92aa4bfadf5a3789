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
from training.data.shard_file import MASKED_VERSION, name_of, open_split
from training.data.shard_writer import Encoded, token_type, write_encoded
from training.imported import Imported
from training.tokenizer_file import separator_of


def write(
    directory: Path,
    split: str,
    chats: Iterable[tuple[str, Messages]],
    model: Imported,
    number: int = 0,
) -> bool:
    """Write a shard of chats, (name, messages) each. A chat whose first answer is not within the model's context is
    left out with a word. Returns whether one is left; else there is no shard.

    Raises ValueError where the model has no chat template, or the template cannot be used.
    """
    path = directory / name_of(split, number)
    return write_encoded(path, _encoded(chats, model), model.tokenizer, MASKED_VERSION)[0] > 0


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
        numbers = dict.fromkeys(documents.SPLITS, 0)
        for piece in documents.pieces(arguments.corpus):
            texts = documents.read_piece(arguments.corpus, piece, model.tokenizer.safe_cut)
            chats = ((each.name, of_text("".join(parts), each.name)) for each, parts in texts)
            number = numbers.setdefault(piece.split, 0)
            numbers[piece.split] += write(directory, piece.split, chats, model, number)
        for split, number in numbers.items():
            if not number:
                raise ValueError(f"{split}: no chat is left to make shards of")
            stream = open_split(directory, split, every_byte=False)
            command.say(
                f"{split}: {stream.n_documents:,} chats, {stream.n_tokens:,} tokens, "
                f"{stream.text_nbytes:,} bytes of answers"
            )


if __name__ == "__main__":
    arguments = command.parser("chat_shards", "Tokenise chats into shards.", params=False)
    arguments.add_argument("--corpus", type=Path, required=True, metavar="DIR", help="the corpus folder")
    arguments.add_argument("--imported", type=Path, required=True, metavar="DIR", help="what import_model wrote")
    sys.exit(command.run(main, arguments))
