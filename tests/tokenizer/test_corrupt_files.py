"""A damaged file of any format is a ValueError in one short line, or a tokenizer that works; never a panic.

GGUF's vocabulary and a folder's tokenizer.json: tests/interop/test_corrupt_models.py, with the models around them.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import hf_oracle as oracle
import pytest
from damage import damaged
from pocketlm_tokenizer import Tokenizer
from tokenizers import AddedToken

TEXT = "To be, or not to be: that <|endoftext|>  is Ω the \r\n question.\u0301"


def flat() -> bytes:
    return Tokenizer.train(oracle.DOCUMENTS["prose"][:1], 330).to_bytes()


def hf_json() -> bytes:
    theirs = oracle.train(oracle.DOCUMENTS["prose"][:1], 330)
    theirs.add_tokens([AddedToken("whole", single_word=True, normalized=True)])
    return theirs.to_str().encode()


def rank_file() -> bytes:
    trained = Tokenizer.train(oracle.DOCUMENTS["prose"][:1], 330, special_tokens=[])
    tokens = [trained.token_bytes(id) for id in range(trained.vocab_size)]
    return b"".join(b"%s %d\n" % (base64.b64encode(token), rank) for rank, token in enumerate(tokens))


def from_json(path: Path) -> Tokenizer:
    return Tokenizer.from_hf_json(path.read_text(encoding="utf-8"))


def from_ranks(path: Path) -> Tokenizer:
    return Tokenizer.from_tiktoken(path.read_text(encoding="utf-8"), "o200k", {oracle.END: 1000})


@pytest.mark.parametrize(
    ("make", "read"),
    [(flat, Tokenizer.load), (hf_json, from_json), (rank_file, from_ranks)],
    ids=["flat", "tokenizer.json", "tiktoken"],
)
def test_a_damaged_file_is_an_error_or_a_tokenizer(
    tmp_path: Path, make: Callable[[], bytes], read: Callable[[Path], Tokenizer]
) -> None:
    path, whole = tmp_path / "damaged", make()
    path.write_bytes(whole)
    read(path).encode(TEXT)
    errors = 0
    for data in damaged(whole, 3000):
        path.write_bytes(data)
        try:
            found = read(path)
        except ValueError as error:
            errors += 1
            assert "\n" not in str(error) and 10 < len(str(error)) < 1200, error
            if read is Tokenizer.load:
                assert str(error).startswith(f"{path}: ")
        else:
            found.decode(found.encode(TEXT, special=True))
    assert errors > 100
