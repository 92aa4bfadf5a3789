"""Where in the text each token is: as Hugging Face says, in characters and in bytes."""

from __future__ import annotations

import hf_oracle as oracle
import pytest
import tokenizers
from hypothesis import given, settings
from pocketlm_tokenizer import Tokenizer, TokenizerError

OURS = Tokenizer.train(
    [document for documents in oracle.DOCUMENTS.values() for document in documents],
    3000,
    special_tokens=[oracle.END, "<|a|>"],
)
THEIRS = tokenizers.Tokenizer.from_str(OURS.to_hf_json())


def check(text: str, special: bool) -> None:
    THEIRS.encode_special_tokens = not special
    expected = THEIRS.encode(text)
    ids, offsets = OURS.encode_offsets(text, special)
    assert (ids, offsets) == (expected.ids, expected.offsets)
    assert ids == OURS.encode(text, special)

    same_ids, in_bytes = OURS.encode_offsets(text, special, unit="bytes")
    whole = text.encode()
    assert same_ids == ids
    assert [whole[start:end] for start, end in in_bytes] == [OURS.token_bytes(id) for id in ids]
    assert [end for _, end in in_bytes[:-1]] == [start for start, _ in in_bytes[1:]]


@pytest.mark.parametrize("name", oracle.DOCUMENTS)
def test_offsets_are_theirs(name: str) -> None:
    for document in oracle.DOCUMENTS[name]:
        check(document, special=False)
        check(document, special=True)


@settings(max_examples=300, deadline=None)
@given(text=oracle.TEXT)
def test_offsets_are_theirs_on_random_text(text: str) -> None:
    check(text + "<|a|>é" + text, special=True)


def test_white_space_that_an_added_token_takes_in_is_a_part_of_it() -> None:
    theirs = tokenizers.Tokenizer.from_str(OURS.to_hf_json())
    theirs.add_tokens([tokenizers.AddedToken("<mask>", lstrip=True, rstrip=True, normalized=False, special=True)])
    ours = Tokenizer.from_hf_json(theirs.to_str())
    text = "né  <mask> \n<mask>x"
    expected = theirs.encode(text)
    assert ours.encode_offsets(text, special=True) == (expected.ids, expected.offsets)


def test_what_has_no_offsets_is_refused() -> None:
    theirs = tokenizers.Tokenizer.from_str(OURS.to_hf_json())
    theirs.normalizer = tokenizers.normalizers.NFC()
    ours = Tokenizer.from_hf_json(theirs.to_str())
    with pytest.raises(TokenizerError, match="normalise it first"):
        ours.encode_offsets("e\u0301")
    assert ours.encode_offsets("é!") == OURS.encode_offsets("é!")
    with pytest.raises(TokenizerError, match="unit='words': expected 'characters' or 'bytes'"):
        ours.encode_offsets("é", unit="words")
