"""Byte-level BPE with GPT-2's split: train, encode, decode. Written in Rust (rust/tokenizer).

Merges and ids are identical to Hugging Face `tokenizers` on the same documents. A tokenizer is immutable and may be
shared by threads; training, and encoding of more than a few kilobytes, release the GIL.
"""

import os
from collections.abc import Iterable, Sequence
from typing import final

class TokenizerError(ValueError):
    """Input that cannot be used; the message says what, where, and what was expected."""

def split(text: str, split: str = "gpt2") -> list[str]:
    """The pieces of a split, within which tokens are merged; joined, they are the text.

    Raises TokenizerError for a split that there is not; the message names those that there are.
    """

@final
class Tokenizer:
    """A vocabulary and its merges."""

    @staticmethod
    def train(
        documents: Iterable[str],
        vocab_size: int,
        special_tokens: Sequence[str] = ["<|endoftext|>"],
        min_frequency: int = 0,
    ) -> Tokenizer:
        """Train on documents (read once, one after the other; each is split on its own).

        Special tokens get the first ids, then the 256 bytes, then what the merges make. Where the documents run out of
        pairs, `vocab_size` of the result is smaller than the one asked for. Raises TokenizerError where there is no
        text, where vocab_size is too small, and for a special token that cannot be one.
        """

    @staticmethod
    def from_bytes(data: bytes) -> Tokenizer:
        """Read the flat form (rust/tokenizer/FORMAT.md). Raises TokenizerError for any flaw."""

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Tokenizer:
        """Read the flat form from a file. Raises OSError, or TokenizerError for any flaw."""

    def to_bytes(self) -> bytes:
        """Write the flat form."""

    def to_hf_json(self) -> str:
        """Write Hugging Face's tokenizer.json."""

    @property
    def vocab_size(self) -> int:
        """The number of tokens; ids are below it."""

    @property
    def special_tokens(self) -> dict[str, int]:
        """The special tokens and their ids."""

    def special_id(self, name: str) -> int:
        """The id of a special token. Raises KeyError where there is none of that name."""

    def token_bytes(self, id: int) -> bytes:
        """The bytes that a token stands for. Raises TokenizerError for an unknown id."""

    def merges(self) -> list[tuple[int, int, int]]:
        """The merges by rank: (left, right, result)."""

    def encode(self, text: str, special: bool = False) -> list[int]:
        """The ids of a text. Special tokens in it are ordinary text unless `special` is true."""

    def encode_u16(self, text: str, special: bool = False) -> bytes:
        """As `encode`, as little-endian u16. Raises TokenizerError where the vocabulary is larger than 65536."""

    def encode_u32(self, text: str, special: bool = False) -> bytes:
        """As `encode`, as little-endian u32."""

    def encode_batch_u16(self, documents: Sequence[str], special: bool = False) -> tuple[bytes, list[int]]:
        """All documents' ids, joined, as little-endian u16, and each document's number of ids."""

    def encode_batch_u32(self, documents: Sequence[str], special: bool = False) -> tuple[bytes, list[int]]:
        """All documents' ids, joined, as little-endian u32, and each document's number of ids."""

    def decode(self, ids: Sequence[int], errors: str = "replace") -> str:
        """The text of ids; `errors` as in bytes.decode. Raises TokenizerError for an unknown id."""

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """The bytes of ids. Raises TokenizerError for an unknown id."""

    def decode_stream(self) -> DecodeStream:
        """A decoder for ids that arrive one at a time."""

@final
class DecodeStream:
    """Text from ids that arrive one at a time: only whole characters come out."""

    def push(self, id: int) -> str:
        """Add one id; the text that is now whole. Raises TokenizerError for an unknown id."""

    def finish(self) -> str:
        """What is left at the end: U+FFFD if a character was begun and never ended, else nothing."""
