"""Merges and ids are identical to Hugging Face's trainer on the same documents."""

from __future__ import annotations

import json
import random

import hf_oracle as oracle
import pocketlm_tokenizer
import pytest
import split_oracle
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from pocketlm_tokenizer import SPLITS, Tokenizer, TokenizerError, WordCounts


@pytest.mark.parametrize("vocab_size", [300, 700, 4000])
@pytest.mark.parametrize("name", oracle.DOCUMENTS)
def test_training_is_identical(name: str, vocab_size: int) -> None:
    documents = oracle.DOCUMENTS[name]
    ours = Tokenizer.train(documents, vocab_size)
    assert json.loads(ours.to_hf_json()) == oracle.content(oracle.train(documents, vocab_size))


@pytest.mark.parametrize("split", SPLITS)
def test_training_is_identical_for_every_split(split: str) -> None:
    """The same vocabulary and merges as with the oracle's own pre-tokenizer, and their loader encodes alike."""
    documents = [document[:3000] for documents in oracle.DOCUMENTS.values() for document in documents]
    theirs = oracle.train(documents, 1500, pre_tokenizer=split_oracle.pre_tokenizer(split))
    ours = Tokenizer.train(documents, 1500, split=split)
    assert json.loads(ours.to_hf_json())["model"] == oracle.content(theirs)["model"]
    again = Tokenizer.from_bytes(ours.to_bytes())
    assert again.split == split
    loaded = tokenizers.Tokenizer.from_str(ours.to_hf_json())
    for document in documents:
        assert again.encode(document) == oracle.encode_ordinary(loaded, document)


def test_training_is_identical_on_everything_together() -> None:
    documents = [document for documents in oracle.DOCUMENTS.values() for document in documents]
    ours = Tokenizer.train(iter(documents), 8000)
    assert json.loads(ours.to_hf_json()) == oracle.content(oracle.train(documents, 8000))


@pytest.mark.parametrize("min_frequency", [0, 1, 2, 7])
def test_min_frequency_is_identical(min_frequency: int) -> None:
    documents = oracle.DOCUMENTS["prose"]
    ours = Tokenizer.train(documents, 20000, min_frequency=min_frequency)
    theirs = oracle.train(documents, 20000, min_frequency=min_frequency)
    assert json.loads(ours.to_hf_json()) == oracle.content(theirs)
    assert ours.vocab_size == theirs.get_vocab_size() < 20000, "the corpus is too small for the vocabulary"


@pytest.mark.parametrize("max_token_length", [1, 2, 3, 4, 7, 16, 1000])
@pytest.mark.parametrize("split", ["gpt2", "o200k"])
def test_max_token_length_is_identical(split: str, max_token_length: int) -> None:
    """Also beyond ASCII, where they count the characters that spell the bytes, which are as many."""
    documents = [document[:4000] for documents in oracle.DOCUMENTS.values() for document in documents]
    pre_tokenizer = split_oracle.pre_tokenizer(split)
    theirs = oracle.train(documents, 1500, pre_tokenizer=pre_tokenizer, max_token_length=max_token_length)
    ours = Tokenizer.train(documents, 1500, split=split, max_token_length=max_token_length)
    assert json.loads(ours.to_hf_json())["model"] == oracle.content(theirs)["model"]
    words = WordCounts(split)
    words.add(documents)
    counted = Tokenizer.train_from_counts(words, 1500, max_token_length=max_token_length)
    assert counted.to_bytes() == ours.to_bytes()
    longest = max(len(ours.token_bytes(id)) for id in range(1, ours.vocab_size))
    assert longest == max(2, max_token_length - 1) or max_token_length == 1000


@pytest.mark.parametrize(
    "specials", [[], ["<a>", "<|b|>", "[PAD] x"], ["<|im_start|>", oracle.END, "<|中文|>", '<"\\\n>']]
)
def test_special_tokens_are_identical(specials: list[str]) -> None:
    documents = oracle.DOCUMENTS["prose"][:1]
    ours = Tokenizer.train(documents, 500, special_tokens=specials)
    assert json.loads(ours.to_hf_json()) == oracle.content(oracle.train(documents, 500, specials))
    assert ours.special_tokens == {token: id for id, token in enumerate(specials)}


@settings(max_examples=150, deadline=None)
@given(
    st.lists(oracle.TEXT, min_size=1, max_size=6),
    st.integers(257, 400),
    st.integers(0, 3),
    st.none() | st.integers(1, 8),
)
def test_training_is_identical_on_random_documents(
    documents: list[str], vocab_size: int, min_frequency: int, max_token_length: int | None
) -> None:
    if not any(documents):
        return
    limits = {"min_frequency": min_frequency, "max_token_length": max_token_length}
    ours = Tokenizer.train(documents, vocab_size, **limits)  # type: ignore[arg-type]
    assert json.loads(ours.to_hf_json()) == oracle.content(oracle.train(documents, vocab_size, **limits))  # type: ignore[arg-type]


def test_order_of_documents_does_not_matter() -> None:
    documents = [paragraph for text in oracle.DOCUMENTS["prose"] for paragraph in text.split("\n\n")]
    expected = Tokenizer.train(documents, 2000).to_bytes()
    random.Random(0).shuffle(documents)
    assert Tokenizer.train(documents, 2000).to_bytes() == expected


def test_documents_are_split_apart() -> None:
    # "to" + "be" must not become one word, nor the spaces at a document's end stick to the next one.
    assert Tokenizer.train(["to", "be"], 1000).vocab_size == 257 + 2
    assert Tokenizer.train(["x ", " x"], 1000).vocab_size == 257 + 1


@pytest.mark.parametrize("documents", [[], [""], ["", ""]])
def test_no_text_is_an_error(documents: list[str]) -> None:
    with pytest.raises(TokenizerError, match="no text"):
        Tokenizer.train(documents, 300)


def test_wrong_arguments_are_errors() -> None:
    with pytest.raises(TokenizerError, match=r"vocab_size=256 .* need 257"):
        Tokenizer.train(["x"], 256)
    with pytest.raises(TokenizerError, match=r"max_token_length=0: expected 1 or more"):
        Tokenizer.train(["x"], 300, max_token_length=0)
    with pytest.raises(TokenizerError, match="listed twice"):
        Tokenizer.train(["x"], 300, special_tokens=["<a>", "<a>"])
    with pytest.raises(TokenizerError, match="merges make the same text"):
        Tokenizer.train(["the the the"], 300, special_tokens=["the"])
    with pytest.raises(TypeError, match="one str"):
        Tokenizer.train("one document", 300)
    with pytest.raises(TypeError):
        Tokenizer.train([b"bytes"], 300)  # type: ignore[list-item]
    with pytest.raises(OverflowError):
        Tokenizer.train(["x"], -1)


def test_errors_of_the_iterable_come_through() -> None:
    def documents():
        yield "x"
        raise ZeroDivisionError("from the iterable")

    with pytest.raises(ZeroDivisionError, match="from the iterable"):
        Tokenizer.train(documents(), 300)


def test_surrogates_are_an_error_not_a_crash() -> None:
    with pytest.raises(UnicodeEncodeError):
        Tokenizer.train(["\ud800"], 300)
    assert issubclass(pocketlm_tokenizer.TokenizerError, ValueError)
