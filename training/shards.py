"""Documents in, token shards out (training/data/shard_file.py has their layout).

Writes OUT/shards/{train,val,test}-00000.tokens, ... A shard holds whole documents, each one after a separator
token. (Those of chats: training/chat_shards.py.)
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pocketlm_tokenizer import Tokenizer

from training import command
from training.data import documents
from training.data.shard_file import HEADER, HEADER_NBYTES, MAGIC, MASKED_VERSION, VERSION, open_split
from training.tokenizer_file import load as load_tokenizer
from training.tokenizer_file import separator_of

SHARD_TOKENS = 1 << 27  # a shard is closed by the document that reaches this (256 MiB as u16)
BATCH_CHARACTERS = 4 << 20  # encoded in one call
PART_NBYTES = 256 << 10  # of a long document; parts that fit into a near cache are faster than longer ones


class Encoded(NamedTuple):
    """Documents one after the other, encoded, each after its separator; the first may go on from what came before."""

    tokens: NDArray[np.unsignedinteger]  # (n,) u16 or u32, little-endian
    starts: NDArray[np.int64]  # (k,) the places of the separators
    text_nbytes: NDArray[np.int64]  # (k + 1,) UTF-8 bytes of what is learnt before the first separator and after each
    learnt: bytes = b""  # the loss mask, a byte a token; empty where every token is learnt

    def split_at(self, document: int) -> tuple[Encoded, Encoded]:
        """What is before a document, by its number from 0, and what begins with it."""
        at = int(self.starts[document])
        nothing = np.zeros(1, np.int64)
        before = Encoded(self.tokens[:at], self.starts[:document], self.text_nbytes[: document + 1], self.learnt[:at])
        after_nbytes = np.concatenate([nothing, self.text_nbytes[document + 1 :]])
        return before, Encoded(self.tokens[at:], self.starts[document:] - at, after_nbytes, self.learnt[at:])


def write(
    directory: Path, split: str, texts: Iterable[Iterable[str]], tokenizer: Tokenizer, shard_tokens: int = SHARD_TOKENS
) -> tuple[int, int]:
    """Write a split's shards. A text is given in parts, cut between words; the parts of two batches are in memory at a
    time. Returns (tokens, UTF-8 bytes of text).
    """
    return write_encoded(directory, split, _encoded(texts, tokenizer), tokenizer, shard_tokens, VERSION)


def _encoded(texts: Iterable[Iterable[str]], tokenizer: Tokenizer) -> Iterator[Encoded]:
    """All batches, each encoded by all cores while the next one is read."""
    with ThreadPoolExecutor(1) as other:
        waiting = None
        for batch in _batches(texts):
            begun = other.submit(_encode, batch, tokenizer)
            if waiting is not None:
                yield waiting.result()
            waiting = begun
        if waiting is not None:
            yield waiting.result()


def _batches(texts: Iterable[Iterable[str]]) -> Iterator[list[tuple[str, bool]]]:
    """Parts of texts, BATCH_CHARACTERS or more but in the last batch; whether each is the first of its text."""
    batch, length = [], 0
    for parts in texts:
        begins = True
        for part in parts:
            batch.append((part, begins))
            begins = False
            length += len(part)
            if length >= BATCH_CHARACTERS:
                yield batch
                batch, length = [], 0
        if begins:
            batch.append(("", True))  # one part at the least, if only an empty one
    if batch:
        yield batch


def _encode(batch: list[tuple[str, bool]], tokenizer: Tokenizer) -> Encoded:
    dtype, (parts, begins) = token_type(tokenizer), zip(*batch, strict=True)
    tokens, *counts = tokenizer.encode_documents(parts, begins, separator_of(tokenizer), dtype.itemsize)
    return Encoded(np.frombuffer(tokens, dtype), *(count.astype(np.int64) for count in counts))


def token_type(tokenizer: Tokenizer) -> np.dtype[np.unsignedinteger]:
    """The type of a token in a shard."""
    return np.dtype("<u2" if tokenizer.vocab_size <= 1 << 16 else "<u4")


def write_encoded(
    directory: Path,
    split: str,
    encoded: Iterable[Encoded],
    tokenizer: Tokenizer,
    shard_tokens: int,
    version: int,
) -> tuple[int, int]:
    """Write the shards of encoded documents. version: of the file; MASKED_VERSION where they have loss masks.
    Returns (tokens, bytes of text).
    """
    n_tokens = text_nbytes = index = 0
    shard: _Shard | None = None
    with contextlib.ExitStack() as opened:

        def close(shard: _Shard) -> None:
            nonlocal n_tokens, text_nbytes
            shard.finish(tokenizer)
            opened.close()
            n_tokens, text_nbytes = n_tokens + shard.n_tokens, text_nbytes + shard.text_nbytes

        for rest in encoded:
            while len(rest.tokens):
                if shard is None:
                    path = directory / f"{split}-{index:05}.tokens"
                    shard = _Shard(opened.enter_context(path.open("wb")), version)
                    index += 1
                beyond = int(np.searchsorted(rest.starts + shard.n_tokens, shard_tokens))  # the first of the next shard
                if beyond == len(rest.starts):
                    shard.add(rest)
                    break
                before, rest = rest.split_at(beyond)
                shard.add(before)
                close(shard)
                shard = None
        if shard is not None:
            close(shard)
    return n_tokens, text_nbytes


class _Shard:
    """A shard that is being written."""

    def __init__(self, file: BinaryIO, version: int) -> None:
        self.file, self.version = file, version
        self.n_tokens = self.text_nbytes = 0
        self.starts: list[NDArray[np.int64]] = []
        self.mask = bytearray()
        self.digest = hashlib.sha256()
        file.write(bytes(HEADER_NBYTES))

    def add(self, encoded: Encoded) -> None:
        """Append documents, or the rest of one."""
        self.starts.append(encoded.starts + self.n_tokens)
        self.n_tokens += len(encoded.tokens)
        self.text_nbytes += int(encoded.text_nbytes.sum())
        self._append(encoded.tokens.data)
        if self.version == MASKED_VERSION:
            self.mask += encoded.learnt

    def finish(self, tokenizer: Tokenizer) -> None:
        """Append what follows the tokens, and write the header."""
        starts = np.concatenate(self.starts).astype("<u8")
        self._append(bytes(-self.file.tell() % 8) + starts.tobytes() + bytes(self.mask))
        header = HEADER.pack(
            MAGIC,
            self.version,
            token_type(tokenizer).itemsize,
            self.n_tokens,
            len(starts),
            self.text_nbytes,
            tokenizer.vocab_size,
            separator_of(tokenizer),
            hashlib.sha256(tokenizer.to_bytes()).digest(),
            self.digest.digest(),
        )
        self.file.seek(0)
        self.file.write(header + hashlib.sha256(header).digest()[:16])

    def _append(self, data: bytes | memoryview) -> None:
        self.file.write(data)
        self.digest.update(data)


def main(arguments: argparse.Namespace) -> None:
    """The command; it needs no parameters."""
    tokenizer = load_tokenizer(arguments.tokenizer)
    with command.publishing(arguments.out) as temporary:
        directory = temporary / "shards"
        directory.mkdir()
        for split, listed in documents.by_split(arguments.corpus).items():
            texts = documents.read_listed(arguments.corpus, listed, tokenizer.safe_cut, PART_NBYTES)
            n_tokens, nbytes = write(directory, split, (parts for _, parts in texts), tokenizer)
            command.say(f"{split}: {n_tokens:,} tokens, {nbytes / max(n_tokens, 1):.3f} bytes a token")
            open_split(directory, split, every_byte=False)


if __name__ == "__main__":
    arguments = command.parser("shards", "Tokenise the documents into shards.", params=False)
    arguments.add_argument("--corpus", type=Path, required=True, metavar="DIR", help="the corpus folder")
    arguments.add_argument("--tokenizer", type=Path, required=True, metavar="DIR", help="the tokenizer's folder")
    sys.exit(command.run(main, arguments))
