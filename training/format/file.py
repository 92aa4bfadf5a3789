"""model.bin: the one writer, and a reader that makes every check. The specification is training/FORMAT.md.

In:  a configuration, the tokenizer's flat form, tensors by Hugging Face's names, a golden answer, provenance, sections.
Out: one file, written to a temporary sibling and renamed; tensors are taken, rounded, hashed and written one at a time.

`read_model` holds the whole file and checks all of it; `read_layout` reads the header alone and says where everything
lies, in files of any size. numpy only.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import struct
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.format import header as heads
from training.format.dtypes import DTYPES, Dtype, Stored, as_stored, check_blocks, nbytes
from training.format.errors import (
    BadConfig,
    BadHeader,
    BadLength,
    BadMagic,
    BadOffset,
    BadSection,
    ByteOrder,
    HeaderChecksum,
    NonZeroPadding,
    NotFinite,
    OutOfMemory,
    SectionChecksum,
    Truncated,
    UnsupportedVersion,
)
from training.format.families import expected_tensors

MAGIC = b"POCKETLM"
VERSION = 2
PREFIX = struct.Struct("<8sIIQQ32s")  # magic, version, header_nbytes, data_offset, file_nbytes, header_sha256
MAX_TEMPLATE_BYTES = 1 << 20


@dataclass(frozen=True)
class Golden:
    """A prompt and torch's f32 logits of its last position, from the weights as they are stored."""

    ids: Sequence[int]  # 1 … min(64, ctx_len)
    logits: NDArray[np.float32]  # (vocab_size)


class Section(NamedTuple):
    """An optional section: a reader that does not know its name skips it, unless it is `required`."""

    data: bytes
    required: bool = False


class Place(NamedTuple):
    """Where a section lies."""

    where: str  # in the header, as "tensors[3]"
    name: str  # "tokenizer", "golden.logits", "section chat_template" or a tensor's name
    entry: dict[str, Any]  # of the header, with nbytes, offset and sha256


@dataclass(frozen=True)
class Layout:
    """A checked header and the place of everything, in the file's order."""

    header: dict[str, Any]
    header_end: int  # bytes
    data_offset: int
    file_nbytes: int
    places: list[Place]  # tokenizer, golden logits, optional sections, tensors

    @property
    def config(self) -> dict[str, Any]:
        """The configuration; an optional field that is absent is None."""
        family = heads.FAMILIES[self.header["architecture"]]
        return dict.fromkeys(sorted(family.optional)) | self.header["config"]


@dataclass(frozen=True)
class ModelFile:
    """A checked model.bin. Tensors are read-only views of the file's bytes, as they are stored."""

    header: dict[str, Any]
    architecture: str
    config: dict[str, Any]  # an optional field that is absent is None
    tokenizer_bytes: bytes
    golden: Golden
    provenance: dict[str, Any]
    stored: dict[str, Stored]
    sections: dict[str, Section] = field(default_factory=dict)

    @property
    def chat_template(self) -> str | None:
        """The section of this name as text."""
        section = self.sections.get("chat_template")
        return section.data.decode() if section else None

    @cached_property
    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """All tensors widened to f32: what the bytes stand for, exactly."""
        return {name: stored.values() for name, stored in self.stored.items()}


