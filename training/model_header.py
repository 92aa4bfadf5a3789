"""The JSON header of model.bin: its errors, its canonical form, its fields and their bounds (training/FORMAT.md §1–§4).

In:  the header's bytes, or the values that are to become one.
Out: checked values, the list of tensors that a configuration asks for, or a ModelFileError that says what is wrong.

The exceptions carry the names of FORMAT.md §4; Rust's `FormatError` has the same ones. Standard library only.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

MAX_HEADER_BYTES = 4 << 20
MAX_PROVENANCE_BYTES = 1 << 20
MAX_GOLDEN_IDS = 64
MAX_DEPTH = 32
DTYPES = ("f32", "f16")

# Bounds of FORMAT.md §2, in its order. n_kv_head must also divide n_head, and d_head be even.
BOUNDS: dict[str, tuple[int, int]] = {
    "n_layer": (1, 1024),
    "n_head": (1, 1024),
    "n_kv_head": (1, 1024),
    "d_model": (1, 65536),
    "d_head": (2, 1024),
    "d_ff": (1, 262144),
    "vocab_size": (1, 1048576),
    "ctx_len": (1, 1048576),
}
CONFIG_KEYS = {*BOUNDS, "rope_theta", "norm_eps", "tie_embeddings", "bos_token_id", "eos_token_id"}


class ModelFileError(ValueError):
    """Something is wrong with a model.bin. `where`, `expected` and `got` say what; the class says which check."""

    def __init__(self, where: str, expected: object, got: object) -> None:
        super().__init__(f"{type(self).__name__}: {where}: expected {expected}, got {got}")
        self.where, self.expected, self.got = where, expected, got


class Truncated(ModelFileError):
    """Fewer bytes than the prefix, the header or `file_nbytes` need."""


class BadMagic(ModelFileError):
    """The first eight bytes are not POCKETLM."""


class ByteOrder(ModelFileError):
    """The version reads as 1 when its bytes are swapped."""


class UnsupportedVersion(ModelFileError):
    """The version is not 1."""


class BadLength(ModelFileError):
    """Lengths that disagree with each other or with the file."""


class HeaderChecksum(ModelFileError):
    """SHA-256 of the header."""


class BadHeader(ModelFileError):
    """The header is not JSON, not canonical, or has wrong or missing keys or types."""


class BadConfig(ModelFileError):
    """A field out of its bounds, or a tensor list other than the one that the configuration asks for."""


class BadOffset(ModelFileError):
    """An offset or a length that differs from the computed one."""


class NonZeroPadding(ModelFileError):
    """A padding byte that is not zero."""


class SectionChecksum(ModelFileError):
    """SHA-256 of a section."""


class NotFinite(ModelFileError):
    """A NaN or an infinity in a tensor or in the golden logits."""


class OutOfMemory(ModelFileError):
    """The file is larger than what can be held."""


class TensorSpec(NamedTuple):
    """A tensor that a configuration asks for."""

    name: str
    shape: tuple[int, ...]
    f32_always: bool  # RMSNorm's gains are f32 in every file

    def dtype(self, matrices: str) -> str:
        """The dtype of this tensor in a file whose matrices have the dtype `matrices`."""
        return "f32" if self.f32_always else matrices


def expected_tensors(config: Mapping[str, Any]) -> list[TensorSpec]:
    """All tensors of a configuration, in the file's order (FORMAT.md §3)."""
    c, f, v = config["d_model"], config["d_ff"], config["vocab_size"]
    q, kv = config["n_head"] * config["d_head"], config["n_kv_head"] * config["d_head"]
    specs = [TensorSpec("model.embed_tokens.weight", (v, c), False)]
    for i in range(config["n_layer"]):
        layer = f"model.layers.{i}"
        specs += [
            TensorSpec(f"{layer}.input_layernorm.weight", (c,), True),
            TensorSpec(f"{layer}.self_attn.q_proj.weight", (q, c), False),
            TensorSpec(f"{layer}.self_attn.k_proj.weight", (kv, c), False),
            TensorSpec(f"{layer}.self_attn.v_proj.weight", (kv, c), False),
            TensorSpec(f"{layer}.self_attn.o_proj.weight", (c, q), False),
            TensorSpec(f"{layer}.post_attention_layernorm.weight", (c,), True),
            TensorSpec(f"{layer}.mlp.gate_proj.weight", (f, c), False),
            TensorSpec(f"{layer}.mlp.up_proj.weight", (f, c), False),
            TensorSpec(f"{layer}.mlp.down_proj.weight", (c, f), False),
        ]
    specs.append(TensorSpec("model.norm.weight", (c,), True))
    if not config["tie_embeddings"]:
        specs.append(TensorSpec("lm_head.weight", (v, c), False))
    return specs


