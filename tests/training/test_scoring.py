"""Bits per byte against the plainest computation; the schedule, the batches and the samples."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from pocketlm_tokenizer import Tokenizer

from training import scoring
from training.config import preset as config
from training.config.sample import Sample
from training.data.batches import Batches
from training.data.shard_file import TokenStream, open_split
from training.model.llama import Llama
from training.optim.schedule import lr_at
from training.sample import sample
from training.scoring import evaluate, token_nbytes, windows


@given(st.integers(2, 400), st.integers(1, 60), st.data())
def test_windows_score_every_token_once(n_tokens: int, ctx_len: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, ctx_len - 1))
    scored: list[int] = []
    for start, length, count in windows(n_tokens, ctx_len, overlap):
        assert 0 < count <= length <= ctx_len
        assert start + length < n_tokens
        targets = list(range(start + length + 1 - count, start + length + 1))
        assert start == 0 or targets[0] - start > overlap  # so much context at least
        scored += targets
    assert scored == list(range(1, n_tokens))


def model_and_stream(tiny: Path) -> tuple[Llama, TokenStream, Tokenizer]:
    settings = config.load("tiny")
    stream = open_split(tiny / "shards", "val")
    model = Llama(settings.model, stream.vocab_size)
    model.initialise(torch.Generator().manual_seed(2))
    return model, stream, Tokenizer.load(tiny / "tokenizer" / "tokenizer.tok")


def test_bits_per_byte_is_what_the_text_costs(tiny: Path) -> None:
    """Against one window at a time, one token at a time, in f64."""
    model, stream, tokenizer = model_and_stream(tiny)
    sizes = token_nbytes(tokenizer)
    score = evaluate(model, stream, sizes, 384, 64, torch.device("cpu"), 1 << 20)
    tokens = stream.read(0, stream.n_tokens)
    nats, done = 0.0, 1
    with torch.no_grad():
        for start in range(0, stream.n_tokens, 320):
            inputs = tokens[start : start + 384][: stream.n_tokens - 1 - start]
            if done == stream.n_tokens:
                break
            log_probabilities = F.log_softmax(model(torch.from_numpy(inputs)[None])[0].double(), -1)
            while done < start + len(inputs) + 1:
                nats -= float(log_probabilities[done - start - 1, tokens[done]])
                done += 1
    text = (tiny / "corpus" / "val" / "00000.txt").read_bytes()
    assert score.n_tokens == stream.n_tokens - 1
    assert score.n_bytes == len(text) == stream.text_nbytes
    assert score.bpb == pytest.approx(nats / math.log(2) / len(text), rel=1e-6)


@pytest.mark.parametrize("positions", [50, 383, 384])
def test_of_a_large_vocabulary_few_logits_are_there_at_a_time(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, positions: int
) -> None:
    """Fewer than those of one window, and the score is the same."""
    model, stream, tokenizer = model_and_stream(tiny)
    given = (stream, token_nbytes(tokenizer), 384, 0, torch.device("cpu"))
    whole = evaluate(model, *given, 1024)
    seen: list[int] = []

    def watched(*inputs: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = model(*inputs)
        seen.append(logits.numel())
        return logits

    monkeypatch.setattr(scoring, "MOST_LOGITS", positions * stream.vocab_size)
    parts = evaluate(watched, *given, 1024)
    assert (parts.n_tokens, parts.n_bytes) == (whole.n_tokens, whole.n_bytes)
    assert parts.nats == pytest.approx(whole.nats, rel=1e-6)
    assert max(seen) == positions * stream.vocab_size


def test_a_part_is_near_the_whole_and_foreign_shards_are_noticed(tiny: Path) -> None:
    model, stream, tokenizer = model_and_stream(tiny)
    sizes = token_nbytes(tokenizer)
    part = evaluate(model, stream, sizes, 384, 64, torch.device("cpu"), max_tokens=4096)
    assert 2000 < part.n_tokens < 6000
    assert part.bpb == pytest.approx(5.9, abs=0.3)
    with pytest.raises(ValueError, match="build the shards again"):
        evaluate(model, stream, sizes + 1, 384, 64, torch.device("cpu"), 1 << 20)


def test_the_bytes_of_tokens_are_the_bytes_of_the_text(tiny: Path) -> None:
    _, stream, tokenizer = model_and_stream(tiny)
    text = "Full fathom five thy father lies; \u00e9\u4e2d\U0001f40b"
    sizes = token_nbytes(tokenizer)
    assert sizes[tokenizer.encode(text)].sum() == len(text.encode())
    assert sizes[stream.separator_id] == 0


class OneShard:
    """A stream of the numbers 0 ... n - 1."""

    n_documents = 1

    def __init__(self, n_tokens: int) -> None:
        self.n_tokens = n_tokens

    def read(self, start: int, n: int) -> np.ndarray:
        assert start >= 0 and start + n <= self.n_tokens
        return np.arange(start, start + n)


@given(st.integers(2, 300), st.integers(1, 40), st.integers(1, 5), st.integers(0, 3))
def test_an_epoch_reads_every_window_once(n_tokens: int, ctx_len: int, batch_size: int, seed: int) -> None:
    stream = OneShard(n_tokens)
    batches = Batches(stream, ctx_len, batch_size, seed)  # type: ignore[arg-type]
    n_windows = batches.windows_per_epoch
    rows = [row for k in range(-(-2 * n_windows // batch_size)) for row in batches.batch(k).ids]
    for epoch in (0, 1):
        seen = Counter(
            token for row in rows[epoch * n_windows : (epoch + 1) * n_windows] for token in row[:-1].tolist()
        )
        assert set(seen.values()) == {1}
        assert len(seen) == n_windows * batches.window > n_tokens - 1 - 2 * batches.window
    again = Batches(stream, ctx_len, batch_size, seed)  # type: ignore[arg-type]
    assert np.array_equal(again.batch(1).ids, batches.batch(1).ids)  # no history: a resumed run reads the same


def test_order_depends_on_seed_and_epoch() -> None:
    stream = OneShard(4000)
    first, second = (Batches(stream, 10, 50, seed) for seed in (1, 2))  # type: ignore[arg-type]
    assert not np.array_equal(first.batch(0).ids, second.batch(0).ids)
    assert not np.array_equal(first.batch(0).ids // 10, first.batch(8).ids // 10)
    with pytest.raises(ValueError, match="nothing can be learnt"):
        Batches(OneShard(1), 10, 1, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_schedule(schedule: str) -> None:
    loaded = config.load("tiny", {"train.schedule": schedule, "train.steps": "1000", "train.warmup_steps": "50"})
    train = loaded.train
    rates = [lr_at(step, train) for step in range(1000)]
    assert rates[0] == pytest.approx(train.lr / 50)
    assert max(rates) == pytest.approx(train.lr)
    assert rates[:50] == sorted(rates[:50])
    assert rates[50:] == sorted(rates[50:], reverse=True)
    assert rates[-1] == pytest.approx(train.lr * train.min_lr_ratio, rel=0.05)
    middle = {"cosine": train.lr * 0.55, "linear": train.lr * 0.55}[schedule]
    at = {"cosine": 525, "linear": 750}[schedule]
    assert rates[at] == pytest.approx(middle, rel=0.01)
    if schedule == "linear":
        assert rates[499] == pytest.approx(train.lr)


def test_a_short_run_still_warms_up_and_decays() -> None:
    train = config.load("shakespeare", {"train.steps": "50"}).train
    rates = [lr_at(step, train) for step in range(50)]
    assert rates.index(max(rates)) == 4
    assert rates[-1] < 0.01 * train.lr


def test_samples_are_the_seeds_alone(tiny: Path) -> None:
    model, stream, tokenizer = model_and_stream(tiny)

    def text(seed: int, temperature: float) -> str:
        return sample(
            model,
            tokenizer,
            [stream.separator_id, *tokenizer.encode("PROSPERO:\n")],
            Sample(tokens=12, temperature=temperature),
            seed,
            384,
            {stream.separator_id},
            torch.device("cpu"),
        )

    assert text(1, 1.0) == text(1, 1.0) != text(2, 1.0)
    assert text(1, 0.0) == text(2, 0.0)
    assert len(text(1, 1.0)) > 0
