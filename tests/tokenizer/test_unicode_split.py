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


def test_every_scalar_value_is_in_its_class() -> None:
    script = SimpleNamespace(**runpy.run_path(str(SCRIPT)))
    assert tokenizers.__version__ == script.TOKENIZERS_VERSION, "make the table again: its classes are this version's"
    classes = script.probe_classes(script.their_split())
    assert len(classes) - classes.count("-") == 1_112_064
    assert set(classes) == set("LNSO-")
    assert script.render(classes) == script.TABLE.read_text(encoding="utf-8"), "the checked-in table is not up to date"
    ours = script.probe_classes(split)
    assert [f"U+{code:04X}" for code in range(0x110000) if ours[code] != classes[code]] == []


@settings(max_examples=500, deadline=None)
@given(oracle.TEXT)
def test_random_text_is_split_identically(text: str) -> None:
    assert split(text) == their_split(text)


def test_documents_are_split_identically() -> None:
    for documents in oracle.DOCUMENTS.values():
        for document in documents:
            assert split(document) == their_split(document)
