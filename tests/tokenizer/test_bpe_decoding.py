"""Decoding gives the text back, in one piece or as a stream, and treats broken UTF-8 as Hugging Face's decoder does."""

from __future__ import annotations

import hf_oracle as oracle
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from pocketlm_tokenizer import Tokenizer, TokenizerError

# So few tokens that most characters beyond ASCII are several.
OURS = Tokenizer.train(oracle.DOCUMENTS["prose"], 700)
THEIRS = tokenizers.Tokenizer.from_str(OURS.to_hf_json())
IDS = st.lists(st.integers(0, OURS.vocab_size - 1), max_size=60)


@pytest.mark.parametrize("name", oracle.DOCUMENTS)
def test_documents_come_back(name: str) -> None:
    for document in oracle.DOCUMENTS[name]:
        for special in (False, True):
            ids = OURS.encode(document, special)
            assert OURS.decode(ids) == document
            assert OURS.decode(ids, errors="strict") == document
            assert OURS.decode_bytes(ids) == document.encode()


@settings(max_examples=300, deadline=None)
@given(IDS)
def test_any_ids_decode_as_theirs(ids: list[int]) -> None:
    # Most random ids make broken UTF-8 somewhere.
    data = OURS.decode_bytes(ids)
    assert OURS.decode(ids) == data.decode(errors="replace") == THEIRS.decode(ids, skip_special_tokens=False)
    assert OURS.decode(ids, errors="ignore") == data.decode(errors="ignore")


@settings(max_examples=300, deadline=None)
@given(IDS)
def test_a_stream_gives_the_same_text(ids: list[int]) -> None:
    stream = OURS.decode_stream()
    parts = [stream.push(id) for id in ids]
    assert "".join(parts) + stream.finish() == OURS.decode(ids)
    assert stream.finish() == "", "finish leaves the stream empty"


def test_a_stream_holds_back_what_is_not_whole() -> None:
    ids = OURS.encode("🙂é")
    assert len(ids) == 6, "one token a byte: this vocabulary knows no emoji"
    stream = OURS.decode_stream()
    assert [stream.push(id) for id in ids] == ["", "", "", "🙂", "", "é"]
    assert [stream.push(ids[0]), stream.push(ids[1]), stream.push(OURS.encode("a")[0])] == ["", "", "\ufffda"]
    assert [stream.push(ids[0]), stream.finish()] == ["", "\ufffd"]


def test_strict_decoding_names_the_place() -> None:
    with pytest.raises(UnicodeDecodeError):
        OURS.decode(OURS.encode("é")[:1], errors="strict")
    with pytest.raises(LookupError):
        OURS.decode(OURS.encode("é")[:1], errors="no such handler")


@pytest.mark.parametrize("id", [OURS.vocab_size, 2**32 - 1])
def test_unknown_ids_are_errors(id: int) -> None:
    stream = OURS.decode_stream()
    for use, argument in (
        (OURS.decode, [0, id]),
        (OURS.decode_bytes, [id]),
        (stream.push, id),
        (OURS.token_bytes, id),
    ):
        with pytest.raises(TokenizerError, match=f"token id {id} is not in the vocabulary, .* below 700"):
            use(argument)


@pytest.mark.parametrize("id", [-1, 2**32])
def test_ids_that_are_no_u32_are_errors(id: int) -> None:
    with pytest.raises(OverflowError):
        OURS.decode([id])
    with pytest.raises(OverflowError):
        OURS.token_bytes(id)


def test_tokens_are_what_the_vocabulary_says() -> None:
    spelled = {OURS.token_bytes(THEIRS.token_to_id(char)): char for char in oracle.byte_level().alphabet()}
    assert len(spelled) == 256
    for token, id in THEIRS.get_vocab().items():
        data = OURS.token_bytes(id)
        assert token == (data.decode() if id == 0 else "".join(spelled[bytes([byte])] for byte in data))
    for rank, (left, right, result) in enumerate(OURS.merges()):
        assert result == 257 + rank
        assert OURS.token_bytes(left) + OURS.token_bytes(right) == OURS.token_bytes(result)
