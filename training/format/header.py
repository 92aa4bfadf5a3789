"""The JSON header of model.bin: its canonical form, its fields and their types (training/FORMAT.md §1–§3).

In:  the header's bytes, or the values that are to become one.
Out: checked values, or a ModelFileError that says what is wrong. Standard library only.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping, Set
from typing import Any, NoReturn

from training.format.dtypes import DTYPES, check_blocks
from training.format.errors import BadConfig, BadHeader, Unsupported
from training.format.families import BOUNDS, FAMILIES, MAX_LOGIT_CAP, MAX_STOPS, TensorSpec

MAX_HEADER_BYTES = 4 << 20
MAX_PROVENANCE_BYTES = 1 << 20
MAX_GOLDEN_IDS = 64
MAX_DEPTH = 32
MAX_SECTIONS = 64
SECTION_NAME = re.compile(r"[a-z0-9_]{1,64}")
KNOWN_SECTIONS = ("chat_template", "evaluation", "samples")  # FORMAT.md §2


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
    keys = {"architecture", "config", "golden", "provenance", "sections", "tensors", "tokenizer"}
    root = check_keys("header", header, keys)
    _typed("architecture", root["architecture"], str, "a string")
    check_architecture(root["architecture"])
    check_config_keys(root["config"], root["architecture"])
    golden = check_keys("golden", root["golden"], {"ids", "logits"})
    _typed("golden.ids", golden["ids"], list, "an array")
    for i, token in enumerate(golden["ids"]):
        _integer(f"golden.ids[{i}]", token, 32)
    _check_section("golden.logits", check_keys("golden.logits", golden["logits"], {"nbytes", "offset", "sha256"}))
    _typed("provenance", root["provenance"], dict, "an object")
    _check_values(root["provenance"], 1)
    if (nbytes := len(canonical_json(root["provenance"]))) > MAX_PROVENANCE_BYTES:
        raise BadHeader("provenance", f"at most {MAX_PROVENANCE_BYTES} bytes", nbytes)
    _check_sections(root["sections"])
    _typed("tensors", root["tensors"], list, "an array")
    for i, value in enumerate(root["tensors"]):
        entry = check_keys(f"tensors[{i}]", value, {"dtype", "name", "nbytes", "offset", "sha256", "shape"})
        for field in ("dtype", "name"):
            _typed(f"tensors[{i}].{field}", entry[field], str, "a string")
        _typed(f"tensors[{i}].shape", entry["shape"], list, "an array")
        for j, size in enumerate(entry["shape"]):
            _integer(f"tensors[{i}].shape[{j}]", size, 64)
        _check_section(f"tensors[{i}]", entry)
    _check_section("tokenizer", check_keys("tokenizer", root["tokenizer"], {"nbytes", "offset", "sha256"}))


def check_architecture(name: str) -> None:
    """Raise Unsupported for a family that is not in the table."""
    if name not in FAMILIES:
        raise Unsupported("architecture", ", ".join(sorted(FAMILIES)), f"{name!r:.80}")


def check_config_keys(config: object, architecture: str) -> None:
    """Keys and types of a configuration of this family."""
    family = FAMILIES[architecture]
    fields = check_keys("config", config, family.required, family.optional)
    for field in (*BOUNDS, *((family.optional - {"stop_token_ids"}) & set(fields))):
        _integer(f"config.{field}", fields[field], 32)
    if "stop_token_ids" in fields:
        _typed("config.stop_token_ids", fields["stop_token_ids"], list, "an array")
        for i, token in enumerate(fields["stop_token_ids"]):
            _integer(f"config.stop_token_ids[{i}]", token, 32)
    for field in ("rope_theta", "norm_eps", *(family.required & {"logit_cap"})):
        _typed(f"config.{field}", fields[field], (int, float), "a number")
    _typed("config.tie_embeddings", fields["tie_embeddings"], bool, "true or false")


def _check_sections(sections: object) -> None:
    """Names in increasing order, each once; whether one may be skipped is its writer's word."""
    _typed("sections", sections, list, "an array")
    assert isinstance(sections, list)
    if len(sections) > MAX_SECTIONS:
        raise BadHeader("sections", f"at most {MAX_SECTIONS}", len(sections))
    before = ""
    for i, value in enumerate(sections):
        entry = check_keys(f"sections[{i}]", value, {"name", "nbytes", "offset", "required", "sha256"})
        _typed(f"sections[{i}].name", entry["name"], str, "a string")
        if not SECTION_NAME.fullmatch(entry["name"]) or entry["name"] <= before:
            expected = "1 to 64 of a-z, 0-9 and _, in increasing order"
            raise BadHeader(f"sections[{i}].name", expected, f"{entry['name']!r:.80}")
        before = entry["name"]
        _typed(f"sections[{i}].required", entry["required"], bool, "true or false")
        _check_section(f"sections[{i}]", entry)


