"""model.bin: the one writer, and a reader that makes every check. The specification is training/FORMAT.md.

In:  a configuration, the tokenizer's flat form, tensors by Hugging Face's names, a golden answer, provenance.
Out: one file, written to a temporary sibling and renamed; tensors are taken, rounded, hashed and written one at a time.

What the header may hold is training/model_header.py's. numpy only.
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
import stat
import struct
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from training.model_header import (
    CONFIG_KEYS,
    BadConfig,
    BadHeader,
    BadLength,
    BadMagic,
    BadOffset,
    ByteOrder,
    HeaderChecksum,
    ModelFileError,
    NonZeroPadding,
    NotFinite,
    OutOfMemory,
    SectionChecksum,
    TensorSpec,
    Truncated,
    UnsupportedVersion,
    canonical_json,
    check_config,
    check_golden_ids,
    check_header,
    check_header_nbytes,
    check_keys,
    check_tensor_list,
    expected_tensors,
    parse_header,
)

__all__ = [
    "BadConfig",
    "BadHeader",
    "BadLength",
    "BadMagic",
    "BadOffset",
    "ByteOrder",
    "Dtype",
    "Golden",
    "HeaderChecksum",
    "ModelFile",
    "ModelFileError",
    "NonZeroPadding",
    "NotFinite",
    "OutOfMemory",
    "SectionChecksum",
    "TensorSpec",
    "Truncated",
    "UnsupportedVersion",
    "as_stored",
    "expected_tensors",
    "read_model",
    "write_model",
]

MAGIC = b"POCKETLM"
VERSION = 1
PREFIX = struct.Struct("<8sIIQQ32s")  # magic, version, header_nbytes, data_offset, file_nbytes, header_sha256

Dtype = Literal["f32", "f16"]
NUMPY_DTYPES: dict[str, str] = {"f32": "<f4", "f16": "<f2"}


@dataclass(frozen=True)
class Golden:
    """A prompt and torch's f32 logits of its last position, from the weights as they are stored."""

    ids: Sequence[int]  # 1 … min(64, ctx_len)
    logits: NDArray[np.float32]  # (vocab_size)


@dataclass(frozen=True)
class ModelFile:
    """A checked model.bin. Arrays are read-only views of the file's bytes, in the stored dtype."""

    header: dict[str, Any]
    config: dict[str, Any]
    tokenizer_bytes: bytes
    chat_template: str | None
    golden: Golden
    provenance: dict[str, Any]
    tensors: dict[str, NDArray[Any]]


def as_stored(spec: TensorSpec, values: NDArray[Any], dtype: str) -> NDArray[Any]:
    """`values` in the dtype in which a file of matrices in `dtype` stores them, rounded to nearest even.

    Raises NotFinite for NaN, infinity, and for what overflows f16; BadConfig for another shape.
    """
    if tuple(values.shape) != spec.shape:
        raise BadConfig(f"{spec.name}.shape", list(spec.shape), list(values.shape))
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(values, dtype=NUMPY_DTYPES[spec.dtype(dtype)])
    _check_finite(spec.name, stored, values)
    return stored


