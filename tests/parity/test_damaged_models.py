"""Damage to a model.bin, in Python's reader and in Rust's (`pocketlm inspect`): the same verdict by the same name.

Half of it has its checksums repaired, so that it gets past the header's. Where both accept a file they must agree on
what it says. One thing is left out: Python also refuses another spelling of a float (1e4 for 10000.0).
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.parity.conftest import Run
from tests.parity.models import config, write_random_model
from training.format import file as mf
from training.format.errors import ModelFileError
from training.format.file import Section

SHAPE = config(n_layer=1, n_head=1, n_kv_head=1, d_model=6, d_head=4, d_ff=5, vocab_size=9)
SIZES = [0, 1, 2, 3, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 62, 1 << 63, (1 << 64) - 1, 1 << 64, 10**400, -1, -1 << 63]
WORDS = [
    "",
    "f16",
    "q8_0",
    "bf16",
    "qwen2",
    "chat_template",
    "x" * 64,
    "0" * 64,
    "é",
    "\ud800",
    "\x1b[2J",
    "model.norm.weight",
]
VALUES: list[Any] = [*SIZES, *WORDS, True, None, 1.5, 1e308, [], {}, [1], [[1 << 63]], {"a": 1}]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_random_model(tmp_path_factory.mktemp("good") / "m.bin", SHAPE, 4).path.read_bytes()


@pytest.fixture(scope="module", params=["q8_0", "q4_0"])
def quantised(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file in blocks, with an optional section of each kind: known, required, unknown."""
    shape = {**SHAPE, "n_head": 2, "n_kv_head": 2, "d_model": 32, "d_head": 16, "d_ff": 32, "stop_token_ids": [3, 5]}
    sections = {"chat_template": Section("{{é}}".encode(), required=True), "zzz": Section(b"\xff" * 300)}
    path = tmp_path_factory.mktemp("quantised") / "m.bin"
    return write_random_model(path, shape, 4, request.param, sections=sections).path.read_bytes()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged") / "m.bin"


def check(cli: Run, path: Path, data: bytes) -> str:
    """The error's name in both readers; "" where both accept the file."""
    path.write_bytes(data)
    done = cli("inspect", path, "--json")
    said = done.stderr.decode()
    try:
        read = mf.read_model(path)
    except ModelFileError as error:
        name = type(error).__name__
        assert (done.returncode, done.stdout) == (1, b"") and said.count("\n") == 1, f"{error}\nRust: {said or 'reads'}"
        assert f"m.bin: {name}: " in said, f"{error}\nRust: {said}"
        return name
    assert done.returncode == 0, f"Python reads it\nRust: {said}"
    assert json.loads(done.stdout) == read.header
    return ""


def header_of(data: bytes) -> dict[str, Any]:
    nbytes = mf.PREFIX.unpack(data[:64])[2]
    header: dict[str, Any] = json.loads(data[64 : 64 + nbytes])
    return header


def with_header(data: bytes, header: object) -> bytes:
    """The file with another header, its checksum and lengths repaired; the sections stay where the old header ended."""
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode("ascii")
    _, _, _, old_offset, old_nbytes, _ = mf.PREFIX.unpack(data[:64])
    offset = (64 + len(text) + 255) // 256 * 256
    digest = hashlib.sha256(text).digest()
    prefix = mf.PREFIX.pack(mf.MAGIC, mf.VERSION, len(text), offset, old_nbytes - old_offset + offset, digest)
    return (prefix + text).ljust(offset, b"\0") + data[old_offset:]


def sections(header: dict[str, Any]) -> list[dict[str, Any]]:
    return [header["tokenizer"], header["golden"]["logits"], *header["sections"], *header["tensors"]]


def containers(value: Any) -> Iterator[Any]:
    """Every object and array that has something in it."""
    if isinstance(value, dict | list) and value:
        yield value
        for child in value.values() if isinstance(value, dict) else value:
            yield from containers(child)


def test_bytes_and_truncations(cli: Run, place: Path, good: bytes) -> None:
    """One byte changed at 60 places; cut at, before and after the beginning and end of all that is in the file."""
    assert check(cli, place, good) == ""
    header = header_of(good)
    ends = {0, 8, 12, 16, 24, 32, 64, 64 + mf.PREFIX.unpack(good[:64])[2], len(good)}
    ends |= {at for section in sections(header) for at in (section["offset"], section["offset"] + section["nbytes"])}
    for length in sorted({end + step for end in ends for step in (-1, 0, 1)} & set(range(len(good)))):
        assert check(cli, place, good[:length]) == "Truncated"
    assert check(cli, place, good + b"\0") == "BadLength"
    offsets = np.random.default_rng(0).integers(64, len(good), size=38).tolist()
    for offset in [*range(0, 64, 3), *offsets]:
        assert check(cli, place, good[:offset] + bytes([good[offset] ^ 0x55]) + good[offset + 1 :])


