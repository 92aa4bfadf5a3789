"""Byte-level BPE: train, encode, decode. Written in Rust (rust/tokenizer).

Merges and ids are identical to Hugging Face `tokenizers` on the same documents. A tokenizer is immutable and may be
shared by threads; training, and encoding of more than a few kilobytes, release the GIL. What encoding has seen is
remembered from call to call, in tables of a fixed size.
"""

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

SPLITS: tuple[str, ...]
"""The names of all splits.

Where one is asked for, "regex:" and a pattern in Oniguruma's syntax does as well, such as r"regex:\\w+|[^\\w\\s]+": the
pieces are its matches and what lies between two, as with Hugging Face's `Split(Regex(...), "isolated")`. That is 7 to
11 times as slow. A piece has at most 16 KiB, and the time is in proportion to the text whatever the pattern: where a
search takes too many steps, the next 16 KiB are one piece. What Oniguruma and the engine here (fancy-regex) understand
differently is refused; one difference is left, in repeated groups that can match nothing. Such a tokenizer goes into
tokenizer.json and the flat form, and can be used from Python alone: the page and the command line refuse it.
"""

class TokenizerError(ValueError):
    """Input that cannot be used; the message says what, where, and what was expected."""

def split(text: str, split: str = "gpt2") -> list[str]:
    """The pieces of a split, within which tokens are merged; joined, they are the text.

    Raises TokenizerError for a split that there is not, the message names those that there are; and for a pattern that
    is none, or is refused.
    """