def write_model(
    path: str | os.PathLike[str],
    config: Mapping[str, Any],
    tokenizer_bytes: bytes,
    chat_template: str | None,
    tensors: Mapping[str, NDArray[Any]],
    golden: Golden,
    provenance: Mapping[str, Any],
    dtype: Dtype = "f32",
) -> dict[str, Any]:
    """Write a model.bin and return its header.

    `tensors` is asked for one name at a time, so it may load them lazily. The file appears under its name only when it
    is complete and on disk. Raises ModelFileError for anything that `read_model` would refuse.
    """
    if dtype not in NUMPY_DTYPES:
        raise BadConfig("dtype", "f32 or f16", dtype)
    check_keys("config", config, CONFIG_KEYS)
    config = {**config, "rope_theta": float(config["rope_theta"]), "norm_eps": float(config["norm_eps"])}
    check_config(config)
    specs = expected_tensors(config)
    if missing := [spec.name for spec in specs if spec.name not in tensors]:
        raise BadConfig("tensors", missing[0], "nothing")
    if unknown := sorted(set(tensors) - {spec.name for spec in specs}):
        raise BadConfig("tensors", f"the {len(specs)} tensors of the configuration", unknown[0])
    logits = np.ascontiguousarray(golden.logits, dtype="<f4")
    if logits.shape != (config["vocab_size"],):
        raise BadConfig("golden.logits.shape", [config["vocab_size"]], list(logits.shape))
    _check_finite("golden.logits", logits)

    # A digest has 64 digits whatever it is, and offsets follow from sizes: so the header's length is known beforehand.
    tokenizer: dict[str, Any] = {"nbytes": len(tokenizer_bytes)}
    golden_logits: dict[str, Any] = {"nbytes": logits.nbytes}
    entries: list[dict[str, Any]] = []
    for spec in specs:
        stored_dtype = spec.dtype(dtype)
        nbytes = math.prod(spec.shape) * np.dtype(NUMPY_DTYPES[stored_dtype]).itemsize
        entries.append({"dtype": stored_dtype, "name": spec.name, "nbytes": nbytes, "shape": list(spec.shape)})
    header: dict[str, Any] = {
        "config": config,
        "golden": {"ids": [int(token) for token in golden.ids], "logits": golden_logits},
        "provenance": dict(provenance),
        "tensors": entries,
        "tokenizer": {"chat_template": chat_template, **tokenizer},
    }
    sections = [header["tokenizer"], golden_logits, *entries]
    for section in sections:
        section.update(offset=0, sha256="0" * 64)
    file_nbytes = _place(header, sections)
    check_header(header)
    check_golden_ids(header)

    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            _write_section(file, sections[0], tokenizer_bytes)
            _write_section(file, sections[1], logits.data)
            for spec, entry in zip(specs, entries, strict=True):
                _write_section(file, entry, as_stored(spec, np.asarray(tensors[spec.name]), dtype).data)
            file.truncate(file_nbytes)
            text = canonical_json(header)
            file.seek(0)
            data_offset = _align256(PREFIX.size + len(text))
            digest = hashlib.sha256(text).digest()
            file.write(PREFIX.pack(MAGIC, VERSION, len(text), data_offset, file_nbytes, digest) + text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return header


def read_model(path: str | os.PathLike[str]) -> ModelFile:
    """Read a model.bin and check everything that FORMAT.md §4 lists, in its order.

    Raises a subclass of ModelFileError for a broken file, OSError where it cannot be read or is none (a pipe).
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except MemoryError as error:
        raise OutOfMemory(str(path), f"{os.path.getsize(path)} bytes of memory", "less") from error
    data.flags.writeable = False
    header_end, data_offset = _check_prefix(data)
    header = parse_header(data[PREFIX.size : header_end].tobytes())
    config = header["config"]
    check_config(config)
    check_golden_ids(header)
    specs = expected_tensors(config)
    check_tensor_list(header["tensors"], specs)

    golden_nbytes = 4 * config["vocab_size"]
    placed: list[tuple[str, str, dict[str, Any], int]] = [
        ("tokenizer", "tokenizer", header["tokenizer"], header["tokenizer"]["nbytes"]),
        ("golden.logits", "golden.logits", header["golden"]["logits"], golden_nbytes),
    ]
    for i, (spec, entry) in enumerate(zip(specs, header["tensors"], strict=True)):
        nbytes = math.prod(spec.shape) * np.dtype(NUMPY_DTYPES[entry["dtype"]]).itemsize
        placed.append((f"tensors[{i}]", spec.name, entry, nbytes))
    end = data_offset
    for where, _, entry, nbytes in placed:
        offset = _align256(end)
        for field, expected in (("offset", offset), ("nbytes", nbytes)):
            if entry[field] != expected:
                raise BadOffset(f"{where}.{field}", expected, entry[field])
        end = offset + nbytes
        if end > data.size:
            raise BadOffset(f"{where}.nbytes", f"at most {data.size - offset}", nbytes)
    if data.size != _align256(end):
        raise BadLength("file_nbytes", _align256(end), data.size)

    end = header_end
    for entry in [*(entry for _, _, entry, _ in placed), {"offset": data.size, "nbytes": 0}]:
        nonzero = np.flatnonzero(data[end : entry["offset"]])
        if nonzero.size:
            offset = end + int(nonzero[0])
            raise NonZeroPadding(f"offset {offset}", 0, int(data[offset]))
        end = entry["offset"] + entry["nbytes"]

    views = [data[entry["offset"] : entry["offset"] + nbytes] for _, _, entry, nbytes in placed]
    for (_, name, entry, _), view in zip(placed, views, strict=True):
        digest = hashlib.sha256(view.data).hexdigest()
        if digest != entry["sha256"]:
            raise SectionChecksum(name, entry["sha256"], digest)
    logits = views[1].view("<f4")
    _check_finite("golden.logits", logits)
    tensors: dict[str, NDArray[Any]] = {}
    for spec, entry, view in zip(specs, header["tensors"], views[2:], strict=True):
        tensors[spec.name] = view.view(NUMPY_DTYPES[entry["dtype"]]).reshape(spec.shape)
        _check_finite(spec.name, tensors[spec.name])
    return ModelFile(
        header=header,
        config=config,
        tokenizer_bytes=views[0].tobytes(),
        chat_template=header["tokenizer"]["chat_template"],
        golden=Golden(ids=header["golden"]["ids"], logits=logits),
        provenance=header["provenance"],
        tensors=tensors,
    )


def _align256(n: int) -> int:
    return (n + 255) // 256 * 256


def _place(header: dict[str, Any], sections: list[dict[str, Any]]) -> int:
    """Set every section's offset and return the file's length.

    Offsets are decimal numbers inside the header whose length they depend on, so this repeats until nothing moves. It
    ends, for offsets only grow with the header and the header only with the offsets' digits.
    """
    while True:
        before = [section["offset"] for section in sections]
        try:
            header_nbytes = len(canonical_json(header))
        except ValueError as error:
            raise BadHeader("provenance", "JSON without NaN and infinity", error) from error
        except TypeError as error:
            raise BadHeader("provenance", "JSON values", error) from error
        check_header_nbytes(header_nbytes)
        end = PREFIX.size + header_nbytes
        for section in sections:
            section["offset"] = _align256(end)
            end = section["offset"] + section["nbytes"]
        if before == [section["offset"] for section in sections]:
            return _align256(end)


def _write_section(file: BinaryIO, section: dict[str, Any], data: bytes | memoryview) -> None:
    """Write a section at its offset and note its digest; the gap before it is a hole of zeros."""
    section["sha256"] = hashlib.sha256(data).hexdigest()
    file.seek(section["offset"])
    file.write(data)


def _check_prefix(data: NDArray[np.uint8]) -> tuple[int, int]:
    """Check the first 64 bytes; return where the header ends and where the first section begins."""
    if data.size < PREFIX.size:
        raise Truncated("prefix", f"{PREFIX.size} bytes", data.size)
    magic, version, header_nbytes, data_offset, file_nbytes, digest = PREFIX.unpack(data[: PREFIX.size].tobytes())
    if magic != MAGIC:
        raise BadMagic("the first 8 bytes", MAGIC, magic)
    if version == int.from_bytes(VERSION.to_bytes(4, "big"), "little"):
        raise ByteOrder("version", "little-endian", f"{version:#010x}")
    if version != VERSION:
        raise UnsupportedVersion("version", VERSION, version)
    header_end = PREFIX.size + header_nbytes
    if data_offset != _align256(header_end):
        raise BadLength("data_offset", _align256(header_end), data_offset)
    if file_nbytes < data_offset:
        raise BadLength("file_nbytes", f"at least {data_offset}", file_nbytes)
    if data.size < header_end:
        raise Truncated("header", f"{header_end} bytes", data.size)
    if data.size < file_nbytes:
        raise Truncated("file", f"{file_nbytes} bytes", data.size)
    if data.size > file_nbytes:
        raise BadLength("the file", file_nbytes, data.size)
    got = hashlib.sha256(data[PREFIX.size : header_end].data).hexdigest()
    if got != digest.hex():
        raise HeaderChecksum("header", digest.hex(), got)
    return header_end, data_offset


def _check_finite(name: str, values: NDArray[Any], original: NDArray[Any] | None = None) -> None:
    """Raise NotFinite with the first NaN or infinity; `original` holds the values before rounding."""
    finite = np.isfinite(values)
    if not finite.all():
        index = int(np.flatnonzero(~finite)[0])
        got = float((values if original is None else original).reshape(-1)[index])
        overflow = ", which overflows f16" if math.isfinite(got) else ""
        raise NotFinite(f"{name}[{index}]", "a finite value", f"{got}{overflow}")
