"""The loss by blocks of positions against the plain one, which has all logits at once."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from training.config.model import Model
from training.model import loss
from training.model.families import language_model

SIZES = {"n_layer": 1, "n_head": 2, "n_kv_head": 1, "d_model": 12, "d_head": 6, "d_ff": 10, "ctx_len": 9}
REST = {"rope_theta": 1e4, "norm_eps": 1e-5}


@pytest.mark.parametrize("cap", [None, 3.0])
@pytest.mark.parametrize(("n", "width", "vocab"), [(1, 1, 1), (7, 5, 3), (64, 8, 97), (33, 16, 1001), (5, 3, 4000)])
@pytest.mark.parametrize("most", [1, 1000, 1 << 30])
def test_blocks_give_the_plain_loss_and_its_gradients(
    monkeypatch: pytest.MonkeyPatch, cap: float | None, n: int, width: int, vocab: int, most: int
) -> None:
    monkeypatch.setattr(loss, "MOST_LOGITS", most)
    generator = torch.Generator().manual_seed(n * vocab)
    x, head = (torch.randn(rows, width, generator=generator, dtype=torch.float64) for rows in (n, vocab))
    targets = torch.randint(vocab, (n,), generator=generator)
    got, expected = [], []
    for results, dtype in ((got, torch.float32), (expected, torch.float64)):
        inputs = [each.to(dtype, copy=True).requires_grad_() for each in (x, head)]
        if dtype == torch.float32:
            value = loss.cross_entropy(*inputs, targets, cap)
        else:
            logits = inputs[0] @ inputs[1].T
            value = F.cross_entropy(logits if cap is None else cap * torch.tanh(logits / cap), targets)
        (value * 3).backward()
        results += [value.detach(), *(each.grad for each in inputs)]
    for ours, plain in zip(got, expected, strict=True):
        assert ours is not None and plain is not None
        torch.testing.assert_close(ours.double(), plain, rtol=1e-5, atol=1e-6)


def test_no_more_logits_than_that_are_there_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    plain = loss.logits_of
    monkeypatch.setattr(loss, "MOST_LOGITS", 500)
    monkeypatch.setattr(loss, "logits_of", lambda *given: seen.append(plain(*given)) or seen[-1])
    x, head = torch.randn(23, 4, requires_grad=True), torch.randn(101, 4, requires_grad=True)
    loss.cross_entropy(x, head, torch.arange(23)).backward()
    assert max(logits.numel() for logits in seen) <= 500
    assert sum(len(logits) for logits in seen) == 23, "each position's once"


def test_a_head_that_is_not_trained_gets_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "MOST_LOGITS", 50)
    x, head = torch.randn(23, 4, requires_grad=True), torch.randn(101, 4)
    loss.cross_entropy(x, head, torch.arange(23)).backward()
    ours, x.grad = x.grad, None
    F.cross_entropy(x @ head.T, torch.arange(23)).backward()
    torch.testing.assert_close(ours, x.grad)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_under_autocast_blocks_are_as_exact_as_the_plain_form(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(6)
    x, head = (torch.randn(rows, 16, generator=generator).requires_grad_() for rows in (40, 301))
    targets = torch.randint(301, (40,), generator=generator)
    results = []
    for most in (1 << 30, 1000):
        monkeypatch.setattr(loss, "MOST_LOGITS", most)
        with torch.autocast("cpu", dtype):
            value = loss.cross_entropy(x, head, targets, 15.0)
        value.backward()
        results.append([value.detach(), x.grad, head.grad])
        x.grad = head.grad = None
    for plain, ours in zip(*results, strict=True):
        assert plain is not None and ours is not None and ours.dtype == plain.dtype == torch.float32
        torch.testing.assert_close(ours, plain, rtol=0.02, atol=0.02 * float(plain.abs().max()))


@pytest.mark.parametrize("chats", [False, True])
@pytest.mark.parametrize(("family", "tied"), [("llama", True), ("llama", False), ("fast", False)])
def test_a_model_gives_the_loss_of_its_logits(
    monkeypatch: pytest.MonkeyPatch, family: str, tied: bool, chats: bool
) -> None:
    monkeypatch.setattr(loss, "MOST_LOGITS", 100)
    model = language_model(Model(**SIZES, **REST, family=family, tie_embeddings=tied), 37)  # type: ignore[arg-type]
    model.initialise(torch.Generator().manual_seed(1))
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(2))
    ids = torch.randint(37, (3, 10), generator=torch.Generator().manual_seed(3))
    learnt = torch.rand(3, 9, generator=torch.Generator().manual_seed(4)) < 0.4 if chats else None
    targets = ids[:, 1:]
    model(ids[:, :-1], learnt, targets).backward()
    got = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    wanted = targets.flatten() if learnt is None else targets[learnt]
    F.cross_entropy(model(ids[:, :-1], learnt).flatten(0, -2), wanted).backward()
    assert len(got) == len(list(model.parameters()))
    for name, weight in model.named_parameters():
        torch.testing.assert_close(got[name], weight.grad, rtol=1e-4, atol=1e-6, msg=name)
