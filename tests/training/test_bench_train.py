"""The benchmark of training: the protocol's split and windows, its pacing, its table, and that a seed is a run."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.bench.train import __main__ as bench
from tests.bench.train import baseline, protocol, recipes, training

TEXT = "To be, or not to be: that is the question.\n" * 40


@pytest.fixture
def split() -> protocol.Split:
    return protocol.split(TEXT)


def test_the_split_is_nine_tenths_and_the_rest_in_order(split: protocol.Split) -> None:
    characters = sorted(set(TEXT))
    assert split.vocab_size == len(characters)
    assert "".join(characters[each] for each in torch.cat(split[:2])) == TEXT
    assert len(split.learnt) == int(0.9 * len(TEXT))


def test_another_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "input.txt"
    path.write_text(TEXT)
    with pytest.raises(ValueError, match=r"input\.txt: SHA-256 .*expected 86c4e6"):
        protocol.read_text(path)


@pytest.mark.parametrize(("n_tokens", "ctx_len"), [(2, 64), (64, 64), (65, 64), (66, 64), (1000, 64), (7, 1)])
def test_every_character_but_the_first_is_asked_for_once(n_tokens: int, ctx_len: int) -> None:
    spans = list(protocol.windows(n_tokens, ctx_len))
    assert [asked for first, last in spans for asked in range(first + 1, last + 1)] == list(range(1, n_tokens))
    assert all(last - first == ctx_len for first, last in spans[:-1]) and 1 <= spans[-1][1] - spans[-1][0] <= ctx_len


class Bigrams(nn.Module):
    """Logits that the position changes too, so that a window in the wrong place shows."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.table = torch.randn(vocab_size, vocab_size)

    def forward(self, ids: Tensor) -> Tensor:
        return self.table[ids] * torch.arange(1, ids.shape[1] + 1)[:, None]


@pytest.mark.parametrize("n_tokens", [2, 64, 65, 66, 500])
def test_the_score_is_the_mean_over_characters(split: protocol.Split, n_tokens: int) -> None:
    model, held_out = Bigrams(split.vocab_size), split.learnt[:n_tokens]
    losses = [
        F.cross_entropy(model(held_out[None, at - at % 64 : at + 1])[0, -1], held_out[at + 1]).item()
        for at in range(n_tokens - 1)
    ]
    assert protocol.score(model, held_out) == pytest.approx(sum(losses) / len(losses), rel=1e-5)


def test_nothing_to_score_is_an_error(split: protocol.Split) -> None:
    with pytest.raises(ValueError, match="1 tokens are held out"):
        protocol.score(Bigrams(split.vocab_size), split.learnt[:1])


def test_shuffled_windows_read_each_character_once_an_epoch() -> None:
    learnt = torch.arange(recipes.CTX_LEN * recipes.BATCH_SIZE * 4)
    batch = recipes.shuffled_windows(learnt, seed=1)
    inputs = torch.cat([batch(step)[:, :-1].flatten() for step in range(3)])  # fewer than an epoch's windows
    assert len(inputs.unique()) == len(inputs)
    assert torch.equal(batch(0)[:, 1:], batch(0)[:, :-1] + 1)


def test_random_windows_begin_anywhere() -> None:
    learnt = torch.arange(recipes.CTX_LEN + 2)
    batch = recipes.random_windows(learnt, seed=1)
    begins = torch.cat([batch(step)[:, 0] for step in range(10)])
    assert set(begins.tolist()) == {0, 1}


@pytest.mark.parametrize("scale", [baseline.scale, recipes.to_zero])
def test_rates_rise_to_the_peak_and_fall(scale: recipes.Scale) -> None:
    rates = [scale(step / 2000) for step in range(2000)]
    peak = rates.index(max(rates))
    assert 0.98 <= rates[peak] <= 1.0 and peak <= 100
    assert rates[: peak + 1] == sorted(rates[: peak + 1]) and rates[peak:] == sorted(rates[peak:], reverse=True)


@pytest.mark.parametrize("recipe", [recipes.plain, recipes.fast])
def test_a_seed_is_a_run(recipe: recipes.Recipe, split: protocol.Split) -> None:
    """20 steps: the same weights from the same seed, others from another; and something was learnt."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        losses = []
        for seed in (1, 1, 2):
            trainee = recipe(split.learnt, split.vocab_size, seed)
            training.train(trainee, 20)
            losses.append(protocol.score(trainee.model, split.held_out))
    finally:
        torch.set_num_threads(threads)
    assert losses[0] == losses[1] != losses[2]
    assert losses[0] < 0.95 * math.log(split.vocab_size)


@pytest.mark.parametrize(("costs", "made"), [((2.0, 1.0), 100), ((1.0, 1.0), 100), ((1.0, 2.0), 50), ((1.0, 1.6), 62)])
def test_a_model_beside_another_takes_no_more_time(
    costs: tuple[float, float], made: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 steps at a cost; the other's are as many as fit, at most 100, and its rates follow the first one's steps."""
    pace, other = object(), object()
    progress_of: dict[object, list[float]] = {pace: [], other: []}

    def step(trainee: object, step: int, progress: float) -> float:
        assert step == len(progress_of[trainee])
        progress_of[trainee].append(progress)
        return costs[trainee is other]

    monkeypatch.setattr(training, "train_step", step)
    pace_s, spent_s, steps = training.train_beside(pace, other, 100)  # type: ignore[arg-type]
    assert pace_s == 100 * costs[0] and spent_s == pytest.approx(steps * costs[1])
    assert abs(steps - made) <= 1 and spent_s <= pace_s + costs[1]
    assert progress_of[pace] == [each / 100 for each in range(100)]
    assert progress_of[other] == sorted(progress_of[other]) and progress_of[other][-1] <= 0.99


def test_the_table_has_the_means() -> None:
    runs = [training.Result(1.5, 2000, 100.0, 800), training.Result(1.6, 1000, 101.0, 800)]
    rows = bench.report({bench.FAST: runs, bench.PLAIN: runs[:1]})
    assert rows[0]["loss_nats"] == 1.55 and rows[0]["steps"] == 1500 and rows[0]["cpu_s"] == 100.5
    assert rows[0]["at_most"] == 1.60 and rows[1]["at_most"] is None
    assert json.loads(json.dumps(rows)) == rows
    lines = bench.table(rows).splitlines()
    assert lines[2] == "| fast, Muon | **1.5500** | 1.5000, 1.6000 | 1.60 | 1,500 | 100.5 | 800 |"
    assert {line.count("|") for line in lines} == {8}
