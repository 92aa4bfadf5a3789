"""The file of token shards, and its reader: memory-mapped and checked (training/shards.py writes them).

The shards of a split, read one after the other, are one stream: <|endoftext|> document <|endoftext|> document ...
A shard holds whole documents; the one that takes their text to 256 MiB is its last (documents.pieces).

A shard, little-endian:

    offset  bytes  field
         0      8  magic            the ASCII letters PKTOKENS
         8      4  version          u32 = 1, or 2 with a loss mask
        12      4  token_nbytes     u32, 2 or 4: a token's width
        16      8  n_tokens         u64, separators included
        24      8  n_documents      u64
        32      8  text_nbytes      u64, UTF-8 bytes of the documents, or of what is learnt of them (for bits per byte)
        40      4  vocab_size       u32; every token is below it
        44      4  separator_id     u32
        48     32  tokenizer_sha256 of the tokenizer's flat form
        80     32  payload_sha256   of all that follows the header
       112     16  header_sha256    the first 16 bytes of the SHA-256 of the 112 before
       128      …  tokens           n_tokens * token_nbytes, then zeros to a multiple of 8
         …      …  document index   n_documents * u64: the position in this shard of each document's separator
         …      …  loss mask        version 2: n_tokens bytes; 1 where the model learns to write the token, else 0
"""

from __future__ import annotations

import functools
import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.tokenizer_file import FLAT_NAME

MAGIC = b"PKTOKENS"
VERSION, MASKED_VERSION = 1, 2
HEADER = struct.Struct("<8sIIQQQII32s32s")  # 112 bytes, and 16 of their digest
HEADER_NBYTES = 128


@dataclass(frozen=True)
class Shard:
    """One shard file, mapped into memory."""

    path: Path
    tokens: NDArray[np.unsignedinteger]  # (n_tokens,) u16 or u32
    document_starts: NDArray[np.unsignedinteger]  # (n_documents,) u64
    text_nbytes: int
    vocab_size: int
    separator_id: int
    tokenizer_sha256: str
    payload_sha256: str
    learnt: NDArray[np.bool_] | None = None  # (n_tokens,) the loss mask; None where every token is learnt


def name_of(split: str, number: int) -> str:
    """The name of a split's shard, by its number from 0."""
    return f"{split}-{number:05}.tokens"


def open_shard(path: Path, *, every_byte: bool = True) -> Shard:
    """Map a shard and check it: header, length, document index; with every_byte also the digest of all that follows
    the header and every token's range, for which all of it is read.

    Raises ValueError that says what was expected and got; a broken shard is to be built again.
    """

    def check(holds: bool, what: str) -> None:
        if not holds:
            raise ValueError(f"{path}: {what}; build the shards again")

    nbytes = path.stat().st_size
    check(nbytes >= HEADER_NBYTES, f"{nbytes} bytes are fewer than the header's {HEADER_NBYTES}")
    with path.open("rb") as opened:
        header = opened.read(HEADER_NBYTES)
    magic, version, token_nbytes, n_tokens, n_documents, text_nbytes, vocab_size, separator_id, tokenizer, payload = (
        HEADER.unpack(header[: HEADER.size])
    )
    check(magic == MAGIC, f"not a token shard: magic {magic!r}, expected {MAGIC!r}")
    check(version != VERSION << 24, "written in the other byte order")
    check(version in (VERSION, MASKED_VERSION), f"version {version}, expected {VERSION} or {MASKED_VERSION}")
    masked = version == MASKED_VERSION
    check(token_nbytes in (2, 4), f"token_nbytes {token_nbytes}, expected 2 or 4")
    header_sha256 = hashlib.sha256(header[: HEADER.size]).digest()[:16]
    check(header_sha256 == header[HEADER.size :], "the header is damaged (its sha256 is another)")
    index_at = HEADER_NBYTES + n_tokens * token_nbytes
    index_at += -index_at % 8
    mask_at = index_at + 8 * n_documents
    expected = mask_at + n_tokens * masked
    check(nbytes == expected, f"{nbytes} bytes, expected {expected} from the header")
    mapped = np.memmap(path, np.uint8, "r")
    if every_byte:
        got = hashlib.sha256(mapped[HEADER_NBYTES:].data).hexdigest()
        check(got == payload.hex(), f"sha256 of the payload is {got}, expected {payload.hex()}")
    tokens = mapped[HEADER_NBYTES : HEADER_NBYTES + n_tokens * token_nbytes].view(f"<u{token_nbytes}")
    starts = mapped[index_at:mask_at].view("<u8")
    check(
        n_tokens > 0 and (not every_byte or int(tokens.max()) < vocab_size),
        f"a token is not below vocab_size {vocab_size}, or there is none",
    )
    check(
        n_documents > 0
        and starts[0] == 0
        and bool((starts < n_tokens).all())  # before the differences, which might overflow
        and bool((np.diff(starts.astype(np.int64)) > 0).all())
        and bool((tokens[starts.astype(np.int64)] == separator_id).all()),
        "the document index does not point at the separators",
    )
    mask = mapped[mask_at:]
    learnt = mask.view(np.bool_) if masked else None
    if masked:
        check(not every_byte or int(mask.max()) <= 1, "a byte of the loss mask is neither 0 nor 1")
    else:
        least = n_tokens - n_documents  # a token other than a separator stands for a byte or more
        check(text_nbytes >= least, f"text_nbytes {text_nbytes}, expected at least {least} for so many tokens")
    return Shard(path, tokens, starts, text_nbytes, vocab_size, separator_id, tokenizer.hex(), payload.hex(), learnt)


