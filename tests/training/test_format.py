"""training/format: what is written is read back, and every check of FORMAT.md §4 is provoked by name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.parity.models import config, write_random_model
from training.format import errors, families
from training.format import file as mf
from training.format.dtypes import Stored, as_stored
from training.format.file import Section

TINY = config(n_layer=1, n_head=2, n_kv_head=1, d_model=5, d_head=4, d_ff=6, vocab_size=9, ctx_len=8)


def write(path: Path, **changes: Any) -> Path:
    """A tiny random model with some arguments of `write_model` changed."""
    rng = np.random.default_rng(1)
    arguments: dict[str, Any] = {
        "config": TINY,
        "tokenizer_bytes": b"tokenizer",
        "tensors": {s.name: rng.standard_normal(s.shape) for s in families.expected_tensors(TINY)},
        "golden": mf.Golden([1, 2, 3], rng.standard_normal(9).astype(np.float32)),
        "provenance": {"by": "a test"},
        **changes,
    }
    mf.write_model(path, **arguments)
    return path


def rebuild(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the header and repair its checksum and lengths; sections stay where they are as long as it fits."""
    data = path.read_bytes()
    _, _, nbytes, data_offset, file_nbytes, _ = mf.PREFIX.unpack(data[: mf.PREFIX.size])
    header = json.loads(data[64 : 64 + nbytes])
    change(header)
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    write_header(path, data, text, data_offset, file_nbytes)


def write_header(path: Path, data: bytes, text: bytes, data_offset: int, file_nbytes: int) -> None:
    new_offset = (64 + len(text) + 255) // 256 * 256
    file_nbytes += new_offset - data_offset
    digest = hashlib.sha256(text).digest()
    prefix = mf.PREFIX.pack(mf.MAGIC, mf.VERSION, len(text), new_offset, file_nbytes, digest)
    path.write_bytes((prefix + text).ljust(new_offset, b"\0") + data[data_offset:])


@pytest.mark.parametrize("dtype", ["f32", "f16"])
@pytest.mark.parametrize("tied", [True, False])
def test_read_back(tmp_path: Path, dtype: str, tied: bool) -> None:
    conf = {**TINY, "tie_embeddings": tied, "eos_token_id": 3, "stop_token_ids": [1, 2], "rope_theta": 500}
    rng = np.random.default_rng(2)
    tensors = {s.name: rng.standard_normal(s.shape) for s in families.expected_tensors(conf)}
    provenance = {"vals": [1, 1.5, None, True], "text": "é\u2028😀\x7f"}
    sections = {"zzz": Section(b"\xff"), "chat_template": Section("{{é}}".encode(), required=True)}
    path = write(
        tmp_path / "m.bin", config=conf, tensors=tensors, provenance=provenance, sections=sections, dtype=dtype
    )
    read = mf.read_model(path)
    assert read.config == {**conf, "rope_theta": 500.0}
    assert (read.tokenizer_bytes, read.chat_template, read.provenance) == (b"tokenizer", "{{é}}", provenance)
    assert read.sections == sections
    assert list(read.golden.ids) == [1, 2, 3]
    assert list(read.tensors) == [s.name for s in families.expected_tensors(conf)]
    for spec in families.expected_tensors(conf):
        expected = as_stored(spec, tensors[spec.name], dtype)
        stored = read.stored[spec.name]
        assert (stored.dtype, stored.shape) == (spec.dtype(dtype), spec.shape)
        np.testing.assert_array_equal(stored.data, expected.data)
        np.testing.assert_array_equal(
            read.tensors[spec.name], tensors[spec.name].astype({"f32": "<f4", "f16": "<f2"}[stored.dtype])
        )
    assert path.stat().st_size % 256 == 0
    assert not read.stored["model.norm.weight"].data.flags.writeable


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    assert write(tmp_path / "a.bin").read_bytes() == write(tmp_path / "b.bin").read_bytes()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = write(tmp_path / "m.bin")
    before = path.read_bytes()
    tensors = {s.name: np.zeros(s.shape) for s in families.expected_tensors(TINY)}
    tensors["model.norm.weight"] = np.full(5, np.nan)
    with pytest.raises(errors.NotFinite, match=r"model\.norm\.weight\[0\]"):
        write(path, tensors=tensors)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.bin"]