def write_model(
    path: str | os.PathLike[str],
    config: Mapping[str, Any],
    tokenizer_bytes: bytes,
    tensors: Mapping[str, NDArray[Any] | Stored],
    golden: Golden,
    provenance: Mapping[str, Any],
    dtype: Dtype | Mapping[str, Dtype] = "f32",
    architecture: str = "llama",
    sections: Mapping[str, Section] | None = None,
) -> dict[str, Any]:
    """Write a model.bin and return its header.

    `dtype` is that of all matrices, or each one's by its name. `tensors` is asked for one name at a time, so it may
    load them lazily; what is `Stored` is written as it is. Optional fields of `config` may be None. The file appears
    under its name only when it is complete and on disk. Raises ModelFileError for what `read_model` would refuse.
    """
    heads.check_architecture(architecture)
    config = {key: value for key, value in config.items() if value is not None}
    heads.check_config_keys(config, architecture)
    config |= {"rope_theta": float(config["rope_theta"]), "norm_eps": float(config["norm_eps"])}
    heads.check_config(config)
    specs = expected_tensors(config, architecture)
    if missing := [spec.name for spec in specs if spec.name not in tensors]:
        raise BadConfig("tensors", missing[0], "nothing")
    if unknown := sorted(set(tensors) - {spec.name for spec in specs}):
        raise BadConfig("tensors", f"the {len(specs)} tensors of the configuration", unknown[0])
    logits = np.ascontiguousarray(golden.logits, dtype="<f4")
    if logits.shape != (config["vocab_size"],):
        raise BadConfig("golden.logits.shape", [config["vocab_size"]], list(logits.shape))
    _check_logits(logits)
    optional = dict(sorted((sections or {}).items()))
    for name, section in optional.items():
        _check_content(name, section.data)

    # A digest has 64 digits whatever it is, and offsets follow from sizes: so the header's length is known beforehand.
    dtypes = {spec.name: spec.dtype(dtype if isinstance(dtype, str) else dtype.get(spec.name, "f32")) for spec in specs}
    if wrong := sorted(set(dtypes.values()) - set(DTYPES)):
        raise BadConfig("dtype", " or ".join(DTYPES), wrong[0])
    entries: list[dict[str, Any]] = []
    for spec in specs:
        check_blocks(f"{spec.name}.shape", dtypes[spec.name], spec.shape)
        size = nbytes(dtypes[spec.name], spec.shape)
        entries.append({"dtype": dtypes[spec.name], "name": spec.name, "nbytes": size, "shape": list(spec.shape)})
    header: dict[str, Any] = {
        "architecture": architecture,
        "config": config,
        "golden": {"ids": [int(token) for token in golden.ids], "logits": {"nbytes": logits.nbytes}},
        "provenance": dict(provenance),
        "sections": [
            {"name": name, "nbytes": len(section.data), "required": section.required}
            for name, section in optional.items()
        ],
        "tensors": entries,
        "tokenizer": {"nbytes": len(tokenizer_bytes)},
    }
    placed = [header["tokenizer"], header["golden"]["logits"], *header["sections"], *entries]
    for entry in placed:
        entry.update(offset=0, sha256="0" * 64)
    file_nbytes = _place(header, placed)
    heads.check_header(header)
    heads.check_golden_ids(header)
    heads.check_known_sections(header["sections"])

    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            small: list[Any] = [tokenizer_bytes, logits.data, *(section.data for section in optional.values())]
            for entry, data in zip(placed, small, strict=False):
                _write_section(file, entry, data)
            for spec, entry in zip(specs, entries, strict=True):
                given = tensors[spec.name]
                stored = given if isinstance(given, Stored) else as_stored(spec, np.asarray(given), entry["dtype"])
                if (stored.dtype, stored.shape) != (entry["dtype"], spec.shape):
                    expected = f"{entry['dtype']} {list(spec.shape)}"
                    raise BadConfig(spec.name, expected, f"{stored.dtype} {list(stored.shape)}")
                stored.check_finite(spec.name)
                _write_section(file, entry, stored.data.data)
            file.truncate(file_nbytes)
            text = heads.canonical_json(header)
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


def read_layout(path: str | os.PathLike[str]) -> Layout:
    """Read the header of a model.bin alone and check all that can be known without the sections' bytes.

    Raises a subclass of ModelFileError for a broken file, OSError where it cannot be read or is none (a pipe).
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        prefix = file.read(PREFIX.size)
        if len(prefix) < PREFIX.size:
            raise Truncated("prefix", f"{PREFIX.size} bytes", len(prefix))
        header_nbytes = _check_prefix(prefix, size)
        heads.check_header_nbytes(header_nbytes)
        text = file.read(header_nbytes)
    return layout_of(prefix, text, size)


def layout_of(prefix: bytes, text: bytes, file_nbytes: int) -> Layout:
    """The layout that a prefix and a header's text promise for a file of `file_nbytes`. Raises ModelFileError."""
    _check_prefix(prefix, file_nbytes)
    _, _, _, data_offset, _, digest = PREFIX.unpack(prefix)
    got = hashlib.sha256(text).hexdigest()
    if got != digest.hex():
        raise HeaderChecksum("header", digest.hex(), got)
    header = heads.parse_header(text)
    config = header["config"]
    heads.check_config(config)
    heads.check_golden_ids(header)
    heads.check_known_sections(header["sections"])
    specs = expected_tensors(config, header["architecture"])
    heads.check_tensor_list(header["tensors"], specs)

    places = [
        Place("tokenizer", "tokenizer", header["tokenizer"]),
        Place("golden.logits", "golden.logits", header["golden"]["logits"]),
        *(Place(f"sections[{i}]", f"section {s['name']}", s) for i, s in enumerate(header["sections"])),
        *(Place(f"tensors[{i}]", spec.name, header["tensors"][i]) for i, spec in enumerate(specs)),
    ]
    end = data_offset
    for where, _, entry in places:
        size = entry["nbytes"]
        if where == "golden.logits":
            size = 4 * config["vocab_size"]
        elif "dtype" in entry:
            size = nbytes(entry["dtype"], tuple(entry["shape"]))
        offset = _align256(end)
        for key, expected in (("offset", offset), ("nbytes", size)):
            if entry[key] != expected:
                raise BadOffset(f"{where}.{key}", expected, entry[key])
        end = offset + size
        if end > file_nbytes:
            raise BadOffset(f"{where}.nbytes", f"at most {file_nbytes - offset}", size)
    if file_nbytes != _align256(end):
        raise BadLength("file_nbytes", _align256(end), file_nbytes)
    return Layout(header, PREFIX.size + len(text), data_offset, file_nbytes, places)


