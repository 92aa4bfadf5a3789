"""The sampling kernel: the kept set, the distribution, the random numbers, ties, NaN and the loop's bookkeeping."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.shaders import oracles
from tests.shaders.harness import Dispatch, assert_close, run, run_in_turn, step

BAD_LOGIT = 0x8000_0000


SPANS, NOWHERE = 256, 0xFFFF_FFFF  # of keys.wgsl
SPAN = np.dtype([("largest_key", "<u4"), ("likeliest", "<u4"), ("bad_logit", "<u4"), ("mass", "<f4")])


def sample(
    logits: torch.Tensor,
    times: int = 1,
    position: int = 5,
    threads: int = 256,
    is_surveyed: bool = False,
    **options: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sample `times` tokens from the same logits, for positions `position …`. Returns ring, ids, step afterwards."""
    ring = np.full(times + 1, 77, np.uint32)
    arrays = [step(position - 1, 1, **options), logits.numpy(), np.zeros(1, np.uint32), ring]
    arrays += [np.zeros(SPANS, SPAN), np.zeros(len(logits), np.uint32)]
    constants = {"VOCAB_SIZE": len(logits), "THREADS": threads}
    survey = Dispatch("survey_logits", {**constants, "THREADS": min(threads, 64)}, (SPANS, 1, 1), (0, 1, 4))
    draw = Dispatch("sample", {**constants, "SURVEYED": is_surveyed}, (1, 1, 1), range(6))
    after, _, ids, ring, *_ = run_in_turn([survey] * is_surveyed + [draw], arrays, True, times)
    assert ring[times] == 77
    return ring[:times], ids, after


def adjust(
    logits: torch.Tensor, entries: list[tuple[int, int, float]], sampled: int | None = None, **penalties: float
) -> tuple[np.ndarray, list[tuple[int, int, float]]]:
    """Run adjust_logits over a list of (id, seen, bias), `sampled` within this submission. Returns logits and list."""
    entry = np.dtype([("id", "<u4"), ("seen", "<u4"), ("bias", "<f4")])
    values = [penalties.get(name, default) for name, default in (("repetition", 1), ("presence", 0), ("frequency", 0))]
    header = np.array([len(entries)], np.uint32).tobytes() + np.array(values, np.float32).tobytes()
    room = np.zeros(len(logits), entry)
    room[: len(entries)] = entries
    buffer = np.frombuffer(header + room.tobytes(), np.uint8)
    arrays = [step(ring_index=int(sampled is not None)), np.array([sampled or 0], np.uint32), buffer, logits.numpy()]
    _, _, buffer, got = run("adjust_logits", {"VOCAB_SIZE": len(logits)}, arrays, (1, 1, 1), uniform=True)
    length = int(buffer[:4].view(np.uint32)[0])
    return got, buffer[16:].view(entry)[:length].tolist()


def random_logits(vocab_size: int, seed: int = 0) -> torch.Tensor:
    return 2 * torch.randn(vocab_size, generator=torch.Generator().manual_seed(seed + vocab_size))


@pytest.mark.parametrize("vocab_size", [1, 17, 256, 1025, 20_011])
@pytest.mark.parametrize(("temperature", "top_k", "top_p"), [
    (0.0, 0, 1.0), (1.0, 1, 1.0), (1.0, 0, 1.0), (0.7, 5, 1.0), (1.3, 0, 0.9), (0.8, 40, 0.5),
    (1.0, 3, 0.999), (5.0, 10**6, 0.1), (0.05, 0, 0.95),
])  # fmt: skip
@pytest.mark.parametrize("min_p", [0.0, 0.15])
@pytest.mark.parametrize("threads", [16, 256])
@pytest.mark.parametrize("is_surveyed", [False, True])
def test_same_token_as_the_oracle(
    vocab_size: int, temperature: float, top_k: int, top_p: float, min_p: float, threads: int, is_surveyed: bool
) -> None:
    """64 draws. f32 sums may move one over an edge only where it lies within 1e-5 of it; at most one is forgiven."""
    logits = random_logits(vocab_size)
    options = {"top_k": top_k, "temperature": temperature, "top_p": top_p, "min_p": min_p}
    ring, _, _ = sample(logits, 64, threads=threads, is_surveyed=is_surveyed, seed=11, **options)
    near_an_edge = 0
    for i, got in enumerate(ring):
        expected, margin = oracles.sample(logits, seed=11, position=5 + i, **options)
        if got != expected and margin < 1e-5:
            near_an_edge += 1
            continue
        assert got == expected, f"sample V={vocab_size}, draw {i}: expected {expected}, got {got}, margin {margin:.3g}"
    assert near_an_edge <= 1