def test_tensors_are_asked_for_one_at_a_time(tmp_path: Path) -> None:
    """A lazy mapping never has to hold two tensors."""

    class Lazy(dict[str, Any]):
        alive = 0

        def __getitem__(self, name: str) -> np.ndarray:
            shape = super().__getitem__(name)
            asked.append(name)
            return np.ones(shape)

    asked: list[str] = []
    specs = families.expected_tensors(TINY)
    write(tmp_path / "m.bin", tensors=Lazy({s.name: s.shape for s in specs}))
    assert asked == [s.name for s in specs]


def test_what_the_writer_refuses(tmp_path: Path) -> None:
    path = tmp_path / "m.bin"
    tensors = {s.name: np.ones(s.shape) for s in families.expected_tensors(TINY)}
    embedding = "model.embed_tokens.weight"
    with pytest.raises(errors.NotFinite, match="overflows f16"):
        write(path, tensors={**tensors, embedding: np.full((9, 5), 65520.0)}, dtype="f16")
    with pytest.raises(errors.BadConfig, match="shape"):
        write(path, tensors={**tensors, embedding: np.ones((5, 9))})
    with pytest.raises(errors.BadConfig, match="extra"):
        write(path, tensors={**tensors, "extra": np.ones(1)})
    with pytest.raises(errors.BadConfig, match="embed_tokens"):
        write(path, tensors={k: v for k, v in tensors.items() if k != embedding})
    with pytest.raises(errors.BadConfig, match="dtype"):
        write(path, dtype="bf16")
    with pytest.raises(errors.BadConfig, match="rows of a multiple of 32 weights for q8_0, got 5"):
        write(path, dtype="q8_0")
    with pytest.raises(errors.Unsupported, match="architecture: expected fast, llama, qwen2, qwen3, got 'mamba'"):
        write(path, architecture="mamba")
    for cap in (0.5, 1001, -15.0):
        with pytest.raises(errors.BadConfig, match=r"config\.logit_cap: expected 1 to 1000"):
            write(path, architecture="fast", config={**TINY, "logit_cap": cap})
    with pytest.raises(errors.BadHeader, match=r"config\.logit_cap: expected a number"):
        write(path, architecture="fast", config={**TINY, "logit_cap": True})
    with pytest.raises(errors.BadHeader, match=r"config\.logit_cap: .*missing"):
        write(path, architecture="fast")
    with pytest.raises(errors.BadHeader, match=r"config\.logit_cap: .*unknown key"):
        write(path, config={**TINY, "logit_cap": 15.0})
    with pytest.raises(errors.BadConfig, match=r"expected f32 \[5\], got f16 \[5\]"):
        write(path, tensors={**tensors, "model.norm.weight": Stored("f16", (5,), np.zeros(10, np.uint8))})
    with pytest.raises(errors.BadConfig, match="d_head"):
        write(path, config={**TINY, "d_head": 3})
    with pytest.raises(errors.BadHeader, match="d_ff"):
        write(path, config={k: v for k, v in TINY.items() if k != "d_ff"}, tensors=tensors)
    with pytest.raises(errors.BadHeader, match="NaN"):
        write(path, provenance={"loss": float("nan")})
    with pytest.raises(errors.BadHeader, match="1048576"):
        write(path, provenance={"x": "y" * (1 << 20)})
    with pytest.raises(errors.BadHeader, match=r"sections\[0\]\.name"):
        write(path, sections={"A": Section(b"")})
    with pytest.raises(errors.Unsupported, match=r"sections\[0\]\.name.*'a', which is required"):
        write(path, sections={"a": Section(b"", required=True)})
    with pytest.raises(errors.BadSection, match="1048576"):
        write(path, sections={"chat_template": Section(b"x" * ((1 << 20) + 1))})
    with pytest.raises(errors.BadSection, match="expected UTF-8, got byte 0xff at 2"):
        write(path, sections={"chat_template": Section(b"ab\xff")})
    with pytest.raises(errors.BadConfig, match=r"golden\.ids"):
        write(path, golden=mf.Golden([1] * 9, np.zeros(9, np.float32)))
    with pytest.raises(errors.BadConfig, match=r"golden.ids\[0\]"):
        write(path, golden=mf.Golden([9], np.zeros(9, np.float32)))
    with pytest.raises(errors.BadConfig, match=r"golden\.logits"):
        write(path, golden=mf.Golden([1], np.zeros(8, np.float32)))
    assert not path.exists()


