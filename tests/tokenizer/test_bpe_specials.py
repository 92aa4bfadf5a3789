"""A say for each special token, as tiktoken has it; rows of equal length."""

from __future__ import annotations

import random
import re

import hf_oracle as oracle
import numpy as np
import pytest
from pocketlm_tokenizer import Tokenizer, TokenizerError

SPECIALS = [oracle.END, "<|a|>", "<|a|><|b|>", "<|b|>x"]
OURS = Tokenizer.train(oracle.DOCUMENTS["prose"], 600, special_tokens=SPECIALS)


def naive(text: str, allowed: set[str]) -> list[int]:
    """tiktoken's way: the next special token; if that is not allowed, the next one behind its first character."""
    any_special = re.compile("|".join(map(re.escape, sorted(SPECIALS, key=len, reverse=True))))
    ids, start = [], 0
    while True:
        search_from = start
        while (found := any_special.search(text, search_from)) and found[0] not in allowed:
            search_from = found.start() + 1
        end = found.start() if found else len(text)
        ids += OURS.encode(text[start:end])
        if not found:
            return ids
        ids.append(OURS.special_tokens[found[0]])
        start = found.end()


def test_allowed_tokens_become_their_ids_and_others_are_text() -> None:
    generator = random.Random(0)
    for _ in range(2000):
        allowed = {name for name in SPECIALS if generator.random() < 0.5}
        text = "".join(generator.choices([*SPECIALS, "<|a|", "to be", " ", "|>", "x"], k=generator.randrange(8)))
        assert OURS.encode_checked(text, allowed, forbidden=()) == naive(text, allowed)


def test_a_forbidden_token_is_refused_with_its_place() -> None:
    text = "né <|a|> or <|endoftext|>"
    with pytest.raises(TokenizerError, match=r'special token "<\|a\|>" at character 3'):
        OURS.encode_checked(text)
    with pytest.raises(TokenizerError, match=r'special token "<\|endoftext\|>" at character 12'):
        OURS.encode_checked(text, allowed=["<|a|>"])
    with pytest.raises(TokenizerError, match=r'"<\|endoftext\|>"'):
        OURS.encode_checked(text, forbidden={oracle.END})
    assert OURS.encode_checked(text, forbidden=["<|b|>x"]) == OURS.encode(text)
    assert OURS.encode_checked(text, allowed=["<|a|>", oracle.END]) == OURS.encode(text, special=True)
    for words in ({"allowed": ["<|no|>"]}, {"forbidden": ["<|no|>"]}):
        with pytest.raises(KeyError, match=r"<\|no\|>"):
            OURS.encode_checked(text, **words)


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("length", [None, 0, 1, 7, 1000])
def test_rows_hold_each_text_cut_off_or_filled_up(length: int | None, left: bool) -> None:
    texts = ["", "to be", *(document[:99] for document in oracle.DOCUMENTS["code"])]
    rows, lengths = OURS.encode_batch_padded(texts, 1, length, left=left)
    ids = [OURS.encode(text) for text in texts]
    width = max(map(len, ids)) if length is None else length
    expected = []
    for row in ids:
        padding = [1] * (width - len(row))
        expected.append(padding + row[:width] if left else row[:width] + padding)
    assert (rows.dtype, rows.shape) == (np.uint32, (len(texts), width))
    assert rows.tolist() == expected
    assert lengths.tolist() == [min(len(row), width) for row in ids]


def test_rows_that_cannot_be_are_refused() -> None:
    with pytest.raises(TokenizerError, match="id 600 is not in the vocabulary"):
        OURS.encode_batch_padded(["x"], 600)
    with pytest.raises(MemoryError):
        OURS.encode_batch_padded(["x", "y"], 1, 2**63)
    rows, lengths = OURS.encode_batch_padded([], 1)
    assert (rows.shape, lengths.shape) == ((0, 0), (0,))