def canonical_json(value: object) -> bytes:
    """Canonical JSON of FORMAT.md §1. Raises ValueError for NaN and infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def check_header_nbytes(nbytes: int) -> None:
    """The limit of FORMAT.md §1."""
    if nbytes > MAX_HEADER_BYTES:
        raise BadHeader("header", f"at most {MAX_HEADER_BYTES} bytes", nbytes)


def parse_header(text: bytes) -> dict[str, Any]:
    """The header as Python values, canonical, with exactly the keys and types of FORMAT.md §2."""
    check_header_nbytes(len(text))

    def constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is not JSON")

    try:
        header = json.loads(text.decode("ascii"), parse_constant=constant)
        canonical = canonical_json(header)
    except (ValueError, RecursionError) as error:
        raise BadHeader("header", "JSON", error) from error
    if canonical != text:
        at = next((i for i, (a, b) in enumerate(zip(canonical, text, strict=False)) if a != b), len(canonical))
        raise BadHeader(f"byte {at}", f"canonical JSON, {canonical[at : at + 20]!r}", repr(text[at : at + 20]))
    _check_values(header, 0)
    check_header(header)
    return header


def _check_values(value: object, depth: int) -> None:
    """What Python's JSON can hold and others' cannot: deep nesting, integers beyond every float, lone surrogates."""
    if depth > MAX_DEPTH:
        raise BadHeader("header", f"nesting of at most {MAX_DEPTH}", "more")
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        raise BadHeader("header", "numbers below 1.8e308", f"an integer of {value.bit_length()} bits")
    if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
        raise BadHeader("header", "characters", "a lone surrogate")
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_values(child, depth + 1)
    for key in value if isinstance(value, dict) else ():
        _check_values(key, depth)


def check_header(header: object) -> None:
    """Keys and types; bounds are `check_config`'s."""
    root = check_keys("header", header, {"config", "golden", "provenance", "tensors", "tokenizer"})
    config = check_keys("config", root["config"], CONFIG_KEYS)
    for field in BOUNDS:
        _integer(f"config.{field}", config[field], 32)
    for field in ("rope_theta", "norm_eps"):
        _typed(f"config.{field}", config[field], (int, float), "a number")
    _typed("config.tie_embeddings", config["tie_embeddings"], bool, "true or false")
    for field in ("bos_token_id", "eos_token_id"):
        if config[field] is not None:
            _integer(f"config.{field}", config[field], 32)
    golden = check_keys("golden", root["golden"], {"ids", "logits"})
    _typed("golden.ids", golden["ids"], list, "an array")
    for i, token in enumerate(golden["ids"]):
        _integer(f"golden.ids[{i}]", token, 32)
    _check_section("golden.logits", check_keys("golden.logits", golden["logits"], {"nbytes", "offset", "sha256"}))
    _typed("provenance", root["provenance"], dict, "an object")
    _check_values(root["provenance"], 1)
    if (nbytes := len(canonical_json(root["provenance"]))) > MAX_PROVENANCE_BYTES:
        raise BadHeader("provenance", f"at most {MAX_PROVENANCE_BYTES} bytes", nbytes)
    _typed("tensors", root["tensors"], list, "an array")
    for i, value in enumerate(root["tensors"]):
        entry = check_keys(f"tensors[{i}]", value, {"dtype", "name", "nbytes", "offset", "sha256", "shape"})
        for field in ("dtype", "name"):
            _typed(f"tensors[{i}].{field}", entry[field], str, "a string")
        _typed(f"tensors[{i}].shape", entry["shape"], list, "an array")
        for j, size in enumerate(entry["shape"]):
            _integer(f"tensors[{i}].shape[{j}]", size, 64)
        _check_section(f"tensors[{i}]", entry)
    tokenizer = check_keys("tokenizer", root["tokenizer"], {"chat_template", "nbytes", "offset", "sha256"})
    _typed("tokenizer.chat_template", tokenizer["chat_template"], (str, type(None)), "a string or null")
    _check_section("tokenizer", tokenizer)


