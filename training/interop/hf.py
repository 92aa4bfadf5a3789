"""A Hugging Face folder in, an Imported model out: config.json, safetensors, tokenizer.json, chat template.

The folder may be anything that fsspec opens; files that lie elsewhere are fetched one at a time. F32 and F16 are kept
bit for bit, BF16 is widened to f32, exactly.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
from pocketlm_tokenizer import Tokenizer
from safetensors import SafetensorError, safe_open

from training import command
from training.format.dtypes import Stored
from training.format.families import expected_tensors
from training.imported import Imported
from training.interop.families import BadModel, check_tensors, endings, known_family
from training.tokenizer_file import JSON_NAME, from_json

# Fields of config.json for what the engine does not do; the values that mean "none of it". Absent is fine too.
MUST_BE: dict[str, tuple[Any, ...]] = {
    "attention_bias": (False, None),  # q, k and v of qwen2 have one, and no field for it
    "hidden_act": ("silu", "swish"),
    "layer_types": (None,),  # all the same: see _config
    "mlp_bias": (False, None),
    "partial_rotary_factor": (1.0, None),
    "pretraining_tp": (1, None),
    "quantization_config": (None,),
    "use_sliding_window": (False, None),
}
INDEX_NAME, SINGLE_NAME = "model.safetensors.index.json", "model.safetensors"


def read(url: str) -> Imported:
    """The model of a folder, local or at any URL of fsspec. Raises BadModel, a ValueError, that names the family,
    tensor type or setting which is missing or not supported; OSError where a file cannot be read.
    """
    file_system, root = fsspec.core.url_to_fs(url)

    def content(name: str) -> bytes | None:
        path = f"{root.rstrip('/')}/{name}"
        return bytes(file_system.cat_file(path)) if file_system.exists(path) else None

    def parsed(name: str) -> dict[str, Any]:
        data = content(name)
        value = {} if data is None else command.parse_json(data, name)
        if not isinstance(value, dict):
            raise BadModel(f"{name}: not an object")
        return value

    theirs = parsed("config.json")
    if not theirs:
        raise BadModel("there is no config.json")
    architecture = known_family(theirs.get("model_type"), "config.json: model_type")
    text = content(JSON_NAME)
    if text is None:
        raise BadModel(f"there is no {JSON_NAME}" + _other_tokenizer(content))
    tokenizer = from_json(text, JSON_NAME)
    beside = parsed("tokenizer_config.json")
    config = _config(theirs, parsed("generation_config.json"), beside, tokenizer)
    specs = expected_tensors(config, architecture)
    names = sorted(set(parsed(INDEX_NAME).get("weight_map", {}).values())) or [SINGLE_NAME]
    tensors: dict[str, Stored] = {}
    kinds: dict[str, int] = {}
    for name in names:
        path = f"{root.rstrip('/')}/{name}"
        if not file_system.exists(path):
            raise BadModel(f"there is no {name}")
        for key, kind, stored in _tensors(file_system, path):
            tensors[key] = stored
            kinds[kind] = kinds.get(kind, 0) + 1
    if config["tie_embeddings"]:
        tensors.pop("lm_head.weight", None)  # some files store it twice
    check_tensors(specs, {name: stored.shape for name, stored in tensors.items()})
    ordered = {spec.name: _plain(tensors[spec.name]) for spec in specs}
    origin = {"dtypes": dict(sorted(kinds.items())), "format": "safetensors", "name": theirs.get("_name_or_path")}
    return Imported(architecture, config, ordered, tokenizer, _template(content, beside), origin)


def _other_tokenizer(content: Callable[[str], bytes | None]) -> str:
    return "; tokenizer.model is SentencePiece, another algorithm" if content("tokenizer.model") is not None else ""


def _config(
    theirs: dict[str, Any], generation: dict[str, Any], beside: dict[str, Any], tokenizer: Tokenizer
) -> dict[str, Any]:
    """FORMAT.md's configuration."""
    layers = theirs.get("layer_types")
    settings = {**theirs, "layer_types": None if set(layers or ()) <= {"full_attention"} else layers}
    for key, plain in MUST_BE.items():
        if settings.get(key, plain[0]) not in plain:
            raise BadModel(f"config.json: {key}={settings[key]!r} is not supported")
    rope = theirs.get("rope_parameters") or theirs.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind not in ("default", None):
        raise BadModel(f"config.json: RoPE scaled by {kind!r} is not supported")

    def get(key: str, default: Any = None) -> Any:
        value = theirs.get(key)
        value = default if value is None else value
        if value is None:
            raise BadModel(f"config.json: there is no {key}")
        return value

    n_head = get("num_attention_heads")
    configs = [generation, theirs]
    return {
        "n_layer": get("num_hidden_layers"),
        "n_head": n_head,
        "n_kv_head": get("num_key_value_heads", n_head),
        "d_model": get("hidden_size"),
        "d_head": get("head_dim", get("hidden_size") // n_head),
        "d_ff": get("intermediate_size"),
        "vocab_size": get("vocab_size"),
        "ctx_len": get("max_position_embeddings"),
        "rope_theta": float(rope.get("rope_theta") or get("rope_theta", 10000.0)),
        "norm_eps": float(get("rms_norm_eps")),
        "tie_embeddings": bool(theirs.get("tie_word_embeddings", False)),
        "bos_token_id": _token(beside, tokenizer, "bos_token", configs),
        **endings(_token(beside, tokenizer, "eos_token", configs), _listed(configs, "eos_token_id")),
    }


def _token(beside: dict[str, Any], tokenizer: Tokenizer, name: str, configs: list[dict[str, Any]]) -> int | None:
    """The id of a token that the tokenizer's configuration names, else the first that another file gives."""
    text = beside.get(name)
    text = text.get("content") if isinstance(text, dict) else text
    if text in tokenizer.special_tokens:
        return tokenizer.special_tokens[text]
    return next(iter(_listed(configs, f"{name}_id")), None)


def _listed(configs: list[dict[str, Any]], key: str) -> list[int]:
    """The ids of the first file that gives any; a model for chat may list several."""
    for config in configs:
        given = config.get(key)
        ids = [each for each in (given if isinstance(given, list) else [given]) if isinstance(each, int)]
        if ids:
            return ids
    return []


def _template(content: Callable[[str], bytes | None], beside: dict[str, Any]) -> str | None:
    """The chat template: a file of its own, or a field of the tokenizer's configuration, which may name several."""
    data = content("chat_template.jinja")
    if data is not None:
        return data.decode("utf-8")
    given = beside.get("chat_template")
    if isinstance(given, list):
        given = {each["name"]: each["template"] for each in given}.get("default")
    return given


def _tensors(file_system: Any, path: str) -> Iterator[tuple[str, str, Stored]]:
    """(name, type, tensor) of a safetensors file. One that lies elsewhere is fetched first."""
    with tempfile.TemporaryDirectory(prefix="pocketlm-") as folder:
        local = file_system.protocol in ("file", ("file", "local"))
        here = Path(path) if local else Path(folder) / "weights"
        if not local:
            file_system.get_file(path, str(here))
        try:
            with safe_open(here, framework="pt") as opened:
                for key in opened.keys():  # noqa: SIM118 (a handle is no dictionary)
                    yield key, *_stored(f"{Path(path).name}: {key}", opened.get_tensor(key))
        except SafetensorError as error:
            raise BadModel(f"{Path(path).name}: not a safetensors file ({error})") from error


def _stored(name: str, tensor: Any) -> tuple[str, Stored]:
    """A torch tensor: f32 and f16 as they are, bf16 widened."""
    kind = str(tensor.dtype).removeprefix("torch.")
    if kind not in ("float32", "float16", "bfloat16"):
        raise BadModel(f"{name} is in {kind}, which is not supported; there are: float32, float16, bfloat16")
    values = (tensor.float() if kind == "bfloat16" else tensor).contiguous().numpy()
    dtype = "f16" if kind == "float16" else "f32"
    return kind, Stored(dtype, tuple(values.shape), values.reshape(-1).view(np.uint8))


def _plain(stored: Stored) -> Stored:
    """Gains and biases are f32 in every model.bin."""
    if len(stored.shape) != 1 or stored.dtype == "f32":
        return stored
    return Stored("f32", stored.shape, stored.values().reshape(-1).view(np.uint8))