def test_f16_rounds_to_nearest_even() -> None:
    spec = families.TensorSpec("x", (1, 3))
    stored = as_stored(spec, np.array([[1 + 2**-11, 1 + 3 * 2**-11, 65519.0]]), "f16")
    np.testing.assert_array_equal(stored.values(), [[1.0, 1 + 2**-9, 65504.0]])


def test_every_truncation_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "m.bin")
    data = path.read_bytes()
    for length in {*range(0, len(data), 7), 63, 64, len(data) - 1}:
        path.write_bytes(data[:length])
        with pytest.raises(errors.Truncated):
            mf.read_model(path)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_flipped_bit_goes_unnoticed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = write(tmp_path_factory.mktemp("flip") / "m.bin")
    damaged = bytearray(path.read_bytes())
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(damaged)
    with pytest.raises(errors.ModelFileError):
        mf.read_model(path)


@pytest.mark.parametrize(
    ("offset", "field", "error"),
    [
        (0, b"GGUF", errors.BadMagic),
        (8, b"\0\0\0\1", errors.ByteOrder),
        (8, b"\0\0\0\2", errors.ByteOrder),
        (8, b"\1\0\0\0", errors.UnsupportedVersion),
        (8, b"\3\0\0\0", errors.UnsupportedVersion),
        (12, b"\0\0\0\0", errors.BadLength),
        (16, b"\0\0\0\0", errors.BadLength),
        (24, b"\0\0\0\0\0\0\0\0", errors.BadLength),
        (24, b"\0\0\0\0\1\0\0\0", errors.Truncated),
        (32, b"\0\0\0\0", errors.HeaderChecksum),
    ],
)
def test_prefix(tmp_path: Path, offset: int, field: bytes, error: type[errors.ModelFileError]) -> None:
    path = write(tmp_path / "m.bin")
    data = bytearray(path.read_bytes())
    data[offset : offset + len(field)] = field
    path.write_bytes(data)
    with pytest.raises(error):
        mf.read_model(path)


