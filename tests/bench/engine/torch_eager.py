"""torch, operation by operation, with a cache of keys and values: what a model's first user has before any engine.

    python -m tests.bench.engine.torch_eager REQUEST

REQUEST: {"file": "model.bin", "prompt": [1, 2], "tokens": 8, "seconds": 5, "threads": 1}. One line of JSON on stdout,
as peers.py wants it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from time import perf_counter, process_time
from typing import Any

import torch
import torch.nn.functional as F

from training.format.file import read_model
from training.model.blocks import rope_tables, rotate


class Eager:
    """A llama on the CPU in f32."""

    def __init__(self, config: Mapping[str, Any], tensors: Mapping[str, Any], length: int) -> None:
        self.config, self.used = config, 0
        self.weights = {name: torch.from_numpy(values) for name, values in tensors.items()}
        shape = (2, config["n_layer"], 1, config["n_kv_head"], length, config["d_head"])
        self.cache = torch.zeros(shape)  # keys, values: (n_layer, B, G, T, D)
        self.cos, self.sin = (table[:, None] for table in rope_tables(length, config["d_head"], config["rope_theta"]))

    def next(self, ids: Sequence[int]) -> int:
        """Read ids after those read before; returns the likeliest token after them."""
        config, at, end = self.config, self.used, self.used + len(ids)
        eps, heads = config["norm_eps"], (-1, config["d_head"])
        cos, sin = self.cos[at:end], self.sin[at:end]
        x = F.embedding(torch.tensor([ids]), self.weights["model.embed_tokens.weight"])  # (B, T, C)
        for layer in range(config["n_layer"]):
            w = {
                part: self.weights[f"model.layers.{layer}.{part}.weight"]
                for part in (
                    *(f"self_attn.{name}_proj" for name in "qkvo"),
                    *(f"mlp.{name}_proj" for name in ("gate", "up", "down")),
                    "input_layernorm",
                    "post_attention_layernorm",
                )
            }
            y = F.rms_norm(x, x.shape[-1:], w["input_layernorm"], eps)
            q, k, v = (F.linear(y, w[f"self_attn.{name}_proj"]).unflatten(-1, heads) for name in "qkv")  # (B, T, H, D)
            keys, values = self.cache[0, layer], self.cache[1, layer]
            keys[:, :, at:end] = rotate(k, cos, sin).transpose(1, 2)
            values[:, :, at:end] = v.transpose(1, 2)
            mixed = F.scaled_dot_product_attention(
                rotate(q, cos, sin).transpose(1, 2),
                keys[:, :, :end],
                values[:, :, :end],
                is_causal=len(ids) > 1,  # several ids are read only into an empty cache
                enable_gqa=True,
            )  # (B, H, T, D)
            x = x + F.linear(mixed.transpose(1, 2).flatten(2), w["self_attn.o_proj"])
            y = F.rms_norm(x, x.shape[-1:], w["post_attention_layernorm"], eps)
            hidden = F.silu(F.linear(y, w["mlp.gate_proj"])) * F.linear(y, w["mlp.up_proj"])
            x = x + F.linear(hidden, w["mlp.down_proj"])
        self.used = end
        y = F.rms_norm(x[:, -1], x.shape[-1:], self.weights["model.norm.weight"], eps)
        output = "model.embed_tokens" if config["tie_embeddings"] else "lm_head"
        return int(F.linear(y, self.weights[f"{output}.weight"]).argmax())

    def generate(self, prompt: Sequence[int], count: int, seconds: float) -> dict[str, Any]:
        """The prompt, then `count` greedy tokens, fewer where that takes longer."""
        self.used, begun = 0, now()
        ids = [self.next(prompt)]
        first = now()
        while len(ids) < count and (len(ids) < 2 or perf_counter() - first[0] < seconds):
            ids.append(self.next(ids[-1:]))
        return {"prefill": between(begun, first), "decode": between(first, now()), "tokens": len(ids) - 1, "ids": ids}


def now() -> tuple[float, float]:
    """Both clocks, in seconds: the wall's, and the processor's, of all threads."""
    return perf_counter(), process_time()


def between(begun: tuple[float, float], ended: tuple[float, float]) -> dict[str, float]:
    """What passed, in milliseconds."""
    return {"clock_ms": (ended[0] - begun[0]) * 1e3, "cpu_ms": (ended[1] - begun[1]) * 1e3}


@torch.inference_mode()
def main(request: Mapping[str, Any]) -> dict[str, Any]:
    """Measure one model."""
    torch.set_num_threads(request["threads"])
    prompt, tokens, seconds = request["prompt"], request["tokens"], request["seconds"]
    started = perf_counter()
    file = read_model(request["file"])
    model = Eager(file.config, file.tensors, len(prompt) + tokens)
    load_ms = (perf_counter() - started) * 1e3
    cold = model.generate(prompt, 2, seconds)
    return {
        "load_ms": load_ms,
        "first_ms": load_ms + cold["prefill"]["clock_ms"],
        **model.generate(prompt, tokens + 1, seconds),
    }


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
