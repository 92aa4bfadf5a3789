"""[tokenizer]: byte-level BPE."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from training.config.section import Section, check

# Those of the crate (rust/tokenizer/src/split); tests/tokenizer/test_splits.py compares.
Split = Literal["gpt2", "cl100k", "o200k", "llama3", "qwen2", "smollm2"]


class Tokenizer(Section, frozen=True):
    """Byte-level BPE."""

    NAME: ClassVar[str] = "tokenizer"

    vocab_size: int  # ids, special tokens included (fewer when the corpus has fewer pairs)
    split: Split  # pre-tokenizer
    special_tokens: tuple[str, ...]  # ids 0, 1, ... in this order; the first one parts documents
    min_frequency: Annotated[int, Meta(ge=0, le=1 << 31)]  # a pair seen less often is not merged
    max_token_length: Annotated[int, Meta(ge=0, le=1 << 31)] = 0  # of bytes: what is merged stays shorter (0: none)

    def __post_init__(self) -> None:
        check(len(self.special_tokens) > 0, "tokenizer.special_tokens is empty; the first one parts documents")
        check(
            len(set(self.special_tokens)) == len(self.special_tokens) and all(self.special_tokens),
            f"tokenizer.special_tokens={list(self.special_tokens)} has an empty or a repeated one",
        )
        smallest = 256 + len(self.special_tokens)
        check(
            smallest <= self.vocab_size <= 1 << 20,
            f"tokenizer.vocab_size={self.vocab_size} is not in {smallest} ... {1 << 20} (256 bytes, special tokens)",
        )
