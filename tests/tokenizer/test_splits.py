"""Every split cuts where its regular expression cuts, and a safe cut changes nothing."""

from __future__ import annotations

import random
import unicodedata
from typing import get_args

import hf_oracle as oracle
import pytest
import split_oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from pocketlm_tokenizer import SPLITS, TokenizerError, safe_cut, split

from training.config.tokenizer import Split


def _interesting_scalars() -> list[str]:
    """Where the category changes, and some between. That the table has every scalar value right is tested elsewhere."""
    codes = [code for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]
    categories = [unicodedata.category(chr(code)) for code in codes]
    changes = [i for i in range(1, len(codes)) if categories[i] != categories[i - 1]]
    picked = {*changes, *(i - 1 for i in changes), *range(0x300), *random.Random(0).sample(range(len(codes)), 2000)}
    return [chr(codes[i]) for i in sorted(picked)]


PORTION = 1 << 11  # their time grows faster than the text
SCALARS = _interesting_scalars()


def test_every_split_has_an_oracle() -> None:
    assert set(SPLITS) == {"gpt2", "smollm2", *split_oracle.PATTERNS}
    assert get_args(Split) == SPLITS, "the presets know the same ones"


@pytest.mark.parametrize("name", SPLITS)
def test_characters_of_every_kind_are_split_as_theirs(name: str) -> None:
    """Beside a letter, a digit, a sign and a space, so that its kind shows."""
    theirs = split_oracle.splitter(name)
    for start in range(0, len(SCALARS), PORTION):
        text = "".join(f"a{char}A 1{char}1!{char}!{char}x'{char}" for char in SCALARS[start : start + (PORTION)])
        assert split(text, name) == theirs(text), f"from U+{ord(SCALARS[start]):04X} on"


@pytest.mark.parametrize("name", SPLITS)
def test_documents_are_split_as_theirs(name: str) -> None:
    theirs = split_oracle.splitter(name)
    for documents in oracle.DOCUMENTS.values():
        for document in documents:
            assert split(document, name) == theirs(document)


@pytest.mark.parametrize("name", SPLITS)
def test_random_texts_are_split_as_theirs(name: str) -> None:
    """3,400 texts of few atoms, each split by itself: the end of the text matters to some patterns."""
    theirs = split_oracle.splitter(name)
    generator = random.Random(name)
    atoms = split_oracle.ATOMS.elements  # type: ignore[attr-defined]
    for _ in range(3400):
        text = "".join(generator.choices(atoms, k=generator.randrange(1, 14)))
        assert split(text, name) == theirs(text), repr(text)


@pytest.mark.parametrize("name", SPLITS)
@settings(max_examples=300, deadline=None)
@given(text=split_oracle.TEXT | oracle.TEXT, tail=split_oracle.TEXT)
def test_random_text_is_split_as_theirs_and_may_be_cut(name: str, text: str, tail: str) -> None:
    whole = split(text + tail, name)
    assert whole == split_oracle.splitter(name)(text + tail)
    at = safe_cut(text, name)
    assert split(text[:at], name) + split(text[at:] + tail, name) == whole


@pytest.mark.parametrize("name", SPLITS)
@given(words=st.lists(st.sampled_from(["word", "Wort", "слово", "言葉"]), min_size=2, max_size=5))
def test_text_with_words_can_be_cut(name: str, words: list[str]) -> None:
    assert 0 < safe_cut(" ".join(words), name) < len(" ".join(words))


def test_an_unknown_split_is_an_error() -> None:
    for use in (split, safe_cut):
        with pytest.raises(TokenizerError, match='no split is named "GPT2"; there are gpt2, cl100k, o200k'):
            use("text", "GPT2")