def _check_section(path: str, section: dict[str, Any]) -> None:
    _integer(f"{path}.nbytes", section["nbytes"], 64)
    _integer(f"{path}.offset", section["offset"], 64)
    digest = section["sha256"]
    if not (isinstance(digest, str) and len(digest) == 64 and set(digest) <= set("0123456789abcdef")):
        raise BadHeader(f"{path}.sha256", "64 lower-case hexadecimal digits", repr(digest))


def check_keys(path: str, value: object, keys: set[str]) -> dict[str, Any]:
    """`value`, which must be an object with exactly these keys. Raises BadHeader."""
    if not isinstance(value, dict):
        raise BadHeader(path, "an object", repr(value)[:80])
    if missing := sorted(keys - set(value)):
        raise BadHeader(f"{path}.{missing[0]}", "a value", "nothing: the key is missing")
    if unknown := sorted(set(value) - keys):
        raise BadHeader(f"{path}.{unknown[0]}", f"only the keys {', '.join(sorted(keys))}", "an unknown key")
    return value


def _typed(path: str, value: object, types: type | tuple[type, ...], expected: str) -> None:
    """bool is an int in Python, but not in JSON."""
    allowed = types if isinstance(types, tuple) else (types,)
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        raise BadHeader(path, expected, repr(value)[:80])


def _integer(path: str, value: object, bits: int) -> None:
    _typed(path, value, int, "an integer ≥ 0")
    if not 0 <= value < 1 << bits:  # type: ignore[operator]
        raise BadHeader(path, f"an integer ≥ 0 and below 2^{bits}", f"{value!r:.40}")


def check_config(config: Mapping[str, Any]) -> None:
    """Bounds of FORMAT.md §2, in the order of its table."""
    for field, (low, high) in BOUNDS.items():
        if not low <= config[field] <= high:
            raise BadConfig(f"config.{field}", f"{low} to {high}", config[field])
        if field == "n_kv_head" and config["n_head"] % config[field]:
            raise BadConfig("config.n_kv_head", f"a divisor of n_head = {config['n_head']}", config[field])
        if field == "d_head" and config[field] % 2:
            raise BadConfig("config.d_head", "an even number", config[field])
    if not (math.isfinite(config["rope_theta"]) and config["rope_theta"] > 0):
        raise BadConfig("config.rope_theta", "a finite number > 0", config["rope_theta"])
    if not 0 < config["norm_eps"] < 1:
        raise BadConfig("config.norm_eps", "a number > 0 and < 1", config["norm_eps"])
    for field in ("bos_token_id", "eos_token_id"):
        if config[field] is not None and config[field] >= config["vocab_size"]:
            raise BadConfig(f"config.{field}", f"an id < vocab_size = {config['vocab_size']}", config[field])


def check_golden_ids(header: dict[str, Any]) -> None:
    config, ids = header["config"], header["golden"]["ids"]
    most = min(MAX_GOLDEN_IDS, config["ctx_len"])
    if not 1 <= len(ids) <= most:
        raise BadConfig("golden.ids", f"1 to {most} ids", len(ids))
    for i, token in enumerate(ids):
        if token >= config["vocab_size"]:
            raise BadConfig(f"golden.ids[{i}]", f"an id < vocab_size = {config['vocab_size']}", token)


def check_tensor_list(entries: list[dict[str, Any]], specs: list[TensorSpec]) -> None:
    if len(entries) != len(specs):
        raise BadConfig("tensors", f"{len(specs)} tensors", len(entries))
    for i, (entry, spec) in enumerate(zip(entries, specs, strict=True)):
        if entry["name"] != spec.name:
            raise BadConfig(f"tensors[{i}].name", spec.name, entry["name"])
        if entry["dtype"] not in DTYPES:
            reserved = ", which is reserved and not read by version 1" if entry["dtype"] in ("q8_0", "q4_0") else ""
            raise BadConfig(f"tensors[{i}].dtype", "f32 or f16", f"{entry['dtype']}{reserved}")
        expected = spec.dtype(entries[0]["dtype"])
        if entry["dtype"] != expected:
            raise BadConfig(f"tensors[{i}].dtype", expected, entry["dtype"])
        if entry["shape"] != list(spec.shape):
            raise BadConfig(f"tensors[{i}].shape", list(spec.shape), entry["shape"])