def test_damage_with_repaired_checksums(tmp_path: Path) -> None:
    path = write(tmp_path / "m.bin")
    good = path.read_bytes()

    def check(error: type[errors.ModelFileError], where: str, change: Callable[[dict[str, Any]], object]) -> None:
        path.write_bytes(good)
        rebuild(path, change)
        with pytest.raises(error) as raised:
            mf.read_model(path)
        assert raised.value.where == where, str(raised.value)

    check(errors.BadConfig, "config.n_layer", lambda h: h["config"].update(n_layer=0))
    check(errors.BadConfig, "config.norm_eps", lambda h: h["config"].update(norm_eps=1.0))
    check(errors.BadConfig, "tensors[0].dtype", lambda h: h["tensors"][0].update(dtype="q8_0"))
    check(errors.Unsupported, "tensors[0].dtype", lambda h: h["tensors"][0].update(dtype="bf16"))
    check(errors.Unsupported, "architecture", lambda h: h.update(architecture="mamba"))
    check(errors.BadHeader, "sections", lambda h: h.update(sections={}))
    check(errors.BadHeader, "config.eos_token_id", lambda h: h["config"].update(eos_token_id=None))
    for wrong in ([], [3, 3], [4, 3], [0, 1 << 20], list(range(17))):
        check(errors.BadConfig, "config.stop_token_ids", lambda h, it=wrong: h["config"].update(stop_token_ids=it))
    check(errors.BadHeader, "config.stop_token_ids", lambda h: h["config"].update(stop_token_ids=3))
    check(errors.BadHeader, "config.stop_token_ids[1]", lambda h: h["config"].update(stop_token_ids=[1, True]))
    check(errors.BadConfig, "tensors[1].dtype", lambda h: h["tensors"][1].update(dtype="f16"))
    check(errors.BadConfig, "tensors[2].name", lambda h: h["tensors"][2].update(name="x"))
    check(errors.BadConfig, "tensors[2].shape", lambda h: h["tensors"][2].update(shape=[5, 8]))
    check(errors.BadHeader, "config.n_head", lambda h: h["config"].update(n_head=True))
    check(errors.BadHeader, "config.n_head", lambda h: h["config"].update(n_head=2.0))
    check(errors.BadHeader, "config.zzz", lambda h: h["config"].update(zzz=1))
    check(errors.BadHeader, "golden.ids", lambda h: h["golden"].pop("ids"))
    check(errors.BadOffset, "tensors[0].offset", lambda h: h["tensors"][0].update(offset=0))
    check(errors.BadOffset, "tokenizer.nbytes", lambda h: h["tokenizer"].update(nbytes=1 << 30))
    check(errors.SectionChecksum, "tokenizer", lambda h: h["tokenizer"].update(sha256="0" * 64))
    check(errors.BadHeader, "tokenizer.sha256", lambda h: h["tokenizer"].update(sha256="F" * 64))


def test_a_header_that_is_not_canonical(tmp_path: Path) -> None:
    path = write(tmp_path / "m.bin")
    data = path.read_bytes()
    _, _, nbytes, data_offset, file_nbytes, _ = mf.PREFIX.unpack(data[: mf.PREFIX.size])
    text = data[64 : 64 + nbytes]
    for old, new in [
        (b'{"architecture"', b'{ "architecture"'),
        (b'"by":', b'"by":0,"by":'),
        (b'"a test"', b'"\\u0061 test"'),
        (b'"a test"', b"NaN"),
        (b'"a test"', b"1e999"),
        (b'"a test"', b'"\\ud800"'),
        (b'"a test"', b"[" * 40 + b"]" * 40),
        (b'"a test"', b"[" * 100_000 + b"]" * 100_000),
        (b'"a test"', '"é"'.encode()),
        (b'"a test"', b'"' + b"x" * (4 << 20) + b'"'),
    ]:
        assert old in text
        write_header(path, data, text.replace(old, new, 1), data_offset, file_nbytes)
        with pytest.raises(errors.BadHeader):
            mf.read_model(path)


def test_padding_and_values(tmp_path: Path) -> None:
    path = write(tmp_path / "m.bin")
    data = bytearray(path.read_bytes())
    data[-1] = 1
    path.write_bytes(data)
    with pytest.raises(errors.NonZeroPadding, match=str(len(data) - 1)):
        mf.read_model(path)
    path = write(tmp_path / "m.bin")
    entry = json.loads(path.read_bytes()[64:].split(b"\0", 1)[0])["tensors"][1]
    data = bytearray(path.read_bytes())
    data[entry["offset"] + 8 : entry["offset"] + 12] = np.float32("inf").tobytes()
    section = bytes(data[entry["offset"] : entry["offset"] + entry["nbytes"]])
    path.write_bytes(data)
    rebuild(path, lambda h: h["tensors"][1].update(sha256=hashlib.sha256(section).hexdigest()))
    with pytest.raises(errors.NotFinite, match=r"input_layernorm\.weight\[2\]"):
        mf.read_model(path)


def test_the_helper_of_the_parity_tests_writes_a_right_golden_answer(tmp_path: Path) -> None:
    model = write_random_model(tmp_path / "m.bin", TINY, 3)
    golden = mf.read_model(model.path).golden
    import torch

    np.testing.assert_allclose(model.logits(list(golden.ids), torch.float64)[-1], golden.logits, atol=1e-4)
