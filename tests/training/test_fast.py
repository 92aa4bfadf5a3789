"""The family `fast`: its parts against the plainest formulas, and what its shapes promise."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from training import reference
from training.config.model import Model
from training.format.dtypes import as_stored
from training.format.families import expected_tensors
from training.model.blocks import norm, rope_tables, rotate, squared_relu, turn
from training.model.families import format_config, format_tensors, language_model
from training.model.fast import LOGIT_CAP, Fast
from training.optim.muon import Muon
from training.optim.orthogonal import (
    NEWTON_SCHULZ,
    NEWTON_SCHULZ_STEPS,
    POLAR,
    POLAR_MARGIN,
    Quintic,
    newton_schulz,
    polar_factors,
)

SHAPE = Model(2, 3, 1, 12, 4, 20, 9, 100.0, 1e-6, False, "fast")
VOCAB_SIZE = 11


def model(seed: int = 3) -> Fast:
    """With weights everywhere, those that begin at zero too."""
    made = Fast(SHAPE, VOCAB_SIZE)
    generator = torch.Generator().manual_seed(seed)
    for weight in made.parameters():
        weight.data = torch.randn(weight.shape, generator=generator) * weight.shape[-1] ** -0.5 + (weight.dim() == 1)
    return made


def gradient(y: Tensor, x: Tensor, along: Tensor) -> Tensor:
    return torch.autograd.grad(y, x, along)[0]


@pytest.mark.parametrize("shape", [(1, 1), (2, 5, 7), (3, 4, 2, 8)])
def test_norm_is_the_formula_and_so_is_its_gradient(shape: tuple[int, ...]) -> None:
    x, along = torch.randn(shape, dtype=torch.float64, requires_grad=True), torch.randn(shape, dtype=torch.float64)
    plain = x / (x.square().mean(-1, keepdim=True) + 1e-3).sqrt()
    torch.testing.assert_close(norm(x, 1e-3), plain)
    torch.testing.assert_close(gradient(norm(x, 1e-3), x, along), gradient(plain, x, along))


def test_squared_relu_is_the_formula_and_so_is_its_gradient() -> None:
    x = torch.tensor([-2.0, -0.0, 0.0, 0.5, 3.0], requires_grad=True)
    along = torch.randn(5)
    torch.testing.assert_close(squared_relu(x), F.relu(x).square())
    torch.testing.assert_close(gradient(squared_relu(x), x, along), gradient(F.relu(x).square(), x, along))


def test_turn_is_rotate_with_the_components_in_another_order() -> None:
    cos, sin = (each[:, None] for each in rope_tables(5, 8, 50.0))
    x = torch.randn(2, 5, 3, 8)
    order = [0, 4, 1, 5, 2, 6, 3, 7]  # component j and j + D/2 side by side
    torch.testing.assert_close(turn(x[..., order], torch.complex(cos, sin)), rotate(x, cos, sin)[..., order])


def test_logits_are_those_of_the_plain_formulas() -> None:
    """Head by head, with an explicit mask."""
    made, ids = model(), torch.randint(VOCAB_SIZE, (2, SHAPE.ctx_len))
    causal = torch.ones(SHAPE.ctx_len, SHAPE.ctx_len).tril().bool()

    def unit(x: Tensor) -> Tensor:
        return x / (x.square().mean(-1, keepdim=True) + SHAPE.norm_eps).sqrt()

    angles = torch.complex(made.cos, made.sin)
    x = unit(made.model.embed_tokens.weight[ids])
    for layer in made.model.layers:
        attention, h = layer.self_attn, unit(x)
        q = (h @ attention.q_proj.weight.T).unflatten(-1, (SHAPE.n_head, SHAPE.d_head))
        k = (h @ attention.k_proj.weight.T).unflatten(-1, (SHAPE.n_kv_head, SHAPE.d_head))
        q, k = turn(unit(q) * attention.q_norm, angles), turn(unit(k) * attention.k_norm, angles)
        v = h @ attention.v_proj.weight.T
        heads = []
        for head in range(SHAPE.n_head):
            scores = q[:, :, head] @ k[:, :, 0].mT / SHAPE.d_head**0.5
            heads.append(scores.masked_fill(~causal, -torch.inf).softmax(-1) @ v)
        x = x + torch.cat(heads, -1) @ attention.o_proj.weight.T
        x = x + F.relu(unit(x) @ layer.mlp.up_proj.weight.T).square() @ layer.mlp.down_proj.weight.T
    expected = LOGIT_CAP * torch.tanh(unit(x) @ made.lm_head.weight.T / LOGIT_CAP)
    torch.testing.assert_close(made(ids), expected, rtol=1e-5, atol=1e-5)


def test_it_begins_with_equal_logits_and_every_weight_can_learn() -> None:
    made = Fast(SHAPE, VOCAB_SIZE)
    made.initialise(torch.Generator().manual_seed(1))
    ids = torch.randint(VOCAB_SIZE, (2, SHAPE.ctx_len))
    assert not made(ids).any()
    optimizer = torch.optim.SGD(made.parameters(), lr=1.0)
    for _ in range(3):  # the head, then what adds to the residual stream, then all else
        F.cross_entropy(made(ids).flatten(0, 1), ids.flatten()).backward()
        optimizer.step()
    assert all(weight.grad is not None and weight.grad.any() for weight in made.parameters())


def test_tied_embeddings_are_refused() -> None:
    with pytest.raises(ValueError, match="tie_embeddings=true"):
        Model(1, 1, 1, 2, 2, 1, 1, 10.0, 1e-6, True, "fast")


def test_what_a_file_holds_gives_the_same_logits() -> None:
    """By the plain functions of the format, and by the module that takes a file's weights up."""
    made, ids = model(), torch.randint(VOCAB_SIZE, (1, SHAPE.ctx_len))
    config = format_config(SHAPE, VOCAB_SIZE)
    specs = expected_tensors(config, "fast")
    tensors = format_tensors(SHAPE, made.state_dict())
    assert {name: tuple(each.shape) for name, each in tensors.items()} == {spec.name: spec.shape for spec in specs}
    stored = {spec.name: as_stored(spec, tensors[spec.name].detach().numpy(), "f32") for spec in specs}
    expected = made(ids)
    torch.testing.assert_close(reference.logits(config, stored, ids[0].tolist()), expected[0], rtol=1e-4, atol=1e-4)
    again = language_model(SHAPE, VOCAB_SIZE)
    again.load_stored(tensors)
    torch.testing.assert_close(again(ids), expected, rtol=1e-5, atol=1e-5)


