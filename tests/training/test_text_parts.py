"""What is done in parts comes out as if it had been done at once."""

from __future__ import annotations

import functools
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pocketlm_tokenizer import SPLITS, Tokenizer, safe_cut

from training.data.clean import clean, cleaned
from training.data.parts import NEAR, cut_after, cut_between_words, decoded, decoded_whole

LINES = st.lists(
    st.sampled_from(
        ["a", "b c", " ", "\t", "", "é", "e\u0301", "\u0301x", "\u00a0", "\x00", "한", "日本。", "**A.**", "_x_", "# H"]
    ),
    max_size=8,
).map("".join)
ENDS = st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\n \n", "\r\n\r\n", "\u2028", "\x85", "\n\x00\n"])
TEXTS = st.lists(st.tuples(LINES, ENDS), max_size=12).map(lambda parts: "".join(map("".join, parts)))


@given(TEXTS, st.integers(1, 9), st.sampled_from(["a.txt", "a.md"]))
@example("\n\n   \nfoo", 2, "a.md")
@example("a\n\n\x00\n\nb", 3, "a.txt")
def test_cleaning_in_parts_is_cleaning(text: str, nbytes: int, name: str) -> None:
    data = text.encode()
    assert "".join(cleaned(name, io.BytesIO(data), nbytes)) == clean(name, data)


@given(st.binary(max_size=30), st.integers(1, 5))
@example(b"ab\xc3", 2)
@example(b"\xef\xbb\xbfa", 1)
def test_decoding_in_parts_finds_the_same_byte(data: bytes, nbytes: int) -> None:
    try:
        whole = data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        for read in (lambda: "".join(decoded("a", io.BytesIO(data), nbytes)), lambda: decoded_whole("a", data)):
            with pytest.raises(ValueError, match=f"a: not UTF-8 at byte {error.start} "):
                read()
    else:
        assert "".join(decoded("a", io.BytesIO(data), nbytes)) == decoded_whole("a", data) == whole


@given(st.lists(st.text("a\n ", max_size=6)), st.sampled_from([("\n",), ("\n\n", "a\n")]))
def test_cuts_lie_after_an_end(texts: list[str], ends: tuple[str, ...]) -> None:
    parts = list(cut_after(texts, ends))
    assert "".join(parts) == "".join(texts)
    assert all(part.endswith(ends) for part in parts[:-1])


WORDS = st.text(st.sampled_from(list("ab1 \n\t.'s日ß\u00a0\u3000")) | st.characters(codec="utf-8"), max_size=60)


@given(st.lists(WORDS, max_size=6), st.sampled_from(SPLITS))
@example(["don't", " s 's\n", "\n x"], "gpt2")
@example(["a!", "\n\n", "\n x 12", "34"], "cl100k")
@example(["one\n", "\ntwo!", "\n\nthree"], "cl100k")
def test_tokens_of_the_parts_are_those_of_the_whole(texts: list[str], split: str) -> None:
    texts = ["some text ", *texts]
    parts = list(cut_between_words(texts, functools.partial(safe_cut, split=split)))
    assert "".join(parts) == "".join(texts)
    tokenizer = Tokenizer.train(["".join(texts)], vocab_size=300, split=split)
    assert [token for part in parts for token in tokenizer.encode(part)] == tokenizer.encode("".join(texts))
    assert Tokenizer.train(parts, vocab_size=300, split=split).to_bytes() == tokenizer.to_bytes()


@pytest.mark.parametrize("length", [NEAR - 3, NEAR - 2, NEAR - 1, NEAR, 3 * NEAR])
def test_the_only_place_is_found_far_from_the_end(length: int) -> None:
    assert list(cut_between_words(["one two" + "x" * length], safe_cut)) == ["one", " two" + "x" * length]


def test_a_long_text_is_really_cut() -> None:
    text = "word and word\n" * 1000
    portions = [text[i : i + 500] for i in range(0, len(text), 500)]
    assert max(map(len, cut_between_words(portions, safe_cut))) < 600
    assert max(map(len, cut_after(portions, ("\n",)))) < 600
    assert max(map(len, cleaned("a.txt", io.BytesIO(text.encode()), 500))) < 600