def safe_cut(text: str, split: str = "gpt2") -> int:
    """The last place, in characters, where `text` can be cut such that the pieces of both parts are those of the whole,
    whatever comes after it; 0 if there is none, and always for a pattern, of which nothing is known. Raises
    TokenizerError for a split that there is not.
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
        split: str = "gpt2",
        threads: int | None = 1,
        max_token_length: int | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> Tokenizer:
        """Train on documents (read once, one after the other; each is split on its own), whose words are counted by up
        to `threads` threads (None: all). The result is the same for any order of the documents and any number of
        threads.

        Special tokens get the first ids, then the 256 bytes, then what the merges make. Where the documents run out of
        pairs, `vocab_size` of the result is smaller than the one asked for. A pair that occurs less than
        `min_frequency` times is not merged. `max_token_length` is Hugging Face's: what a merge of more than two bytes
        makes is shorter than it, in bytes.

        Ctrl-C ends it, within a tenth of a second while merging or counting. While merging, `progress` is called up to
        ten times a second with the number of tokens so far (0 while pairs are counted) and `vocab_size`; an exception
        that it raises ends the training. Raises TokenizerError where there is no text, where vocab_size is too small or
        max_token_length is 0, for a special token that cannot be one, and for an unknown split.
        """

    @staticmethod
    def train_from_counts(
        counts: WordCounts,
        vocab_size: int,
        special_tokens: Sequence[str] = ["<|endoftext|>"],
        min_frequency: int = 0,
        max_token_length: int | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> Tokenizer:
        """As `train`, on words that were counted before; their split is the tokenizer's."""

    @staticmethod
    def from_bytes(data: bytes) -> Tokenizer:
        """Read the flat form (rust/tokenizer/FORMAT.md). Raises TokenizerError for any flaw."""

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Tokenizer:
        """Read the flat form from a file. Raises OSError, or TokenizerError for any flaw; both name the file."""

    @staticmethod
    def from_hf_json(text: str) -> Tokenizer:
        """Read Hugging Face's tokenizer.json: byte-level BPE with one of SPLITS or another pattern. Ids are those of
        their `encode` with `add_special_tokens=False`. Raises TokenizerError that names what is not supported.
        """

    @staticmethod
    def from_tiktoken(text: str, split: str, special_tokens: Mapping[str, int] | None = None) -> Tokenizer:
        """Read a .tiktoken file's text. The split and the special tokens are not in such a file. Raises TokenizerError
        with the number of the line that is not a token.
        """

    def to_tiktoken(self) -> str:
        """Write a .tiktoken file's text. Raises TokenizerError where it would mean other ids: only what was read from
        one can be written as one.
        """

    def to_bytes(self) -> bytes:
        """Write the flat form."""

    def to_hf_json(self) -> str:
        """Write Hugging Face's tokenizer.json."""

    @property
    def vocab_size(self) -> int:
        """The number of tokens; ids are below it."""

    @property
    def split(self) -> str:
        """The name of the split: one of SPLITS, or "regex:" and a pattern."""

    def safe_cut(self, text: str) -> int:
        """As the function of that name, for this tokenizer: where a text can be cut without changing its ids, if no
        added token reaches over the cut.
        """

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
        """The ids of a text. Special tokens in it are ordinary text unless `special` is true; other added tokens become
        their ids.
        """

    def encode_array(self, text: str, special: bool = False) -> NDArray[np.uint32]:
        """As `encode`, as an array that cannot be written to. Needs numpy."""

    def encode_u16(self, text: str, special: bool = False, threads: int | None = 1) -> bytes:
        """As `encode`, as little-endian u16; by up to `threads` threads (None: all) where the text is long.

        Raises TokenizerError where the vocabulary is larger than 65536.
        """

    def encode_u32(self, text: str, special: bool = False, threads: int | None = 1) -> bytes:
        """As `encode_u16`, as little-endian u32, for any vocabulary."""

    def count(self, text: str, special: bool = False) -> int:
        """The number of ids of a text."""

    def encode_batch(self, texts: Sequence[str], special: bool = False, threads: int | None = None) -> list[list[int]]:
        """The ids of each text, by up to `threads` threads (None: all)."""

    def encode_batch_array(
        self, texts: Sequence[str], special: bool = False, threads: int | None = None
    ) -> tuple[NDArray[np.uint32], NDArray[np.uint64]]:
        """All texts' ids, joined, and where each text's end. Needs numpy."""

    def encode_checked(
        self, text: str, allowed: Collection[str] = (), forbidden: Collection[str] | None = None
    ) -> list[int]:
        """The ids of a text, with a say for each special token, as tiktoken's `encode` has it: those of `allowed`
        become their ids, and a text that holds one of `forbidden` (None: of all that are not allowed) is refused with a
        TokenizerError that names it and its place. All others are ordinary text. Raises KeyError for a name that is no
        special token's.
        """

    def encode_offsets(
        self, text: str, special: bool = False, unit: str = "characters"
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """As `encode`, and where each token begins and ends in the text, in "characters" or in "bytes" of its UTF-8.
        Where a character is several tokens, each of them has its place. Raises TokenizerError where normalising would
        change the text, so that the tokens are another's, or a byte of it has no token; and for another unit.
        """

    def encode_documents(
        self,
        parts: Sequence[str],
        begins: Sequence[bool],
        separator_id: int,
        token_nbytes: int = 2,
        threads: int | None = None,
    ) -> tuple[bytes, NDArray[np.uint64], NDArray[np.uint64]]:
        """Documents that come in parts, as the tokens of a shard, little-endian, of 2 or 4 bytes each: a separator
        before each part that `begins` a document, then its ids, special tokens in it as ordinary text. The places of
        the separators, shape (documents,), and the UTF-8 bytes before the first and after each, shape (documents + 1,).
        Raises TokenizerError where a token does not fit, or no token has the separator's id. Needs numpy.
        """

    def encode_batch_padded(
        self,
        texts: Sequence[str],
        pad_id: int,
        length: int | None = None,
        special: bool = False,
        threads: int | None = None,
        left: bool = False,
    ) -> tuple[NDArray[np.uint32], NDArray[np.uint64]]:
        """All texts' ids as rows of `length` (None: of the longest), shape (texts, length), and how many ids of each
        row are its text's. A longer text loses its end; a shorter one is filled up with `pad_id`, at its end or, where
        `left`, before it. Raises TokenizerError where no token has that id. Needs numpy.
        """

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

@final
class WordCounts:
    """How often each distinct word, which is a piece of the split, occurs: the pass over the text, apart from the
    merging. Counts of portions, of threads or of many machines add up to those of the whole.
    """

    def __init__(self, split: str = "gpt2") -> None:
        """No words yet. Raises TokenizerError for a split that there is not."""

    @property
    def split(self) -> str:
        """The name of the split: one of SPLITS, or "regex:" and a pattern."""

    def __len__(self) -> int:
        """The number of distinct words."""

    def add(self, documents: Iterable[str], weight: int = 1, threads: int | None = 1) -> None:
        """Count the words of documents, as if each came `weight` times, by up to `threads` threads (None: all). Nothing
        is counted where it raises: TokenizerError for a weight of 0 and for more than 4 GiB of distinct words, or
        KeyboardInterrupt.
        """

    def merge(self, other: WordCounts) -> None:
        """Add what another counted. Raises TokenizerError where its split is another."""

    def items(self) -> list[tuple[bytes, int]]:
        """The words and their counts, for `add_items` of another process or machine."""

    def add_items(self, items: list[tuple[bytes, int]]) -> None:
        """Add words and their counts: what `items` gave. They are taken as they come, and not split again."""
