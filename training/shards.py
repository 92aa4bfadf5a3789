"""Documents in, token shards out (training/shard_file.py has their layout).

Writes OUT/shards/{train,val}-00000.tokens, ... A shard holds whole documents, each one after a separator token.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from pocketlm_tokenizer import Tokenizer

from training import command, documents
from training.shard_file import HEADER, HEADER_NBYTES, MAGIC, VERSION, open_split
from training.tokenizer_file import load as load_tokenizer
from training.tokenizer_file import separator_of

SHARD_TOKENS = 1 << 27  # a shard is closed by the document that reaches this (256 MiB as u16)


def write(
    directory: Path, split: str, texts: Iterable[Iterable[str]], tokenizer: Tokenizer, shard_tokens: int = SHARD_TOKENS
) -> tuple[int, int]:
    """Write a split's shards. A text is given in parts, cut between words; one part's tokens are in memory at a time.
    Returns (tokens, UTF-8 bytes of text).
    """
    n_tokens = text_nbytes = 0
    iterator = iter(texts)
    text = next(iterator, None)
    index = 0
    while text is not None:
        path = directory / f"{split}-{index:05}.tokens"
        tokens, nbytes, text = _write_shard(path, text, iterator, tokenizer, shard_tokens)
        n_tokens, text_nbytes, index = n_tokens + tokens, text_nbytes + nbytes, index + 1
    return n_tokens, text_nbytes


def _write_shard(
    path: Path, text: Iterable[str] | None, rest: Iterator[Iterable[str]], tokenizer: Tokenizer, shard_tokens: int
) -> tuple[int, int, Iterable[str] | None]:
    """One shard, from `text` and then `rest`. Returns (tokens, text bytes, the first text that did not go in)."""
    token_nbytes = 2 if tokenizer.vocab_size <= 1 << 16 else 4
    encode = tokenizer.encode_u16 if token_nbytes == 2 else tokenizer.encode_u32
    separator_id = separator_of(tokenizer)
    starts: list[int] = []
    n_tokens = text_nbytes = 0
    digest = hashlib.sha256()
    with path.open("wb") as shard:
        shard.write(bytes(HEADER_NBYTES))
        while text is not None and n_tokens < shard_tokens:
            starts.append(n_tokens)
            encoded = separator_id.to_bytes(token_nbytes, "little")
            for part in itertools.chain([""], text):  # the separator, then each part
                encoded += encode(part, threads=None)
                n_tokens += len(encoded) // token_nbytes
                text_nbytes += len(part.encode())
                shard.write(encoded)
                digest.update(encoded)
                encoded = b""
            text = next(rest, None)
        tail = bytes(-shard.tell() % 8) + np.array(starts, "<u8").tobytes()
        shard.write(tail)
        digest.update(tail)
        header = HEADER.pack(
            MAGIC,
            VERSION,
            token_nbytes,
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
    return n_tokens, text_nbytes, text


def main(arguments: argparse.Namespace) -> None:
    """The command; it needs no parameters."""
    tokenizer = load_tokenizer(arguments.tokenizer)
    with command.publishing(arguments.out) as temporary:
        directory = temporary / "shards"
        directory.mkdir()
        for split in documents.SPLITS:
            texts = (parts for _, parts in documents.read(arguments.corpus, split, tokenizer.safe_cut))
            n_tokens, nbytes = write(directory, split, texts, tokenizer)
            command.say(f"{split}: {n_tokens:,} tokens, {nbytes / max(n_tokens, 1):.3f} bytes a token")
            open_split(directory, split)


if __name__ == "__main__":
    arguments = command.parser("shards", "Tokenise the documents into shards.", params=False)
    arguments.add_argument("--corpus", type=Path, required=True, metavar="DIR", help="the corpus folder")
    arguments.add_argument("--tokenizer", type=Path, required=True, metavar="DIR", help="the tokenizer's folder")
    sys.exit(command.run(main, arguments))
