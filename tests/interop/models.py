"""Random models of Hugging Face's, and GGUF files of them: made when a test runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
import transformers as hf
from gguf import GGMLQuantizationType as Kind
from numpy.typing import NDArray
from pocketlm_tokenizer import Tokenizer

from tests.interop import blocks

CLASSES = {
    "llama": (hf.LlamaConfig, hf.LlamaForCausalLM),
    "qwen2": (hf.Qwen2Config, hf.Qwen2ForCausalLM),
    "qwen3": (hf.Qwen3Config, hf.Qwen3ForCausalLM),
}
CONTROL, NORMAL = 3, 1
# Every row is whole blocks of 256, as most types in few bits want it.
IN_LARGE_BLOCKS = {"hidden_size": 256, "num_attention_heads": 16, "intermediate_size": 256}
TEXT = "the quick brown fox jumps over the lazy dog, and 1234 others; it's not there yet. " * 3


def tokenizer(split: str = "smollm2") -> Tokenizer:
    """A small vocabulary with two special tokens."""
    return Tokenizer.train([TEXT], 300, ["<|im_start|>", "<|im_end|>"], split=split)


def model(architecture: str, tied: bool = True, seed: int = 1, **changes: Any) -> Any:
    """A transformers model of this family with random weights, also where they begin as 0 and 1."""
    make_config, make_model = CLASSES[architecture]
    torch.manual_seed(seed)
    shape = {
        "num_hidden_layers": 2,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "hidden_size": 96,
        "head_dim": 16,
        "intermediate_size": 64,
        "vocab_size": 320,
        "max_position_embeddings": 128,
        "rope_parameters": {"rope_type": "default", "rope_theta": 5000.0},
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": tied,
        "bos_token_id": 0,
        "eos_token_id": 1,
    }
    made = make_model(make_config(**{**shape, **changes})).eval()
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(0.1 * torch.randn(weight.shape))
    return made


def interleaved(rows: NDArray[Any], n_head: int) -> NDArray[Any]:
    """The order in which llama.cpp's converter writes q and k: row (head, half, j) goes to (head, j, half)."""
    out, d_head = np.empty_like(rows), rows.shape[0] // n_head
    for head in range(n_head):
        for half in range(2):
            for j in range(d_head // 2):
                out[head * d_head + 2 * j + half] = rows[head * d_head + half * (d_head // 2) + j]
    return out


def write_gguf(path: Path, made: Any, kind: Kind | Callable[[str], Kind], **changes: Any) -> None:
    """The model as llama.cpp's converter writes it, its matrices in `kind`, or each in what `kind` says of its name; in
    types that the `gguf` package does not write they are others, that spread as much. changes: metadata; None is left
    out.
    """
    config, architecture = made.config, made.config.model_type
    vocabulary = json.loads(tokenizer().to_hf_json())
    names = {number: name for name, number in vocabulary["model"]["vocab"].items()}
    names |= {each["id"]: each["content"] for each in vocabulary["added_tokens"]}
    tokens = [names[number] for number in range(len(names))]
    fields: dict[str, Any] = {
        f"{architecture}.block_count": config.num_hidden_layers,
        f"{architecture}.context_length": config.max_position_embeddings,
        f"{architecture}.embedding_length": config.hidden_size,
        f"{architecture}.feed_forward_length": config.intermediate_size,
        f"{architecture}.attention.head_count": config.num_attention_heads,
        f"{architecture}.attention.head_count_kv": config.num_key_value_heads,
        f"{architecture}.attention.key_length": config.head_dim,
        f"{architecture}.rope.freq_base": 5000.0,
        f"{architecture}.attention.layer_norm_rms_epsilon": config.rms_norm_eps,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [CONTROL, CONTROL] + [NORMAL] * (len(tokens) - 2),
        "tokenizer.ggml.merges": [" ".join(pair) for pair in vocabulary["model"]["merges"]],
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 1,
        "tokenizer.chat_template": "{{ messages[0]['content'] }}",
        **changes,
    }
    writer = gguf.GGUFWriter(path, fields.pop("general.architecture", architecture))
    for key, value in fields.items():
        if isinstance(value, str):
            writer.add_string(key, value)
        elif isinstance(value, list):
            writer.add_array(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        elif value is not None:
            writer.add_uint32(key, value)
    arch = getattr(gguf.MODEL_ARCH, architecture.upper())
    ours = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    rng = np.random.default_rng(7)
    for name, weight in made.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        values = weight.numpy()
        if architecture == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
            heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
            values = interleaved(values, heads)
        their_name = ours.get_name(name, (".weight", ".bias"))
        assert their_name is not None
        its_kind = Kind.F32 if values.ndim == 1 else kind if isinstance(kind, Kind) else kind(their_name)
        if its_kind in blocks.NOT_WRITTEN:
            rows = blocks.random_rows(its_kind, values.shape, float(values.std()), rng)
        else:
            rows = gguf.quants.quantize(values, its_kind)
        writer.add_tensor(their_name, rows, raw_dtype=its_kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_folder(folder: Path, made: Any, dtype: torch.dtype = torch.float32, **tokenizer_config: Any) -> None:
    """The model as `save_pretrained` writes it, with our tokenizer's tokenizer.json."""
    made.to(dtype).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer().to_hf_json())
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config))