class TokenStream:
    """A split's shards as one stream of tokens."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self.shards = shards
        self.ends = np.cumsum([len(shard.tokens) for shard in shards])  # (n_shards,)
        self.n_tokens = int(self.ends[-1])
        self.text_nbytes = sum(shard.text_nbytes for shard in shards)
        self.n_documents = sum(len(shard.document_starts) for shard in shards)
        self.vocab_size = shards[0].vocab_size
        self.separator_id = shards[0].separator_id
        self.tokenizer_sha256 = shards[0].tokenizer_sha256
        self.masked = shards[0].learnt is not None

    def read(self, start: int, n: int) -> NDArray[np.int64]:
        """Tokens start ... start + n - 1 as (n,) int64; they may lie in several shards. They must all be there."""
        return np.concatenate([shard.tokens[part] for shard, part in self._parts(start, n)]).astype(np.int64)

    def read_learnt(self, start: int, n: int) -> NDArray[np.bool_]:
        """Whether the model learns to write tokens start ... start + n - 1, (n,)."""
        return np.concatenate(
            [
                np.ones(part.stop - part.start, np.bool_) if shard.learnt is None else shard.learnt[part]
                for shard, part in self._parts(start, n)
            ]
        )

    @functools.cached_property
    def n_learnt(self) -> int:
        """How many tokens the model learns to write: all, where there is no loss mask."""
        return sum(len(shard.tokens) if shard.learnt is None else int(shard.learnt.sum()) for shard in self.shards)

    def documents(self) -> NDArray[np.int64]:
        """Where each document's separator stands, and where the last document ends, (n_documents + 1,)."""
        ends = self.ends.tolist()
        begins = [end - len(shard.tokens) for end, shard in zip(ends, self.shards, strict=True)]
        starts = [
            shard.document_starts.astype(np.int64) + begin for begin, shard in zip(begins, self.shards, strict=True)
        ]
        return np.concatenate([*starts, np.array(ends[-1:], np.int64)])

    def _parts(self, start: int, n: int) -> Iterator[tuple[Shard, slice]]:
        """Where tokens start ... start + n - 1 lie, in one shard after the other."""
        assert start >= 0 and n >= 0 and start + n <= self.n_tokens, (
            f"tokens {start} ... {start + n} of {self.n_tokens}"
        )
        for index in range(int(np.searchsorted(self.ends, start, side="right")), len(self.shards)):
            begin = int(self.ends[index]) - len(self.shards[index].tokens)
            stop = min(start + n, int(self.ends[index]))
            yield self.shards[index], slice(start - begin, stop - begin)
            if stop == start + n:
                return
            n, start = start + n - stop, stop


def open_split(directory: Path, split: str, *, every_byte: bool = True) -> TokenStream:
    """All shards of a split. every_byte: as for open_shard. Raises ValueError where there is none, one is broken, or
    they do not belong together.
    """
    paths = sorted(directory.glob(f"{split}-*.tokens"))
    if not paths:
        raise ValueError(f"{directory}: no {split} shards; run training.shards first")
    shards = [open_shard(path, every_byte=every_byte) for path in paths]
    for index, shard in enumerate(shards):
        if shard.path.name != name_of(split, index):
            raise ValueError(f"{directory}: {name_of(split, index)} is missing; build the shards again")
        if (shard.learnt is None) != (shards[0].learnt is None):
            raise ValueError(
                f"{shard.path}: with {shards[0].path.name} one has a loss mask and one has none; build again"
            )
        if (shard.tokenizer_sha256, shard.vocab_size) != (shards[0].tokenizer_sha256, shards[0].vocab_size):
            raise ValueError(
                f"{shard.path}: made with another tokenizer than {shards[0].path.name}; build the shards again"
            )
    return TokenStream(shards)


def check_tokenizer(stream: TokenStream, tokenizer_dir: Path) -> None:
    """Raises ValueError where the shards were made with another tokenizer than the one in the folder."""
    got = hashlib.sha256((tokenizer_dir / FLAT_NAME).read_bytes()).hexdigest()
    if got != stream.tokenizer_sha256:
        raise ValueError(
            f"{tokenizer_dir / FLAT_NAME} is not the tokenizer of the shards: sha256 {got}, "
            f"expected {stream.tokenizer_sha256}; build the shards again"
        )