def read_model(path: str | os.PathLike[str]) -> ModelFile:
    """Read a model.bin and check everything that FORMAT.md §4 lists, in its order.

    Raises a subclass of ModelFileError for a broken file, OSError where it cannot be read or is none (a pipe).
    """
    layout = read_layout(path)
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except MemoryError as error:
        raise OutOfMemory(str(path), f"{layout.file_nbytes} bytes of memory", "less") from error
    data.flags.writeable = False
    end = layout.header_end
    for _, _, entry in [*layout.places, Place("", "", {"offset": data.size, "nbytes": 0})]:
        nonzero = np.flatnonzero(data[end : entry["offset"]])
        if nonzero.size:
            offset = end + int(nonzero[0])
            raise NonZeroPadding(f"offset {offset}", 0, int(data[offset]))
        end = entry["offset"] + entry["nbytes"]

    views = {name: data[e["offset"] : e["offset"] + e["nbytes"]] for _, name, e in layout.places}
    for _, name, entry in layout.places:
        digest = hashlib.sha256(views[name].data).hexdigest()
        if digest != entry["sha256"]:
            raise SectionChecksum(name, entry["sha256"], digest)
    logits = views["golden.logits"].view("<f4")
    _check_logits(logits)
    header = layout.header
    tensors = {
        entry["name"]: Stored(entry["dtype"], tuple(entry["shape"]), views[entry["name"]])
        for entry in header["tensors"]
    }
    for name, stored in tensors.items():
        stored.check_finite(name)
    sections = {
        entry["name"]: Section(views[f"section {entry['name']}"].tobytes(), entry["required"])
        for entry in header["sections"]
    }
    for name, section in sections.items():
        _check_content(name, section.data)
    return ModelFile(
        header=header,
        architecture=header["architecture"],
        config=layout.config,
        tokenizer_bytes=views["tokenizer"].tobytes(),
        golden=Golden(ids=header["golden"]["ids"], logits=logits),
        provenance=header["provenance"],
        stored=tensors,
        sections=sections,
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
            header_nbytes = len(heads.canonical_json(header))
        except ValueError as error:
            raise BadHeader("provenance", "JSON without NaN and infinity", error) from error
        except TypeError as error:
            raise BadHeader("provenance", "JSON values", error) from error
        heads.check_header_nbytes(header_nbytes)
        end = PREFIX.size + header_nbytes
        for section in sections:
            section["offset"] = _align256(end)
            end = section["offset"] + section["nbytes"]
        if before == [section["offset"] for section in sections]:
            return _align256(end)


def _write_section(file: BinaryIO, entry: dict[str, Any], data: bytes | memoryview) -> None:
    """Write a section at its offset and note its digest; the gap before it is a hole of zeros."""
    entry["sha256"] = hashlib.sha256(data).hexdigest()
    file.seek(entry["offset"])
    file.write(data)


def _check_prefix(prefix: bytes, size: int) -> int:
    """Check the first 64 bytes of a file of `size` bytes; return the header's length."""
    magic, version, header_nbytes, data_offset, file_nbytes, _ = PREFIX.unpack(prefix)
    if magic != MAGIC:
        raise BadMagic("the first 8 bytes", MAGIC, magic)
    swapped = int.from_bytes(version.to_bytes(4, "big"), "little")
    if 1 <= swapped <= VERSION:
        raise ByteOrder("version", "little-endian", f"{version:#010x}")
    if version != VERSION:
        advice = "export the model again" if version < VERSION else "use a newer PocketLM"
        raise UnsupportedVersion("version", VERSION, f"{version}; {advice}")
    header_end = PREFIX.size + header_nbytes
    if data_offset != _align256(header_end):
        raise BadLength("data_offset", _align256(header_end), data_offset)
    if file_nbytes < data_offset:
        raise BadLength("file_nbytes", f"at least {data_offset}", file_nbytes)
    if size < header_end:
        raise Truncated("header", f"{header_end} bytes", size)
    if size < file_nbytes:
        raise Truncated("file", f"{file_nbytes} bytes", size)
    if size > file_nbytes:
        raise BadLength("the file", file_nbytes, size)
    return int(header_nbytes)


def _check_content(name: str, data: bytes) -> None:
    """What a known section promises: a chat template is UTF-8 of at most 1 MiB. The others are opaque here."""
    if name != "chat_template":
        return
    if len(data) > MAX_TEMPLATE_BYTES:
        raise BadSection(f"section {name}", f"at most {MAX_TEMPLATE_BYTES} bytes", len(data))
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise BadSection(f"section {name}", "UTF-8", f"byte {data[error.start]:#04x} at {error.start}") from error


def _check_logits(logits: NDArray[np.float32]) -> None:
    """Raise NotFinite with the first NaN or infinity of the golden logits."""
    finite = np.isfinite(logits)
    if not finite.all():
        index = int(np.flatnonzero(~finite)[0])
        raise NotFinite(f"golden.logits[{index}]", "a finite value", float(logits[index]))