def test_chosen_positions_alone() -> None:
    made, ids = model(), torch.randint(VOCAB_SIZE, (2, SHAPE.ctx_len))
    chosen = torch.rand(ids.shape) < 0.5
    torch.testing.assert_close(made(ids, chosen), made(ids)[chosen])


def test_it_runs_in_bf16() -> None:
    made, ids = model(), torch.randint(VOCAB_SIZE, (2, SHAPE.ctx_len))
    with torch.autocast("cpu", torch.bfloat16):
        loss = F.cross_entropy(made(ids).flatten(0, 1).float(), ids.flatten())
    loss.backward()
    assert abs(loss.item() - F.cross_entropy(made(ids).flatten(0, 1), ids.flatten()).item()) < 0.1


def by_singular_values(matrices: Tensor, margin: float, steps: Sequence[Quintic]) -> tuple[Tensor, Tensor, Tensor]:
    """Matrices with polynomials applied to their singular values, and these before and after, by an SVD in f64."""
    u, s, vt = torch.linalg.svd(matrices.double(), full_matrices=False)
    values = first = s / (margin * s.norm(dim=-1, keepdim=True))
    for a, b, c in steps:
        values = a * values + b * values**3 + c * values**5
    return u @ torch.diag_embed(values) @ vt, first, values


WAYS = {
    "newton-schulz": (newton_schulz, 1.0, [NEWTON_SCHULZ] * NEWTON_SCHULZ_STEPS, 0.68, 1.14),
    "polar": (polar_factors, POLAR_MARGIN, POLAR, 0.18, 1.87),
}


@pytest.mark.parametrize("shape", [(4, 16, 16), (2, 8, 24), (3, 24, 8), (2, 12, 16), (1, 1, 5), (1, 5, 1)])
@pytest.mark.parametrize("way", WAYS)
def test_what_is_made_orthogonal_keeps_its_singular_vectors(way: str, shape: tuple[int, ...]) -> None:
    """Long matrices go by their Gram matrix; all singular values but the tiny come out near 1."""
    made, margin, steps, least, most = WAYS[way]
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(5))
    expected, first, values = by_singular_values(matrices, margin, steps)
    torch.testing.assert_close(made(matrices).double(), expected, rtol=1e-4, atol=1e-4)
    assert ((values > least) & (values < most))[first > 0.01].all()


def test_muon_steps_alike_whichever_way_a_matrix_lies() -> None:
    """Tall and wide matrices are computed together: each moves as if it were alone."""
    generator = torch.Generator().manual_seed(6)
    first = [torch.randn(shape, generator=generator) for shape in ((6, 18), (18, 6), (6, 6), (6, 18), (18, 6))]
    gradients = [torch.randn(weight.shape, generator=generator) for weight in first]

    def moved(chosen: Sequence[int]) -> list[Tensor]:
        weights = [torch.nn.Parameter(first[index].clone()) for index in chosen]
        for weight, index in zip(weights, chosen, strict=True):
            weight.grad = gradients[index].clone()
        Muon(weights, lr=0.1, weight_decay=0.1).step()
        return [weight.detach() for weight in weights]

    for index, together in enumerate(moved(range(len(first)))):
        torch.testing.assert_close(together, moved([index])[0], rtol=1e-5, atol=1e-6)
    turned = torch.nn.Parameter(first[0].mT.clone())
    turned.grad = gradients[0].mT.clone()
    Muon([turned], lr=0.1, weight_decay=0.1).step()
    torch.testing.assert_close(turned.detach().mT, moved([0])[0], rtol=1e-5, atol=1e-6)


def test_muon_takes_the_way_it_is_given() -> None:
    ways = {"default": newton_schulz, "polar": polar_factors}
    weights = {name: torch.nn.Parameter(torch.eye(4)) for name in ways}
    for name, way in ways.items():
        weights[name].grad = torch.arange(16.0).reshape(4, 4)
        Muon([weights[name]], lr=0.1, orthogonalised=way).step()
        change = (torch.eye(4) - weights[name].detach()) / (0.1 * 0.2 * 2)
        # Nesterov's mean of the first gradient is a multiple of it, which leaves its orthogonal factor as it is.
        torch.testing.assert_close(change, way(torch.arange(16.0).reshape(1, 4, 4))[0], rtol=1e-3, atol=1e-4)
