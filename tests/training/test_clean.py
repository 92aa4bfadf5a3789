"""Cleaning: bytes to plain text."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.clean import clean, plain


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\xef\xbb\xbfa\r\nb\rc", "a\nb\nc\n"),
        ("e\u0301".encode(), "\u00e9\n"),
        (b"a \t\n\n b\x00\x07\x7f", "a\n\n b\n"),
        ("a\u2028b\x0cc".encode(), "a\nb\nc\n"),
        (b"\n\n \n", ""),
        (b"", ""),
    ],
)
def test_text_is_normalised(raw: bytes, text: str) -> None:
    assert clean("a.txt", raw) == text


@given(st.text())
def test_cleaning_is_idempotent_and_normalised(text: str) -> None:
    once = clean("a.txt", text.encode("utf-8", "ignore"))
    assert clean("a.txt", once.encode()) == once
    assert once == unicodedata.normalize("NFC", once)
    assert "\r" not in once
    assert once == "" or once.endswith("\n")


def test_bad_utf8_names_file_and_byte() -> None:
    with pytest.raises(ValueError, match=r"book\.txt: not UTF-8 at byte 3 \(0xff"):
        clean("book.txt", b"abc\xffdef")


def test_a_play_becomes_plain() -> None:
    markdown = (
        "# Macbeth\n\n## ACT I\n\n### SCENE I. A desert place.\n\n_Thunder and lightning. Enter\nthree Witches_\n\n"
        "**First Witch**  \nWhen shall we three meet again  \nIn thunder?\n\n\n*Exeunt lords.*\n\n"
        "**PAGE**  \n[Within]_  \n"
        "Who's \\[there\\]?  \n_\\[Aside]_  \n\\--odours savours *sweet* a_b_c:\n"
    )
    assert plain(markdown) == (
        "Macbeth\n\nACT I\n\nSCENE I. A desert place.\n\n[Thunder and lightning. Enter three Witches]\n\n"
        "First Witch:\nWhen shall we three meet again\nIn thunder?\n\n[Exeunt lords.]\n\nPAGE:\n[Within]\n"
        "Who's [there]?\n[Aside]\n--odours savours sweet a_b_c:"
    )


def test_only_markdown_files_are_read_as_markdown() -> None:
    assert clean("a.txt", b"**A**\n") == "**A**\n"
    assert clean("a.MD", b"**A**\n") == "A:\n"
    assert clean("a.md", b"see [the text](http://x/y) ![](i.png)\n") == "see the text\n"
