"""The tokenizer's folder as later steps read it (training/tokenizer.py writes it)."""

from __future__ import annotations

from pathlib import Path

from pocketlm_tokenizer import Tokenizer

JSON_NAME = "tokenizer.json"
FLAT_NAME = "tokenizer.tok"


def load(directory: Path) -> Tokenizer:
    """The tokenizer in a folder that this command wrote. Raises ValueError or OSError where it is missing or broken."""
    path = directory / FLAT_NAME
    try:
        return Tokenizer.from_bytes(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: {error}; train the tokenizer again") from error


def from_json(data: bytes, name: str) -> Tokenizer:
    """The tokenizer of a tokenizer.json that others wrote. Raises ValueError that begins with the file's `name`."""
    try:
        return Tokenizer.from_hf_json(data.decode("utf-8"))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def separator_of(tokenizer: Tokenizer) -> int:
    """The id of the token that parts documents: the first of tokenizer.special_tokens.

    Raises ValueError for a tokenizer without special tokens.
    """
    if not tokenizer.special_tokens:
        raise ValueError("the tokenizer has no special token to part documents with; train it again with one")
    return min(tokenizer.special_tokens.values())


def document_start(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of a text that begins a document, (T,): the separator first, as training has it."""
    return [separator_of(tokenizer), *tokenizer.encode(text)]