@pytest.mark.parametrize("vocab_size", [300, 20_011])
@pytest.mark.parametrize("spread", [0.0, 0.3, 12.0])
@pytest.mark.parametrize(("temperature", "top_k", "top_p"), [
    (1.0, 40, 1.0), (1.0, 0, 0.9), (0.7, 50, 0.95), (0.05, 40, 0.9), (2.0, 5000, 0.999), (1.0, 0, 0.9999),
    (1.0, 0, 0.01),
])  # fmt: skip
def test_a_survey_changes_no_token(
    vocab_size: int, spread: float, temperature: float, top_k: int, top_p: float
) -> None:
    """Equal logits, almost equal ones, and a few far above the rest, with ties: 64 draws with and without."""
    logits = spread / 2 * random_logits(vocab_size)
    logits[vocab_size // 3 :: 97] = logits[7]
    options = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    with_survey, without = (
        sample(logits, 64, is_surveyed=is_surveyed, seed=3, **options)[0] for is_surveyed in (True, False)
    )
    assert (with_survey != without).sum() <= 1, "one may lie within rounding of an edge"


@pytest.mark.parametrize("vocab_size", [1, 17, 300, 20_011])
@pytest.mark.parametrize(("temperature", "top_k", "top_p", "min_p", "has_mass"), [
    (0.0, 0, 0.9, 0.0, False), (1.0, 1, 0.9, 0.0, False), (1.0, 0, 1.0, 0.0, True), (1.0, 0, 1.0, 0.2, False),
    (1.3, 0, 0.9, 0.2, True), (1.3, 10**6, 0.9, 0.0, True), (0.7, 9, 0.9, 0.0, False),
])  # fmt: skip
@pytest.mark.parametrize("threads", [16, 64])
def test_survey_logits(
    vocab_size: int, temperature: float, top_k: int, top_p: float, min_p: float, has_mass: bool, threads: int
) -> None:
    logits = random_logits(vocab_size)
    logits[vocab_size // 2] = logits[0]
    logits[vocab_size // 5] = -torch.inf
    has_mass = has_mass or (top_k >= vocab_size and top_k > 1)
    options = step(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    arrays = [options, logits.numpy(), np.zeros(SPANS, SPAN)]
    constants = {"VOCAB_SIZE": vocab_size, "THREADS": threads}
    *_, spans = run("survey_logits", constants, arrays, (SPANS, 1, 1), uniform=True)
    want_likeliest, want_mass = oracles.survey_logits(logits, temperature, SPANS)
    assert spans["likeliest"].tolist() == [NOWHERE if one is None else one for one in want_likeliest]
    assert (spans["bad_logit"] == NOWHERE).all()
    assert_close("survey_logits", spans["mass"], want_mass * has_mass)


@pytest.mark.parametrize(("top_k", "top_p"), [(0, 1.0), (7, 1.0), (0, 0.8), (12, 0.9)])
@pytest.mark.parametrize("is_surveyed", [False, True])
def test_distribution(top_k: int, top_p: float, is_surveyed: bool) -> None:
    """Chi-square over 4,096 draws; the bound is the 1 − 1e-6 quantile by Wilson and Hilferty's formula."""
    draws, logits = 4096, random_logits(31)
    ring, _, _ = sample(logits, times=draws, is_surveyed=is_surveyed, top_k=top_k, temperature=0.9, top_p=top_p, seed=3)
    weight = (logits.double() / 0.9).softmax(-1)
    order = weight.argsort(descending=True)[: top_k or None]
    if top_p < 1:
        order = order[: int((weight[order].cumsum(0) < top_p * weight[order].sum()).sum()) + 1]
    expected = torch.zeros_like(weight).index_copy(0, order, weight[order] / weight[order].sum()).numpy() * draws
    counts = np.bincount(ring, minlength=31)
    assert counts[expected == 0].sum() == 0
    kept = expected > 0
    chi_square = ((counts[kept] - expected[kept]) ** 2 / expected[kept]).sum()
    freedom = int(kept.sum()) - 1
    bound = freedom * (1 - 2 / (9 * freedom) + 4.75 * (2 / (9 * freedom)) ** 0.5) ** 3
    assert chi_square < bound, f"chi-square {chi_square:.1f}, bound {bound:.1f} at {freedom} degrees of freedom"


@pytest.mark.parametrize(("min_p", "kept"), [(1.0, {1, 3}), (0.5, {0, 1, 3}), (0.2, {0, 1, 2, 3})])
@pytest.mark.parametrize("is_surveyed", [False, True])
def test_min_p_keeps_what_is_so_many_times_as_likely(min_p: float, kept: set[int], is_surveyed: bool) -> None:
    logits = torch.tensor([0.6, 1.0, 0.3, 1.0, 0.1, 1e-9]).log()
    ring, _, _ = sample(logits, times=512, is_surveyed=is_surveyed, temperature=1.0, min_p=min_p, seed=1)
    assert set(ring.tolist()) == kept


@pytest.mark.parametrize(("top_k", "top_p", "kept"), [(3, 1.0, {0, 1, 2}), (0, 0.25, {0, 1, 2, 3}), (2, 0.9, {0, 1})])
@pytest.mark.parametrize("is_surveyed", [False, True])
def test_ties_go_to_the_lowest_ids(top_k: int, top_p: float, kept: set[int], is_surveyed: bool) -> None:
    ring, _, _ = sample(
        torch.zeros(16), times=256, is_surveyed=is_surveyed, top_k=top_k, temperature=1.0, top_p=top_p, seed=1
    )
    assert set(ring.tolist()) == kept


@pytest.mark.parametrize("is_surveyed", [False, True])
def test_argmax_takes_the_lowest_id_of_a_tie_and_zeros_of_both_signs_tie(is_surveyed: bool) -> None:
    logits = torch.full((300,), -1.0)
    logits[[201, 77, 250]] = torch.tensor([0.0, -0.0, 0.0])
    assert sample(logits, is_surveyed=is_surveyed)[0].tolist() == [77]


@pytest.mark.parametrize("is_surveyed", [False, True])
def test_negative_and_extreme_logits(is_surveyed: bool) -> None:
    logits = torch.tensor([-3e38, -1e30, -100.0, -101.0])
    ring, _, _ = sample(logits, times=64, is_surveyed=is_surveyed, temperature=1.0, seed=5)
    assert set(ring.tolist()) == {2, 3}


@pytest.mark.parametrize("index", [0, 130, 999])
@pytest.mark.parametrize("bad", [torch.nan, -torch.nan, torch.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("is_surveyed", [False, True])
def test_nan_and_infinity_are_flagged_with_their_index(
    index: int, temperature: float, bad: float, is_surveyed: bool
) -> None:
    logits = random_logits(1000)
    logits[index] = bad
    ring, ids, _ = sample(logits, is_surveyed=is_surveyed, temperature=temperature, top_p=0.9)
    assert ring.tolist() == [BAD_LOGIT | index]
    assert ids.tolist() == [0], "an id that embed can look up"


@pytest.mark.parametrize("is_surveyed", [False, True])
def test_the_step_advances_and_the_id_goes_to_embed(is_surveyed: bool) -> None:
    ring, ids, after = sample(
        random_logits(50), times=3, position=9, is_surveyed=is_surveyed, ring_index=0, temperature=1.0, seed=2
    )
    assert after.tolist() == step(9 - 1 + 3, 1, ring_index=3, temperature=1.0, seed=2).tolist()
    assert ids[0] == ring[-1]


IN_PROMPT = 0x8000_0000
FORBIDDEN = -float("inf")


@pytest.mark.parametrize("vocab_size", [1, 17, 256, 1025])
@pytest.mark.parametrize("penalties", [
    {}, {"repetition": 1.3}, {"repetition": 0.8}, {"presence": 0.7}, {"frequency": 0.4},
    {"repetition": 1.2, "presence": -0.5, "frequency": 0.25},
])  # fmt: skip
@pytest.mark.parametrize("is_later", [False, True])
def test_adjust_logits(vocab_size: int, penalties: dict[str, float], is_later: bool) -> None:
    """A random text and biases; `is_later`: the text's last token was sampled within this submission."""
    random = np.random.default_rng(vocab_size)
    prompt, answer = (random.integers(vocab_size, size=n).tolist() for n in (90, 40))
    bias = dict(zip(random.integers(vocab_size, size=5).tolist(), random.normal(size=5).tolist()))
    bias[prompt[0]] = FORBIDDEN
    known = answer[:-1] if is_later else answer
    entries = [
        (token, IN_PROMPT * (token in prompt) + known.count(token), bias.get(token, 0.0))
        for token in sorted({*prompt, *known, *bias})
    ]
    logits = random_logits(vocab_size)
    got, left = adjust(logits, entries, answer[-1] if is_later else None, **penalties)
    expected = oracles.adjust_logits(logits, prompt, answer, **penalties, bias=bias)
    assert np.array_equal(np.isinf(got), expected.isinf().numpy())
    assert_close("adjust_logits", np.where(np.isinf(got), 0, got), expected.masked_fill(expected.isinf(), 0))
    assert {token: seen & ~IN_PROMPT for token, seen, _ in left if seen & ~IN_PROMPT} == {
        token: answer.count(token) for token in answer
    }
    assert len({token for token, _, _ in left}) == len(left)


@pytest.mark.parametrize("is_surveyed", [False, True])
def test_a_forbidden_token_is_never_drawn_however_hot(is_surveyed: bool) -> None:
    logits, _ = adjust(random_logits(300), [(token, 0, FORBIDDEN) for token in range(300) if token not in {7, 290}])
    ring, _, _ = sample(
        torch.from_numpy(logits), times=256, is_surveyed=is_surveyed, temperature=1e30, top_k=100, seed=1
    )
    assert set(ring.tolist()) == {7, 290}
    assert sample(torch.from_numpy(logits), is_surveyed=is_surveyed)[0].tolist() == [
        int(torch.from_numpy(logits).argmax())
    ]


def test_adjusting_leaves_nan_and_infinity_to_be_flagged() -> None:
    logits = random_logits(64)
    logits[[3, 4, 5]] = torch.tensor([torch.nan, torch.inf, -torch.inf])
    got, _ = adjust(logits, [(3, 1, FORBIDDEN), (4, 1, FORBIDDEN), (5, 1, 2.0)], repetition=2.0, presence=1.0)
    assert np.array_equal(got.view(np.uint32), logits.numpy().view(np.uint32))
