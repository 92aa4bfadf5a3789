"""A model.bin in, what transformers.js opens out: an ONNX graph with a cache, of onnxruntime's own operators.

    python -m tests.bench.engine.onnx_graph MODEL.BIN FOLDER

Writes FOLDER/config.json and FOLDER/onnx/model.onnx. Blocks of q8_0 and q4_0 become those of MatMulNBits, number by
number; the embedding is widened to f32, for what looks rows up in blocks is not everywhere. Only the last position's
logits are computed. Source of the operators: onnxruntime's docs/ContribOperators.md.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from training.format.dtypes import BLOCK, Stored
from training.format.file import ModelFile, read_model

MICROSOFT = "com.microsoft"
INT8_PRODUCTS = 4  # MatMulNBits' accuracy_level: activations may be rounded to 8 bits, the fastest that there is


class Graph:
    """Nodes and weights, added one after the other."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[TensorProto] = []

    def weight(self, name: str, values: NDArray[Any]) -> str:
        """Add a constant; returns its name."""
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def add(
        self,
        operator: str,
        inputs: list[str],
        out: str,
        domain: str = "",
        more: tuple[str, ...] = (),
        **attributes: Any,
    ) -> str:
        """Add a node; returns its first output. more: the other outputs."""
        self.nodes.append(helper.make_node(operator, inputs, [out, *more], out, domain=domain, **attributes))
        return out

    def linear(self, x: str, stored: Stored, name: str) -> str:
        """x times a matrix as it is stored, (N, K)."""
        rows, columns = stored.shape
        if stored.dtype in ("f32", "f16"):
            return self.add("MatMul", [x, self.weight(f"{name}.weight", stored.values().T)], name)
        quants, scales = stored.planes()  # (blocks, 32), (blocks)
        if stored.dtype == "q4_0":
            bits, numbers = 4, (quants + np.int8(8)).view(np.uint8)
            numbers = numbers[:, ::2] | (numbers[:, 1::2] << np.uint8(4))
        else:
            bits, numbers = 8, (quants.astype(np.int16) + 128).astype(np.uint8)
        packed = self.weight(f"{name}.quants", numbers.reshape(rows, columns // BLOCK, -1))
        scale = self.weight(f"{name}.scales", scales.astype(np.float32).reshape(rows, -1))
        shape = {"N": rows, "K": columns, "bits": bits, "block_size": BLOCK, "accuracy_level": INT8_PRODUCTS}
        return self.add("MatMulNBits", [x, packed, scale], name, MICROSOFT, **shape)


def build(model: ModelFile) -> onnx.ModelProto:
    """The graph: input_ids (B, T), attention_mask (B, all), past_key_values.N.key and .value (B, G, past, D) in; logits
    (B, 1, V) and present.N.key and .value out."""
    config, graph = model.config, Graph()
    heads, groups, width, layers = (config[name] for name in ("n_head", "n_kv_head", "d_head", "n_layer"))
    cache = [f"{layer}.{part}" for layer in range(layers) for part in ("key", "value")]

    frequencies = config["rope_theta"] ** (-np.arange(0, width, 2) / width)
    angles = np.outer(np.arange(config["ctx_len"]), frequencies)
    cos, sin = (graph.weight(name, f(angles).astype(np.float32)) for name, f in (("cos", np.cos), ("sin", np.sin)))
    one, last = (graph.weight(name, np.array([number])) for name, number in (("one", 1), ("last", -1)))
    scalar_one = graph.weight("scalar_one", np.array(1))
    used = graph.add("ReduceSum", ["attention_mask", one], "used", keepdims=0)
    before = graph.add("Cast", [graph.add("Sub", [used, scalar_one], "before")], "before_i32", to=TensorProto.INT32)
    length = graph.add("Gather", [graph.add("Shape", ["attention_mask"], "mask_shape"), scalar_one], "length")
    total = graph.add("Cast", [length], "total", to=TensorProto.INT32)

    def norm(name: str) -> str:
        return graph.weight(name, model.stored[f"model.{name}.weight"].values())

    eps = {"epsilon": config["norm_eps"]}
    embedding = model.stored["model.embed_tokens.weight"]
    x = graph.add("Gather", [graph.weight("embedding", embedding.values()), "input_ids"], "x")
    y = graph.add("SimplifiedLayerNormalization", [x, norm("layers.0.input_layernorm")], "y", axis=-1, **eps)
    for layer in range(layers):
        at = f"layers.{layer}."

        def linear(x: str, part: str, at: str = at) -> str:
            return graph.linear(x, model.stored[f"model.{at}{part}.weight"], f"{at}{part}")

        def add_and_norm(x: str, change: str, gain: str, at: str) -> tuple[str, str]:
            inputs, more = [x, change, norm(gain)], ("", "", f"{at}.x")
            return f"{at}.x", graph.add("SkipSimplifiedLayerNormalization", inputs, f"{at}.y", MICROSOFT, more, **eps)

        q, k, v = (linear(y, f"self_attn.{name}_proj") for name in "qkv")
        past, present = (
            [f"{prefix}.{layer}.{part}" for part in ("key", "value")] for prefix in ("past_key_values", "present")
        )
        inputs = [q, k, v, *past, before, total, cos, sin]
        sizes = {"num_heads": heads, "kv_num_heads": groups, "do_rotary": 1, "scale": width**-0.5}
        mixed = graph.add("GroupQueryAttention", inputs, f"{at}mixed", MICROSOFT, tuple(present), **sizes)
        x, y = add_and_norm(x, linear(mixed, "self_attn.o_proj"), f"{at}post_attention_layernorm", f"{at}attended")
        gate, up = linear(y, "mlp.gate_proj"), linear(y, "mlp.up_proj")
        silu = graph.add("Mul", [gate, graph.add("Sigmoid", [gate], f"{at}sigmoid")], f"{at}silu")
        down = linear(graph.add("Mul", [silu, up], f"{at}hidden"), "mlp.down_proj")
        x, y = add_and_norm(
            x, down, f"layers.{layer + 1}.input_layernorm" if layer + 1 < layers else "norm", f"{at}done"
        )
    end = graph.weight("end", np.array([np.iinfo(np.int64).max]))
    y = graph.add("Slice", [y, last, end, one], "last_y")
    graph.linear(y, embedding if config["tie_embeddings"] else model.stored["lm_head.weight"], "logits")

    kept = ["batch_size", groups, "past_sequence_length", width]
    ids = [
        ("input_ids", ["batch_size", "sequence_length"]),
        ("attention_mask", ["batch_size", "total_sequence_length"]),
    ]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name, shape in ids]
    inputs += [helper.make_tensor_value_info(f"past_key_values.{name}", TensorProto.FLOAT, kept) for name in cache]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch_size", 1, config["vocab_size"]])]
    kept = ["batch_size", groups, "total_sequence_length", width]
    outputs += [helper.make_tensor_value_info(f"present.{name}", TensorProto.FLOAT, kept) for name in cache]
    made = helper.make_graph(graph.nodes, "pocketlm", inputs, outputs, graph.weights)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(made, opset_imports=opsets, ir_version=10)


def main(path: Path, folder: Path) -> None:
    """Write the folder. No id ends a text."""
    model = read_model(path)
    config = model.config
    (folder / "onnx").mkdir(parents=True)
    about = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": config["d_model"],
        "head_dim": config["d_head"],
        "num_hidden_layers": config["n_layer"],
        "num_attention_heads": config["n_head"],
        "num_key_value_heads": config["n_kv_head"],
        "vocab_size": config["vocab_size"],
        "max_position_embeddings": config["ctx_len"],
    }
    (folder / "config.json").write_text(json.dumps(about), encoding="utf-8")
    onnx.save(build(model), folder / "onnx" / "model.onnx")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
