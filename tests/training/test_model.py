"""Our Llama against Hugging Face's, and its parts against the plainest formulas."""

from __future__ import annotations

import math

import pytest
import torch

from training.config.model import Model
from training.model.blocks import RMSNorm, rope_tables, rotate
from training.model.llama import Llama

SHAPES = {
    "tied": Model(2, 2, 2, 16, 8, 24, 32, 10000.0, 1e-5, True),
    "grouped and untied": Model(3, 6, 3, 60, 10, 100, 40, 500.0, 1e-6, False),
    "one key head, heads wider than the model": Model(1, 3, 1, 12, 6, 7, 17, 10000.0, 1e-5, False),
    "one position": Model(1, 1, 1, 2, 2, 1, 1, 10000.0, 1e-5, True),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_logits_are_those_of_transformers(shape: Model) -> None:
    """Same weights, same ids. Tolerance: f32 rounding, 1e-5 where the logits' standard deviation is about 1."""
    transformers = pytest.importorskip("transformers")
    theirs = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=37,
            hidden_size=shape.d_model,
            intermediate_size=shape.d_ff,
            num_hidden_layers=shape.n_layer,
            num_attention_heads=shape.n_head,
            num_key_value_heads=shape.n_kv_head,
            head_dim=shape.d_head,
            max_position_embeddings=shape.ctx_len,
            rope_theta=shape.rope_theta,
            rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
            rms_norm_eps=shape.norm_eps,
            tie_word_embeddings=shape.tie_embeddings,
            attention_bias=False,
            mlp_bias=False,
        )
    ).eval()
    ours = Llama(shape, 37)
    generator = torch.Generator().manual_seed(3)
    for weight in ours.parameters():  # norms too, so that a norm that is left out shows
        weight.data = torch.randn(weight.shape, generator=generator) * (1 / math.sqrt(weight.shape[-1]))
    missing, unexpected = theirs.load_state_dict(ours.state_dict(), strict=False)
    assert set(missing) <= {"lm_head.weight"} and not unexpected
    theirs.tie_weights()
    ids = torch.randint(0, 37, (3, shape.ctx_len), generator=generator)
    with torch.no_grad():
        got, expected = ours(ids), theirs(ids).logits
    assert float(expected.std()) > 0.1
    assert float((got - expected).abs().max()) <= 1e-5 * max(1.0, float(expected.std()))


def test_rope_turns_by_position_times_frequency() -> None:
    cos, sin = rope_tables(50, 6, 100.0)
    x = torch.randn(1, 50, 1, 6)
    turned = rotate(x, cos[:, None], sin[:, None])
    for position in (0, 1, 49):
        for j in range(3):
            angle = position * 100.0 ** (-2 * j / 6)
            low, high = float(x[0, position, 0, j]), float(x[0, position, 0, j + 3])
            assert float(turned[0, position, 0, j]) == pytest.approx(
                low * math.cos(angle) - high * math.sin(angle), abs=1e-5
            )
            assert float(turned[0, position, 0, j + 3]) == pytest.approx(
                high * math.cos(angle) + low * math.sin(angle), abs=1e-5
            )


def test_rmsnorm() -> None:
    norm = RMSNorm(3, 1e-5)
    norm.weight.data = torch.tensor([1.0, 2.0, -1.0])
    row = [3.0, -4.0, 12.0]
    rms = math.sqrt(sum(value * value for value in row) / 3 + 1e-5)
    assert norm(torch.tensor([[row]]))[0, 0].tolist() == pytest.approx([3 / rms, -8 / rms, -12 / rms])


def test_the_future_is_not_seen() -> None:
    shape = SHAPES["grouped and untied"]
    model = Llama(shape, 37)
    model.initialise(torch.Generator().manual_seed(0))
    ids = torch.arange(20)[None] % 37
    changed = ids.clone()
    changed[0, 12:] = 1
    with torch.no_grad():
        before, after = model(ids), model(changed)
    assert torch.equal(before[0, :12], after[0, :12])
    assert not torch.allclose(before[0, 12:], after[0, 12:])


def test_initialisation_is_the_generators_alone() -> None:
    first, second = Llama(SHAPES["tied"], 37), Llama(SHAPES["tied"], 37)
    for model in (first, second):
        torch.manual_seed(id(model) % 1000)
        model.initialise(torch.Generator().manual_seed(5))
    for (name, one), two in zip(first.named_parameters(), second.parameters(), strict=True):
        assert torch.equal(one, two), name
