"""GGUF files: what is read against `transformers` on the weights that went in, and what is refused."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind

from tests.interop import blocks, models
from training import reference
from training.format.dtypes import to_gguf
from training.interop import gguf as reader
from training.interop.families import BadModel

IDS = np.random.default_rng(5).integers(300, size=64).tolist()


@pytest.mark.parametrize("architecture", models.CLASSES)
@pytest.mark.parametrize("tied", [True, False])
def test_the_logits_are_those_of_transformers(tmp_path: Path, architecture: str, tied: bool) -> None:
    made = models.model(architecture, tied)
    models.write_gguf(tmp_path / "m.gguf", made, Kind.F32)
    found = reader.read(tmp_path / "m.gguf")
    assert (found.architecture, found.config["eos_token_id"]) == (architecture, 1)
    got = reference.logits(found.config, found.tensors, IDS)
    with torch.no_grad():
        expected = made(torch.tensor([IDS])).logits[0]
    log_p, log_q = expected.double().log_softmax(-1), got.double().log_softmax(-1)
    assert bool((got.argmax(-1) == expected.argmax(-1)).all())
    assert float((log_p.exp() * (log_p - log_q)).sum(-1).mean()) <= 1e-8
    last = reference.last_logits(found.config, found.tensors, IDS)
    assert torch.allclose(last, expected[-1], atol=1e-4 * float(expected.std()))


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ({"eos": 1, "eot": 7, "eom": 5}, (1, [5, 7])),
        ({"eos": 1, "eot": 1}, (1, None)),
        ({"eos": None, "eot": 7}, (7, None)),
        ({"eos": None}, (None, None)),
    ],
)
def test_every_token_that_ends_a_text_is_read(
    tmp_path: Path, ends: dict[str, int | None], expected: tuple[int | None, list[int] | None]
) -> None:
    given = {f"tokenizer.ggml.{name}_token_id": token for name, token in ends.items()}
    models.write_gguf(tmp_path / "m.gguf", models.model("llama"), Kind.F32, **given)
    config = reader.read(tmp_path / "m.gguf").config
    assert (config["eos_token_id"], config["stop_token_ids"]) == expected


@pytest.mark.parametrize("kind", [Kind.F32, Kind.F16, Kind.Q8_0, Kind.Q4_0])
def test_what_has_a_layout_is_kept_bit_for_bit(tmp_path: Path, kind: Kind) -> None:
    made = models.model("qwen2")  # its rows are not interleaved, so the bytes can be compared as they are
    models.write_gguf(tmp_path / "m.gguf", made, kind)
    found = reader.read(tmp_path / "m.gguf")
    rows = {each.name: each for each in gguf.GGUFReader(tmp_path / "m.gguf").tensors}
    stored = found.tensors["model.layers.1.mlp.up_proj.weight"]
    assert stored.dtype == kind.name.lower()
    assert to_gguf(stored).tobytes() == rows["blk.1.ffn_up.weight"].data.tobytes()
    assert found.tensors["model.layers.1.self_attn.q_proj.bias"].dtype == "f32"


@pytest.mark.parametrize("kind", [Kind.Q8_0, Kind.Q4_0, Kind.BF16, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1])
def test_rows_of_blocks_go_to_their_places(tmp_path: Path, kind: Kind) -> None:
    """Dequantised and then put in order is the same as put in order and then dequantised."""
    made = models.model("llama")
    models.write_gguf(tmp_path / "m.gguf", made, kind)
    found = reader.read(tmp_path / "m.gguf")
    for name in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.down_proj"):
        name = f"model.layers.0.{name}.weight"
        expected = gguf.quants.dequantize(gguf.quants.quantize(made.state_dict()[name].numpy(), kind), kind)
        assert np.array_equal(found.tensors[name].values(), expected)


@pytest.mark.parametrize("kind", blocks.NOT_WRITTEN)
def test_what_the_package_reads_alone_is_widened(kind: Kind) -> None:
    """It writes none, so the blocks are random bytes with scales that are numbers."""
    rng = np.random.default_rng(2)
    for rows in (blocks.random_rows(kind, (3, 512), 0.1, rng), blocks.extreme_rows(kind, rng)):
        expected = gguf.quants.dequantize(rows, kind)
        stored = reader._stored("some", expected.shape, kind, rows)
        assert stored.dtype == "f32"
        assert np.array_equal(stored.values(), expected)
        assert np.isfinite(stored.values()).all() and stored.values().std() > 0


def test_the_vocabulary_is_the_one_that_went_in(tmp_path: Path) -> None:
    models.write_gguf(tmp_path / "m.gguf", models.model("llama"), Kind.F32)
    found = reader.read(tmp_path / "m.gguf")
    assert found.tokenizer.to_bytes() == models.tokenizer().to_bytes()
    assert found.chat_template == "{{ messages[0]['content'] }}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"general.architecture": "gemma3"}, "general.architecture='gemma3' is a family that is not supported"),
        ({"llama.rope.scaling.type": "yarn"}, "llama.rope.scaling.type='yarn' is not supported"),
        ({"llama.rope.dimension_count": 8}, "rope.dimension_count=8 is not the width of a head, 16"),
        ({"llama.expert_count": 8}, "llama.expert_count=8 is not supported"),
        ({"llama.block_count": None}, "there is no llama.block_count"),
        ({"llama.block_count": 3}, "there is no tensor model.layers.2.input_layernorm.weight"),
        ({"llama.block_count": 1}, "the tensor model.layers.1.input_layernorm.weight has no place"),
        ({"llama.attention.head_count_kv": [2, 1]}, "differs from layer to layer"),
        ({"tokenizer.ggml.model": "llama"}, "llama is SentencePiece"),
        ({"tokenizer.ggml.pre": "viking"}, "tokenizer.ggml.pre='viking' is not supported; there are: dbrx, gpt-2"),
    ],
)
def test_what_is_not_supported_is_named(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    models.write_gguf(tmp_path / "m.gguf", models.model("llama"), Kind.F32, **changes)
    with pytest.raises(ValueError) as raised:
        reader.read(tmp_path / "m.gguf")
    assert message in str(raised.value)


def test_a_tensor_type_that_is_not_supported_is_named(tmp_path: Path) -> None:
    models.write_gguf(tmp_path / "m.gguf", models.model("llama", **models.IN_LARGE_BLOCKS), Kind.TQ2_0)
    with pytest.raises(BadModel, match=r"embed_tokens.weight is in TQ2_0, which is not supported; there are: F32, F16"):
        reader.read(tmp_path / "m.gguf")


def test_a_file_that_is_cut_short_is_an_error(tmp_path: Path) -> None:
    models.write_gguf(tmp_path / "m.gguf", models.model("llama"), Kind.F32)
    whole = (tmp_path / "m.gguf").read_bytes()
    for length in (0, 3, 10, 200, 9000, len(whole) - 1):
        (tmp_path / "m.gguf").write_bytes(whole[:length])
        with pytest.raises(BadModel):
            reader.read(tmp_path / "m.gguf")
