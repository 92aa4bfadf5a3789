"""Ids are identical to Hugging Face's, whose tokenizer.json of our writing is loaded for the comparison."""

from __future__ import annotations

import itertools
import threading
import time

import hf_oracle as oracle
import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from pocketlm_tokenizer import Tokenizer, TokenizerError

Pair = tuple[Tokenizer, tokenizers.Tokenizer]


@pytest.fixture(
    scope="module", params=[["prose"], ["code", "multilingual"], list(oracle.DOCUMENTS)], ids=lambda names: names[0]
)
def pair(request: pytest.FixtureRequest) -> Pair:
    """Ours, and theirs loaded from the tokenizer.json that ours wrote."""
    documents = [document for name in request.param for document in oracle.DOCUMENTS[name]]
    ours = Tokenizer.train(documents, 3000, special_tokens=[oracle.END, "<|a|>", "<|a|><|b|>"])
    return ours, tokenizers.Tokenizer.from_str(ours.to_hf_json())


@pytest.mark.parametrize("name", oracle.DOCUMENTS)
def test_ids_are_identical(pair: Pair, name: str) -> None:
    ours, theirs = pair
    for document in oracle.DOCUMENTS[name]:
        assert ours.encode(document) == oracle.encode_ordinary(theirs, document)
        assert ours.encode(document, special=True) == oracle.encode_special(theirs, document)


@settings(max_examples=300, deadline=None)
@given(text=oracle.TEXT)
def test_ids_are_identical_on_random_text(pair: Pair, text: str) -> None:
    ours, theirs = pair
    text += "<|a|><|b|>" + text + "<|a|> <|b|>"
    assert ours.encode(text) == oracle.encode_ordinary(theirs, text)
    assert ours.encode(text, special=True) == oracle.encode_special(theirs, text)


@pytest.mark.parametrize(
    "text", ["a" * 100_000, "ab" * 50_000, " " * 100_000, "é" * 50_000, "x1" * 50_000, "\r\n" * 50_000]
)
def test_long_runs_are_identical_and_not_quadratic(pair: Pair, text: str) -> None:
    ours, theirs = pair
    start = time.thread_time()
    ids = ours.encode(text)
    assert time.thread_time() - start < 1
    assert ids == oracle.encode_ordinary(theirs, text)


def test_all_forms_hold_the_same_ids(pair: Pair) -> None:
    ours, _ = pair
    documents = [*oracle.DOCUMENTS["prose"], "", *oracle.DOCUMENTS["specials in the text"]]
    for special in (False, True):
        ids = [ours.encode(document, special) for document in documents]
        assert np.frombuffer(ours.encode_u16(documents[0], special), "<u2").tolist() == ids[0]
        assert np.frombuffer(ours.encode_u32(documents[0], special), "<u4").tolist() == ids[0]
        array = ours.encode_array(documents[0], special)
        assert (array.dtype, array.tolist()) == (np.dtype("<u4"), ids[0])
        assert [ours.count(document, special) for document in documents] == list(map(len, ids))
        for threads in (1, 2, 5, None):
            assert ours.encode_batch(documents, special, threads) == ids
            joined, ends = ours.encode_batch_array(documents, special, threads)
            assert ends.tolist() == list(itertools.accumulate(map(len, ids)))
            assert joined.tolist() == list(itertools.chain.from_iterable(ids))
    assert ours.encode_batch([]) == []


def test_a_long_text_is_the_same_by_several_threads(pair: Pair) -> None:
    ours, _ = pair
    text = "\n".join(document for documents in oracle.DOCUMENTS.values() for document in documents) * 8
    assert len(text) > 1 << 20
    for special in (False, True):
        expected = ours.encode_u32(text, special)
        assert ours.encode_u32(text, special, threads=3) == expected
        assert ours.encode_u16(text, special, threads=None) == ours.encode_u16(text, special)
        batch = ["a", text, "", "x" * (1 << 20), text[:1000]]
        assert ours.encode_batch(batch, special, threads=3) == ours.encode_batch(batch, special, threads=1)
    with pytest.raises(TokenizerError, match="threads=0"):
        ours.encode_u32(text, threads=0)


@pytest.mark.parametrize("token_nbytes", [2, 4])
def test_documents_are_encoded_as_a_shard_has_them(pair: Pair, token_nbytes: int) -> None:
    ours, _ = pair
    parts = ["to be", " or", "", "é " * 700_000, "x", "<|a|>"]
    for begins in ([True] * 6, [False, True, True, False, False, True], [False] * 6):
        tokens: list[int] = []
        starts, text_nbytes = [], [0]
        for part, is_first in zip(parts, begins, strict=True):
            if is_first:
                starts.append(len(tokens))
                tokens.append(2)
                text_nbytes.append(0)
            tokens += ours.encode(part)
            text_nbytes[-1] += len(part.encode())
        found = ours.encode_documents(parts, begins, 2, token_nbytes, threads=2)
        assert np.frombuffer(found[0], f"<u{token_nbytes}").tolist() == tokens
        assert [counts.tolist() for counts in found[1:]] == [starts, text_nbytes]
    assert [len(each) for each in ours.encode_documents([], [], 0)] == [0, 0, 1]
    with pytest.raises(TokenizerError, match="begins has 1 entries, expected one for each of 6 parts"):
        ours.encode_documents(parts, [True], 0)
    with pytest.raises(TokenizerError, match="token_nbytes=3: expected 2 or 4"):
        ours.encode_documents(parts, [True] * 6, 0, 3)
    with pytest.raises(TokenizerError):
        ours.encode_documents(parts, [True] * 6, ours.vocab_size)


def test_u16_refuses_a_larger_vocabulary() -> None:
    large = Tokenizer.train(["x"], 70_000, special_tokens=[f"<|{i}|>" for i in range(66_000)])
    with pytest.raises(TokenizerError, match="do not fit into u16"):
        large.encode_u16("x")
    with pytest.raises(TokenizerError, match="do not fit into u16"):
        large.encode_documents(["x"], [True], 0)
    assert large.encode("<|65999|>", special=True) == [65_999]
    assert np.frombuffer(large.encode_u32("<|65999|>", special=True), "<u4").tolist() == [65_999]


def test_threads_share_a_tokenizer(pair: Pair) -> None:
    ours, _ = pair
    text = "\n".join(oracle.DOCUMENTS["prose"])
    expected = ours.encode_u32(text)
    results: list[bytes] = []
    threads = [threading.Thread(target=lambda: results.append(ours.encode_u32(text))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 4


def test_surrogates_are_an_error(pair: Pair) -> None:
    with pytest.raises(UnicodeEncodeError):
        pair[0].encode("\ud800")
