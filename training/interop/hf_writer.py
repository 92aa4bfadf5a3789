"""A model.bin in, a Hugging Face folder out: what `AutoModelForCausalLM` and `AutoTokenizer` of `transformers` open.

f32 and f16 are written bit for bit. A folder has no block formats, so q8_0 and q4_0 are widened to f32, exactly: it is
still the model of the page. What training.interop.hf reads of it is what went in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pocketlm_tokenizer import Tokenizer
from safetensors.numpy import save_file

from training import command
from training.format.file import ModelFile
from training.interop.families import check_shared

CLASSES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}


def write(folder: Path, model: ModelFile) -> str:
    """Write a model into a folder that is there; returns the type of its matrices, "float32" or "float16".

    Raises ValueError where transformers does not know its family.
    """
    check_shared(model.architecture, "transformers")
    matrices = [stored for stored in model.stored.values() if len(stored.shape) > 1]
    dtype = "float16" if all(stored.dtype == "f16" for stored in matrices) else "float32"
    tensors = {
        name: stored.values().astype("<f2" if stored.dtype == "f16" else "<f4", copy=False)
        for name, stored in model.stored.items()
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer = Tokenizer.from_bytes(model.tokenizer_bytes)
    command.write_json(folder / "config.json", _config(model, dtype))
    stops = model.config["stop_token_ids"]
    ends = {"eos_token_id": [model.config["eos_token_id"], *stops]} if stops else {}
    command.write_json(folder / "generation_config.json", {**_ends(model), **ends})
    command.write_json(folder / "tokenizer_config.json", _tokenizer_config(model, tokenizer))
    (folder / "tokenizer.json").write_text(tokenizer.to_hf_json(), encoding="utf-8")
    return dtype


def _ends(model: ModelFile) -> dict[str, Any]:
    """The ids that begin and end a text, under their names in a Hugging Face configuration, where there are any."""
    ids = {name: model.config[name] for name in ("bos_token_id", "eos_token_id")}
    return {name: number for name, number in ids.items() if number is not None}


def _config(model: ModelFile, dtype: str) -> dict[str, Any]:
    """config.json. RoPE's base stands in it twice: transformers 4 reads rope_theta, transformers 5 rope_parameters."""
    config = model.config
    made = {
        "architectures": [CLASSES[model.architecture]],
        "head_dim": config["d_head"],
        "hidden_act": "silu",
        "hidden_size": config["d_model"],
        "intermediate_size": config["d_ff"],
        "max_position_embeddings": config["ctx_len"],
        "model_type": model.architecture,
        "num_attention_heads": config["n_head"],
        "num_hidden_layers": config["n_layer"],
        "num_key_value_heads": config["n_kv_head"],
        "rms_norm_eps": config["norm_eps"],
        "rope_parameters": {"rope_type": "default", "rope_theta": config["rope_theta"]},
        "rope_theta": config["rope_theta"],
        "tie_word_embeddings": config["tie_embeddings"],
        "torch_dtype": dtype,
        "vocab_size": config["vocab_size"],
        **_ends(model),
    }
    return made if model.architecture == "qwen2" else {**made, "attention_bias": False}


def _tokenizer_config(model: ModelFile, tokenizer: Tokenizer) -> dict[str, Any]:
    """tokenizer_config.json: the special tokens by name, and the chat template."""
    made: dict[str, Any] = {
        "clean_up_tokenization_spaces": False,
        "model_max_length": model.config["ctx_len"],
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    names = {number: name for name, number in tokenizer.special_tokens.items()}
    for key, number in _ends(model).items():
        if number in names:
            made[key.removesuffix("_id")] = names[number]
    if model.chat_template is not None:
        made["chat_template"] = model.chat_template
    return made