def check_known_sections(sections: list[dict[str, Any]]) -> None:
    """Raise Unsupported where a section that must not be skipped is one that this reader does not know."""
    for i, entry in enumerate(sections):
        if entry["required"] and entry["name"] not in KNOWN_SECTIONS:
            raise Unsupported(f"sections[{i}].name", ", ".join(KNOWN_SECTIONS), f"{entry['name']!r}, which is required")


def _check_section(path: str, section: dict[str, Any]) -> None:
    _integer(f"{path}.nbytes", section["nbytes"], 64)
    _integer(f"{path}.offset", section["offset"], 64)
    digest = section["sha256"]
    if not (isinstance(digest, str) and len(digest) == 64 and set(digest) <= set("0123456789abcdef")):
        raise BadHeader(f"{path}.sha256", "64 lower-case hexadecimal digits", repr(digest))


def check_keys(path: str, value: object, keys: Set[str], optional: Set[str] = frozenset()) -> dict[str, Any]:
    """`value`, which must be an object with all of `keys`, any of `optional`, and no other. Raises BadHeader."""
    if not isinstance(value, dict):
        raise BadHeader(path, "an object", repr(value)[:80])
    if missing := sorted(keys - set(value)):
        raise BadHeader(f"{path}.{missing[0]}", "a value", "nothing: the key is missing")
    if unknown := sorted(set(value) - keys - optional):
        raise BadHeader(f"{path}.{unknown[0]}", f"only the keys {', '.join(sorted(keys | optional))}", "an unknown key")
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
    if not 1 <= config.get("logit_cap", 1) <= MAX_LOGIT_CAP:
        raise BadConfig("config.logit_cap", f"1 to {MAX_LOGIT_CAP}", config["logit_cap"])
    for field in ("bos_token_id", "eos_token_id"):
        if field in config and config[field] >= config["vocab_size"]:
            raise BadConfig(f"config.{field}", f"an id < vocab_size = {config['vocab_size']}", config[field])
    if "stop_token_ids" in config:
        stops = config["stop_token_ids"]
        if not 1 <= len(stops) <= MAX_STOPS or sorted(set(stops)) != stops:
            raise BadConfig("config.stop_token_ids", f"1 to {MAX_STOPS} ids in increasing order, each once", stops)
        if stops[-1] >= config["vocab_size"]:
            raise BadConfig("config.stop_token_ids", f"ids < vocab_size = {config['vocab_size']}", stops[-1])


def check_golden_ids(header: dict[str, Any]) -> None:
    config, ids = header["config"], header["golden"]["ids"]
    most = min(MAX_GOLDEN_IDS, config["ctx_len"])
    if not 1 <= len(ids) <= most:
        raise BadConfig("golden.ids", f"1 to {most} ids", len(ids))
    for i, token in enumerate(ids):
        if token >= config["vocab_size"]:
            raise BadConfig(f"golden.ids[{i}]", f"an id < vocab_size = {config['vocab_size']}", token)


def check_tensor_list(entries: list[dict[str, Any]], specs: list[TensorSpec]) -> None:
    """The tensors of the configuration, in the file's order; each matrix in a known dtype, gains and biases in f32."""
    if len(entries) != len(specs):
        raise BadConfig("tensors", f"{len(specs)} tensors", len(entries))
    for i, (entry, spec) in enumerate(zip(entries, specs, strict=True)):
        if entry["name"] != spec.name:
            raise BadConfig(f"tensors[{i}].name", spec.name, entry["name"])
        if entry["dtype"] not in DTYPES:
            raise Unsupported(f"tensors[{i}].dtype", ", ".join(DTYPES), f"{entry['dtype']!r:.80}")
        if entry["dtype"] != spec.dtype(entry["dtype"]):
            raise BadConfig(f"tensors[{i}].dtype", "f32", entry["dtype"])
        if entry["shape"] != list(spec.shape):
            raise BadConfig(f"tensors[{i}].shape", list(spec.shape), entry["shape"])
        check_blocks(f"tensors[{i}].dtype", entry["dtype"], spec.shape)
