"""The table of characters is what Hugging Face's regex engine sees in every Unicode scalar value."""

from __future__ import annotations

import runpy
from types import SimpleNamespace

import hf_oracle as oracle
import tokenizers

SCRIPT = oracle.ROOT / "rust" / "tokenizer" / "scripts" / "make_unicode_table.py"


def test_the_table_of_characters_is_theirs() -> None:
    script = SimpleNamespace(**runpy.run_path(str(SCRIPT)))
    assert tokenizers.__version__ == script.TOKENIZERS_VERSION, "make the table again: its kinds are this version's"
    table = script.render(script.probe_kinds(), script.word_characters())
    assert table == script.TABLE.read_text(encoding="utf-8"), "the checked-in table is not up to date"
