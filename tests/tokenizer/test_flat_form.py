"""The flat form through Python: round trips, and a clear TokenizerError or OSError for anything else.

That each kind of flaw has its own error is tested in rust/tokenizer/tests/format_errors.rs; what both languages must
agree on is in rust/tokenizer/tests/vectors.
"""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import flat_writer
import hf_oracle as oracle
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from pocketlm_tokenizer import Tokenizer, TokenizerError

OURS = Tokenizer.train(oracle.DOCUMENTS["prose"][:1], 400)
FLAT = OURS.to_bytes()


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.tok"
    path.write_bytes(FLAT)
    for again in (Tokenizer.from_bytes(FLAT), Tokenizer.load(path), Tokenizer.load(str(path))):
        assert again.to_bytes() == FLAT
        assert again.to_hf_json() == OURS.to_hf_json()
        assert again.special_tokens == {oracle.END: 0}
        assert again.merges() == OURS.merges()


def test_the_flat_form_is_as_specified() -> None:
    """A writer that follows FORMAT.md alone gives the same bytes for what was trained."""
    theirs = json.loads(OURS.to_hf_json())
    ids = theirs["model"]["vocab"]
    vector = {
        "split": "gpt2",
        "normalizer": 0,
        "merge_order": 0,
        "ignore_merges": 0,
        "tokens": [OURS.token_bytes(id).hex() for id in range(OURS.vocab_size)],
        "added": [[0, 1]],
        "merges": [list(merge) for merge in OURS.merges()],
    }
    assert len(ids) == 400
    assert flat_writer.flat_form(vector) == FLAT


@pytest.mark.parametrize("vector", flat_writer.VECTORS["tokenizers"], ids=lambda vector: vector["name"])
def test_vectors(vector: dict[str, Any]) -> None:
    data = flat_writer.flat_form(vector)
    assert hashlib.sha256(data).hexdigest() == vector["sha256"]
    ours = Tokenizer.from_bytes(data)
    assert ours.to_bytes() == data
    theirs = tokenizers.Tokenizer.from_str(ours.to_hf_json())
    for text, special, ids in vector["encode"]:
        assert ours.encode(text, special) == ids
        assert (oracle.encode_special if special else oracle.encode_ordinary)(theirs, text) == ids


@pytest.mark.parametrize("flaw", flat_writer.VECTORS["flaws"], ids=lambda flaw: flaw["what"])
def test_flaws_of_the_vectors_are_errors(flaw: dict[str, Any]) -> None:
    data = bytearray(flat_writer.flat_form(flat_writer.VECTORS["tokenizers"][0]))
    patch = bytes.fromhex(flaw["bytes"])
    at = flaw["offset"] % len(data)
    data[at : at + len(patch)] = patch
    with pytest.raises(TokenizerError):
        Tokenizer.from_bytes(bytes(data))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "needs 72 bytes, the data has 0"),
        (FLAT[:71], "needs 72 bytes, the data has 71"),
        (FLAT[:-1], f"needs {len(FLAT)} bytes, the data has {len(FLAT) - 1}"),
        (FLAT + b"\0", f"says {len(FLAT)} bytes, the data has {len(FLAT) + 1}"),
        (b"GGUF" + FLAT[4:], "not a PocketLM tokenizer"),
        (FLAT[:8] + b"\1" + FLAT[9:], "version 1 of the file is not supported, expected 2; write it again"),
        (FLAT[:12] + b"\2" + FLAT[13:], "algorithm = 2: expected 1"),
        (FLAT[:-1] + b"3", 'no split is named "gpt3"; there are gpt2'),
    ],
)
def test_flaws_are_named(data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=message):
        Tokenizer.from_bytes(data)
    (tmp_path / "flawed.tok").write_bytes(data)
    with pytest.raises(TokenizerError, match=message):
        Tokenizer.load(tmp_path / "flawed.tok")


def test_missing_file_and_folder_are_os_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such"):
        Tokenizer.load(tmp_path / "no such")
    with pytest.raises(IsADirectoryError):
        Tokenizer.load(tmp_path)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, len(FLAT) - 1), st.binary(min_size=1, max_size=8))
def test_a_changed_file_is_an_error_or_a_sound_tokenizer(at: int, patch: bytes) -> None:
    data = FLAT[:at] + patch + FLAT[at + len(patch) :]
    try:
        changed = Tokenizer.from_bytes(data)
    except TokenizerError:
        return
    assert changed.to_bytes() == data
    assert changed.decode(changed.encode("To be, or not to be?")) == "To be, or not to be?"


def test_every_truncation_and_size_is_named() -> None:
    """Cut anywhere, and each count of the header at its extremes: an error, whatever would have to be allocated."""
    for length in range(len(FLAT)):
        with pytest.raises(TokenizerError):
            Tokenizer.from_bytes(FLAT[:length])
    for offset in range(8, 72, 4):
        for value in (3, 255, 256, 399, 401, 1 << 16, 1 << 31, (1 << 32) - 1):
            data = FLAT[:offset] + struct.pack("<I", value) + FLAT[offset + 4 :]
            if data != FLAT:
                with pytest.raises(TokenizerError):
                    Tokenizer.from_bytes(data)


def test_special_id() -> None:
    assert OURS.special_id(oracle.END) == 0
    with pytest.raises(KeyError, match="<nothing>"):
        OURS.special_id("<nothing>")
