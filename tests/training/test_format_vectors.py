"""tests/vectors/model_format.json holds training/format and the Rust reader to the same table, sizes and blocks."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.format import dtypes, errors
from training.format.families import FAMILIES, TensorSpec, expected_tensors
from training.format.file import MAGIC, PREFIX, VERSION, read_layout

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "model_format.json").read_text())


def test_every_family_has_a_vector() -> None:
    assert {vector["architecture"] for vector in VECTORS["families"]} == set(FAMILIES)
    assert {vector["dtype"] for vector in VECTORS["blocks"]} == set(dtypes.QUANT_NBYTES)


@pytest.mark.parametrize("index", range(len(VECTORS["families"])))
def test_tensors_of_a_family(index: int) -> None:
    vector = VECTORS["families"][index]
    specs = expected_tensors(vector["config"], vector["architecture"])
    assert [[spec.name, list(spec.shape)] for spec in specs] == vector["tensors"]


def test_the_vectors_are_what_transformers_has() -> None:
    import transformers as hf

    classes = {
        "llama": (hf.LlamaConfig, hf.LlamaForCausalLM),
        "qwen2": (hf.Qwen2Config, hf.Qwen2ForCausalLM),
        "qwen3": (hf.Qwen3Config, hf.Qwen3ForCausalLM),
    }
    for vector in VECTORS["families"]:
        if vector["architecture"] not in classes:
            continue  # our own
        config, model = classes[vector["architecture"]]
        shape = vector["config"]
        theirs = model(
            config(
                num_hidden_layers=shape["n_layer"],
                num_attention_heads=shape["n_head"],
                num_key_value_heads=shape["n_kv_head"],
                hidden_size=shape["d_model"],
                head_dim=shape["d_head"],
                intermediate_size=shape["d_ff"],
                vocab_size=shape["vocab_size"],
                tie_word_embeddings=shape["tie_embeddings"],
            )
        ).state_dict()
        if shape["tie_embeddings"]:
            theirs.pop("lm_head.weight")
        assert {name: list(tensor.shape) for name, tensor in theirs.items()} == dict(vector["tensors"])


def test_sizes() -> None:
    for vector in VECTORS["sizes"]:
        assert {dtype: dtypes.nbytes(dtype, tuple(vector["shape"])) for dtype in dtypes.DTYPES} == vector["nbytes"]


@pytest.mark.parametrize("vector", VECTORS["blocks"], ids=lambda vector: vector["dtype"])
def test_blocks(vector: dict[str, Any]) -> None:
    shape = tuple(vector["shape"])
    gguf = np.frombuffer(bytes.fromhex(vector["gguf"]), np.uint8)
    stored = dtypes.from_gguf(vector["dtype"], shape, gguf)
    assert stored.data.tobytes().hex() == vector["stored"]
    assert dtypes.to_gguf(stored).tobytes().hex() == vector["gguf"]
    values = np.array(vector["values"], np.float32).reshape(shape)
    np.testing.assert_array_equal(stored.values(), values)
    again = dtypes.as_stored(TensorSpec("x", shape), values, vector["dtype"])
    np.testing.assert_array_equal(again.values(), values)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["q8_0", "q4_0"]), st.sampled_from([1e-8, 1e-4, 1.0, 3e4]))
def test_quantising_twice_changes_nothing(seed: int, dtype: str, scale: float) -> None:
    """And no value moves by more than half a step; q4_0's range has no +8, so its largest may move by a whole one."""
    values = (np.random.default_rng(seed).standard_normal((3, 64)) * scale).astype(np.float32)
    stored = dtypes.as_stored(TensorSpec("x", (3, 64)), values, dtype)
    once = stored.values()
    np.testing.assert_array_equal(dtypes.as_stored(TensorSpec("x", (3, 64)), once, dtype).values(), once)
    assert dtypes.from_gguf(dtype, stored.shape, dtypes.to_gguf(stored)).data.tobytes() == stored.data.tobytes()
    largest = np.abs(values.reshape(-1, 32)).max(axis=1)
    step = largest / {"q8_0": 127, "q4_0": 8}[dtype]
    allowed = {"q8_0": 0.57, "q4_0": 1.01}[dtype] * step + 128 * 2.0**-25  # + what f16 loses of the scale
    assert (np.abs(once - values).reshape(-1, 32).max(axis=1) <= allowed).all()


def test_what_overflows_a_scale() -> None:
    spec = TensorSpec("x", (1, 32))
    with pytest.raises(errors.NotFinite, match=r"x\[0\].*overflows q8_0"):
        dtypes.as_stored(spec, np.full((1, 32), 127 * 65520.0), "q8_0")
    with pytest.raises(errors.NotFinite, match=r"x\[5\].*nan"):
        dtypes.as_stored(spec, np.where(np.arange(32) == 5, np.nan, 1)[None], "q4_0")


def test_a_sparse_file_of_more_than_4_gib(tmp_path: Path) -> None:
    """The header says where everything is, far beyond 32 bits; and every length is still checked."""
    large = VECTORS["large"]
    text, nbytes = large["header"].encode(), large["file_nbytes"]
    path = tmp_path / "large.bin"
    with open(path, "wb") as file:
        data_offset = (64 + len(text) + 255) // 256 * 256
        file.write(PREFIX.pack(MAGIC, VERSION, len(text), data_offset, nbytes, hashlib.sha256(text).digest()) + text)
        file.truncate(nbytes)
    layout = read_layout(path)
    assert [place.entry["offset"] for place in layout.places] == large["offsets"]
    assert large["offsets"][-1] > 1 << 32 and layout.file_nbytes == nbytes > 2 << 32
    with open(path, "r+b") as file:
        file.truncate(nbytes - 256)
    with pytest.raises(errors.Truncated, match=f"{nbytes} bytes, got {nbytes - 256}"):
        read_layout(path)
