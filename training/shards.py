"""Documents in, token shards out (training/data/shard_file.py has their layout).

Writes OUT/shards/{train,val,test}-00000.tokens, ... A shard holds whole documents, each one after a separator
token. (Those of chats: training/chat_shards.py.)
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pocketlm_tokenizer import Tokenizer

from training import command
from training.data import documents
from training.data.shard_file import HEADER, HEADER_NBYTES, MAGIC, MASKED_VERSION, VERSION, open_split
from training.tokenizer_file import load as load_tokenizer
from training.tokenizer_file import separator_of

SHARD_TOKENS = 1 << 27  # a shard is closed by the document that reaches this (256 MiB as u16)


class Piece(NamedTuple):
    """A part of a document, encoded."""

    tokens: bytes  # of 2 or 4 bytes each, little-endian
    text_nbytes: int  # UTF-8 bytes of what is learnt of it
    learnt: bytes = b""  # the loss mask, a byte a token; empty where every token is learnt


def write(
    directory: Path, split: str, texts: Iterable[Iterable[str]], tokenizer: Tokenizer, shard_tokens: int = SHARD_TOKENS
) -> tuple[int, int]:
    """Write a split's shards. A text is given in parts, cut between words; one part's tokens are in memory at a time.
    Returns (tokens, UTF-8 bytes of text).
    """
    encode = tokenizer.encode_u16 if token_nbytes(tokenizer) == 2 else tokenizer.encode_u32
    pieces = ((Piece(encode(part, threads=None), len(part.encode())) for part in parts) for parts in texts)
    return write_encoded(directory, split, pieces, tokenizer, shard_tokens, VERSION)


def token_nbytes(tokenizer: Tokenizer) -> int:
    """The width of a token in a shard."""
    return 2 if tokenizer.vocab_size <= 1 << 16 else 4


def write_encoded(
    directory: Path,
    split: str,
    encoded: Iterable[Iterable[Piece]],
    tokenizer: Tokenizer,
    shard_tokens: int,
    version: int,
) -> tuple[int, int]:
    """Write the shards of encoded documents. version: of the file; MASKED_VERSION where the pieces have loss masks.
    Returns (tokens, bytes of text).
    """
    n_tokens = text_nbytes = 0
    iterator = iter(encoded)
    document = next(iterator, None)
    index = 0
    while document is not None:
        path = directory / f"{split}-{index:05}.tokens"
        tokens, nbytes, document = _write_shard(path, document, iterator, tokenizer, shard_tokens, version)
        n_tokens, text_nbytes, index = n_tokens + tokens, text_nbytes + nbytes, index + 1
    return n_tokens, text_nbytes


def _write_shard(
    path: Path,
    document: Iterable[Piece] | None,
    rest: Iterator[Iterable[Piece]],
    tokenizer: Tokenizer,
    shard_tokens: int,
    version: int,
) -> tuple[int, int, Iterable[Piece] | None]:
    """One shard, from `document` and then `rest`. Returns (tokens, text bytes, the first document that did not go
    in)."""
    width, separator_id = token_nbytes(tokenizer), separator_of(tokenizer)
    separator = Piece(separator_id.to_bytes(width, "little"), 0, b"\0")
    starts: list[int] = []
    mask = bytearray()
    n_tokens = text_nbytes = 0
    digest = hashlib.sha256()
    with path.open("wb") as shard:
        shard.write(bytes(HEADER_NBYTES))
        while document is not None and n_tokens < shard_tokens:
            starts.append(n_tokens)
            for piece in itertools.chain([separator], document):
                n_tokens += len(piece.tokens) // width
                text_nbytes += piece.text_nbytes
                shard.write(piece.tokens)
                digest.update(piece.tokens)
                if version == MASKED_VERSION:
                    mask += piece.learnt
            document = next(rest, None)
        tail = bytes(-shard.tell() % 8) + np.array(starts, "<u8").tobytes() + bytes(mask)
        shard.write(tail)
        digest.update(tail)
        header = HEADER.pack(
            MAGIC,
            version,
            width,
            n_tokens,
            len(starts),
            text_nbytes,
            tokenizer.vocab_size,
            separator_id,
            hashlib.sha256(tokenizer.to_bytes()).digest(),
            digest.digest(),
        )
        shard.seek(0)
        shard.write(header + hashlib.sha256(header).digest()[:16])
    return n_tokens, text_nbytes, document


def main(arguments: argparse.Namespace) -> None:
    """The command; it needs no parameters."""
    tokenizer = load_tokenizer(arguments.tokenizer)
    with command.publishing(arguments.out) as temporary:
        directory = temporary / "shards"
        directory.mkdir()
        for split in documents.splits_of(arguments.corpus):
            texts = (parts for _, parts in documents.read(arguments.corpus, split, tokenizer.safe_cut))
            n_tokens, nbytes = write(directory, split, texts, tokenizer)
            command.say(f"{split}: {n_tokens:,} tokens, {nbytes / max(n_tokens, 1):.3f} bytes a token")
            open_split(directory, split)


if __name__ == "__main__":
    arguments = command.parser("shards", "Tokenise the documents into shards.", params=False)
    arguments.add_argument("--corpus", type=Path, required=True, metavar="DIR", help="the corpus folder")
    arguments.add_argument("--tokenizer", type=Path, required=True, metavar="DIR", help="the tokenizer's folder")
    sys.exit(command.run(main, arguments))
