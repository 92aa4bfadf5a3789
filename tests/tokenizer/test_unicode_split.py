"""The split cuts where Hugging Face's regex engine cuts, for every Unicode scalar value."""

from __future__ import annotations

import runpy
from types import SimpleNamespace

import hf_oracle as oracle
import tokenizers
from hypothesis import given, settings
from pocketlm_tokenizer import split

SCRIPT = oracle.ROOT / "rust" / "tokenizer" / "scripts" / "make_unicode_table.py"


def their_split(text: str) -> list[str]:
    """The pieces by the oracle."""
    return [text[start:end] for _, (start, end) in oracle.byte_level().pre_tokenize_str(text)]


def test_the_table_of_characters_is_theirs() -> None:
    script = SimpleNamespace(**runpy.run_path(str(SCRIPT)))
    assert tokenizers.__version__ == script.TOKENIZERS_VERSION, "make the table again: its kinds are this version's"
    table = script.render(script.probe_kinds(), script.word_characters())
    assert table == script.TABLE.read_text(encoding="utf-8"), "the checked-in table is not up to date"


def test_every_scalar_value_is_split_as_theirs() -> None:
    """Beside a letter, a digit, a sign and a space, so that its class shows."""
    scalars = [chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]
    for start in range(0, len(scalars), 1 << 14):
        text = "".join(f"a{char}a 1{char}1!{char}!{char}x" for char in scalars[start : start + (1 << 14)])
        assert split(text) == their_split(text), f"from U+{ord(scalars[start]):04X} on"


@settings(max_examples=500, deadline=None)
@given(oracle.TEXT)
def test_random_text_is_split_identically(text: str) -> None:
    assert split(text) == their_split(text)


def test_documents_are_split_identically() -> None:
    for documents in oracle.DOCUMENTS.values():
        for document in documents:
            assert split(document) == their_split(document)
