"""The flat form through Python: round trips, and a clear TokenizerError or OSError for anything else.

That each kind of flaw has its own error is tested in rust/tokenizer/tests/format_errors.rs.
"""

from __future__ import annotations

import struct
from pathlib import Path

import hf_oracle as oracle
import pytest
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


def test_the_header_is_as_specified() -> None:
    magic, version, split, vocab_size, specials, merges, token_bytes, total = struct.unpack_from("<8s6IQ", FLAT)
    assert (magic, version, split, vocab_size, specials, merges) == (b"PLMTOKEN", 1, 1, 400, 1, 143)
    assert total == len(FLAT) == 40 + 4 * 400 + 4 + 8 * 143 + token_bytes
    assert FLAT[-token_bytes:].startswith(oracle.END.encode() + b'!"#')


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "needs 40 bytes, the data has 0"),
        (FLAT[:39], "needs 40 bytes, the data has 39"),
        (FLAT[:-1], f"needs {len(FLAT)} bytes, the data has {len(FLAT) - 1}"),
        (FLAT + b"\0", f"says {len(FLAT)} bytes, the data has {len(FLAT) + 1}"),
        (b"GGUF" + FLAT[4:], "not a PocketLM tokenizer"),
        (FLAT[:8] + b"\2" + FLAT[9:], "version 2 is not supported, expected 1"),
        (FLAT[:12] + b"\2" + FLAT[13:], "split = 2: expected 1"),
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
    for offset in range(8, 40, 4):
        for value in (0, 1, 2, 255, 256, 399, 401, 1 << 16, 1 << 31, (1 << 32) - 1):
            data = FLAT[:offset] + struct.pack("<I", value) + FLAT[offset + 4 :]
            if data != FLAT:
                with pytest.raises(TokenizerError):
                    Tokenizer.from_bytes(data)


def test_special_id() -> None:
    assert OURS.special_id(oracle.END) == 0
    with pytest.raises(KeyError, match="<nothing>"):
        OURS.special_id("<nothing>")
