"""Documents in, a token shard out (training/data/shard_file.py has its layout). Chats, which are encoded otherwise,
come as tokens (`write_encoded`).
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pocketlm_tokenizer import Tokenizer

from training.data import documents
from training.data.documents import Piece
from training.data.shard_file import HEADER, HEADER_NBYTES, MAGIC, MASKED_VERSION, VERSION, name_of
from training.tokenizer_file import load as load_tokenizer
from training.tokenizer_file import separator_of

BATCH_CHARACTERS = 4 << 20  # encoded in one call
UNFINISHED = ".unfinished"  # ends the name of a shard that is being written
PART_NBYTES = 256 << 10  # of a long document; parts that fit into a near cache are faster than longer ones


class Encoded(NamedTuple):
    """Documents one after the other, encoded, each after its separator; the first may go on from what came before."""

    tokens: NDArray[np.unsignedinteger]  # (n,) u16 or u32, little-endian
    starts: NDArray[np.int64]  # (k,) the places of the separators
    text_nbytes: NDArray[np.int64]  # (k + 1,) UTF-8 bytes of what is learnt before the first separator and after each
    learnt: bytes = b""  # the loss mask, a byte a token; empty where every token is learnt


def write(
    directory: Path,
    split: str,
    texts: Iterable[Iterable[str]],
    tokenizer: Tokenizer,
    number: int = 0,
    threads: int | None = None,
) -> tuple[int, int]:
    """Write a shard of a split, by up to `threads` threads (None: all). A text is given in parts, cut between words;
    the parts of two batches are in memory at a time. Returns (tokens, UTF-8 bytes of text).
    """
    encoded = _encoded(texts, tokenizer, threads)
    return write_encoded(directory / name_of(split, number), encoded, tokenizer, VERSION)


def _encoded(texts: Iterable[Iterable[str]], tokenizer: Tokenizer, threads: int | None) -> Iterator[Encoded]:
    """All batches, each encoded while the next one is read."""
    with ThreadPoolExecutor(1) as other:
        waiting = None
        for batch in _batches(texts):
            begun = other.submit(_encode, batch, tokenizer, threads)
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


def _encode(batch: list[tuple[str, bool]], tokenizer: Tokenizer, threads: int | None) -> Encoded:
    dtype, (parts, begins) = token_type(tokenizer), zip(*batch, strict=True)
    tokens, *counts = tokenizer.encode_documents(parts, begins, separator_of(tokenizer), dtype.itemsize, threads)
    return Encoded(np.frombuffer(tokens, dtype), *(count.astype(np.int64) for count in counts))


def token_type(tokenizer: Tokenizer) -> np.dtype[np.unsignedinteger]:
    """The type of a token in a shard."""
    return np.dtype("<u2" if tokenizer.vocab_size <= 1 << 16 else "<u4")


def write_encoded(path: Path, encoded: Iterable[Encoded], tokenizer: Tokenizer, version: int) -> tuple[int, int]:
    """Write a shard of encoded documents; none where there is no document. version: of the file; MASKED_VERSION where
    they have loss masks. Returns (tokens, bytes of text).

    The file appears whole or not at all: a worker that is killed leaves one of another name.
    """
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}{UNFINISHED}")
    with temporary.open("wb") as file:
        shard = _Shard(file, version)
        for each in encoded:
            shard.add(each)
        if shard.n_tokens:
            shard.finish(tokenizer)
    if shard.n_tokens:
        temporary.rename(path)
    else:
        temporary.unlink()
    return shard.n_tokens, shard.text_nbytes


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


@dataclass(frozen=True)
class WriteShard:
    """The shard of a piece: a function that can be sent to another process."""

    corpus: Path
    tokenizer_dir: Path
    directory: Path
    threads: int | None = None

    def __call__(self, piece: Piece) -> None:
        """Write it into `directory`."""
        tokenizer = load_tokenizer(self.tokenizer_dir)
        texts = documents.read_piece(self.corpus, piece, tokenizer.safe_cut, PART_NBYTES)
        parts = (parts for _, parts in texts)
        write(self.directory, piece.split, parts, tokenizer, piece.number, self.threads)