def test_sizes_of_the_prefix(cli: Run, place: Path, good: bytes) -> None:
    fields = mf.PREFIX.unpack(good[:64])
    for index, bits in ((1, 32), (2, 32), (3, 64), (4, 64)):
        for size in [*SIZES, fields[index] - 256, fields[index] + 256]:
            if 0 <= size < 1 << bits and size != fields[index]:
                changed = [*fields[:index], size, *fields[index + 1 :]]
                name = check(cli, place, mf.PREFIX.pack(*changed) + good[64:])
                assert name in {"UnsupportedVersion", "BadLength", "Truncated"}


def test_blocks_and_sections(cli: Run, place: Path, quantised: bytes) -> None:
    """Scales that are not finite, a template that is not UTF-8, rows that are no whole blocks, new sections."""
    assert check(cli, place, quantised) == ""
    for index, section in enumerate(sections(header_of(quantised))):
        header, data = header_of(quantised), bytearray(quantised)
        start, end = section["offset"], section["offset"] + section["nbytes"]
        data[end - 2 : end] = b"\xff\x7c"  # NaN in f16; in f32 a number below 1e38
        sections(header)[index]["sha256"] = hashlib.sha256(data[start:end]).hexdigest()
        expected = "BadSection" if section.get("name") == "chat_template" else ""
        expected = "NotFinite" if section.get("dtype", "f32") != "f32" else expected
        assert check(cli, place, with_header(bytes(data), header)) == expected, section
    header = header_of(quantised)
    header["sections"][1]["required"] = True
    assert check(cli, place, with_header(quantised, header)) == "Unsupported"
    header["sections"][1]["name"] = "samples"
    assert check(cli, place, with_header(quantised, header)) == ""
    header["config"]["d_ff"] = header["tensors"][7]["shape"][0] = header["tensors"][8]["shape"][0] = 33
    header["tensors"][9]["shape"][1] = 33
    assert check(cli, place, with_header(quantised, header)) == "BadConfig"


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_header_with_repaired_checksums(
    cli: Run, place: Path, good: bytes, quantised: bytes, data: st.DataObject
) -> None:
    """One or two values anywhere replaced, taken out or put in twice."""
    start = data.draw(st.sampled_from([good, quantised]))
    header = header_of(start)
    for _ in range(data.draw(st.integers(1, 2))):
        holder = data.draw(st.sampled_from(list(containers(header))))
        key = data.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
        change = data.draw(st.sampled_from(["set"] * 8 + ["delete", "copy"]))
        if change == "delete":
            del holder[key]
        elif change == "set":
            holder[key] = copy.deepcopy(data.draw(st.sampled_from(VALUES)))  # the next round may change it
        elif isinstance(holder, list):
            holder.append(holder[key])
        else:
            holder[f"{key}s"] = holder[key]
    check(cli, place, with_header(start, header))


@pytest.mark.parametrize("depth", [1, 29, 30, 31, 32, 33, 900, 100_000])
@pytest.mark.parametrize("mark", ["[]", '{"a":}'])
def test_nesting(cli: Run, place: Path, good: bytes, depth: int, mark: str) -> None:
    """As deep as FORMAT.md allows, one deeper, and so deep that a parser which recurses would fall over."""
    value = mark[:-1] * depth + "1" + mark[-1] * depth
    header = header_of(good)
    header["provenance"]["seed"] = "SEED"
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).replace('"SEED"', value).encode()
    offset = (64 + len(text) + 255) // 256 * 256
    old = mf.PREFIX.unpack(good[:64])[3]
    prefix = mf.PREFIX.pack(
        mf.MAGIC, mf.VERSION, len(text), offset, len(good) - old + offset, hashlib.sha256(text).digest()
    )
    name = check(cli, place, (prefix + text).ljust(offset, b"\0") + good[old:])
    assert (name == "BadHeader") is (depth > 30)


@pytest.mark.parametrize("bits", [0x7FC00000, 0x7F800000, 0xFF800000, 0x7F800001], ids=hex)
def test_values_that_are_not_finite(cli: Run, place: Path, good: bytes, bits: int) -> None:
    """In the first and the last value of the golden logits and of each tensor, its section's checksum repaired."""
    for index in range(1, len(sections(header_of(good)))):
        for last in (False, True):
            header, data = header_of(good), bytearray(good)
            section = sections(header)[index]
            start, end = section["offset"], section["offset"] + section["nbytes"]
            at = end - 4 if last else start
            data[at : at + 4] = bits.to_bytes(4, "little")
            section["sha256"] = hashlib.sha256(data[start:end]).hexdigest()
            assert check(cli, place, with_header(bytes(data), header)) == "NotFinite"


def test_padding(cli: Run, place: Path, good: bytes) -> None:
    header = header_of(good)
    for section in sections(header):
        end = section["offset"] + section["nbytes"]
        for at in {section["offset"] - 1, end} & set(range(len(good))):
            if end % 256 or at != end:
                assert check(cli, place, good[:at] + b"\1" + good[at + 1 :]) == "NonZeroPadding"
