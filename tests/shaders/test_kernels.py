"""Every matrix kernel against its oracle in torch: random values; shapes of 1, odd, and no multiples of anything."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch

from tests.shaders import oracles
from tests.shaders.harness import (
    Dispatch,
    assert_close,
    cached,
    halved,
    padded,
    products_grid,
    quantised,
    run,
    run_in_turn,
    step,
    uncached,
    weights,
)

EPS = 1e-5
# (d_model, n_head, n_kv_head, d_head, d_ff, vocab_size): GQA groups of 1, 2 and 4; odd widths; d_head 2 to 320.
SHAPES = [
    (1, 1, 1, 2, 1, 1),
    (3, 1, 1, 2, 5, 7),
    (60, 6, 3, 10, 93, 131),
    (129, 4, 1, 34, 257, 515),
    (96, 2, 1, 128, 30, 33),
    (13, 3, 3, 320, 2, 9),
]


class Variant(NamedTuple):
    """How a kernel that multiplies by weights is cut into threads: by matvec.wgsl, by matmul.wgsl if `quads` is set."""

    workgroup: int
    split: int  # LANES of matvec.wgsl, ROW_THREADS of matmul.wgsl
    dtype: str
    quads: int = 0


# As on a GPU, as on a CPU adapter, and the corner of one pair a workgroup.
MATVEC = [
    *(Variant(64, 8, dtype) for dtype in ("f32", "f16", "q8_0", "q4_0")),
    *(Variant(16, 1, dtype) for dtype in ("f32", "f16", "q8_0", "q4_0")),
    Variant(64, 64, "f32"),
]
MATMUL = [
    *(Variant(16, 4, dtype, quads=4) for dtype in ("f32", "f16", "q8_0", "q4_0")),
    *(Variant(64, 8, dtype, quads=2) for dtype in ("f32", "q4_0")),
]
DTYPES = ("f32", "f16", "q8_0", "q4_0")  # in the order of common.wgsl's constants
TOKENS = [1, 6]
# A tile of matmul.wgsl holds 64 tokens in both variants: a part of one, and more than one.
CASES = [(variant, tokens) for variant in MATVEC for tokens in TOKENS]
CASES += [(variant, tokens) for variant in MATMUL for tokens in (9, 70)]
each_case = pytest.mark.parametrize(
    ("variant", "tokens"), CASES, ids=lambda v: "-".join(map(str, v)) if isinstance(v, tuple) else str(v)
)


CACHE_DTYPES = ("f32", "f16")
each_cache = pytest.mark.parametrize("cache", CACHE_DTYPES)


def constants(shape: tuple[int, ...], ctx_len: int = 32, dtype: str = "f32", cache: str = "f32") -> dict[str, float]:
    """Override constants of a model of this shape, of matrices of this dtype and of such a cache."""
    names = ("D_MODEL", "N_HEAD", "N_KV_HEAD", "D_HEAD", "D_FF", "VOCAB_SIZE")
    sizes = {**dict(zip(names, shape)), "CTX_LEN": ctx_len, "NORM_EPS": EPS}
    return {**sizes, "WEIGHT_DTYPE": DTYPES.index(dtype), "CACHE_DTYPE": DTYPES.index(cache)}


def fit(shape: tuple[int, ...], dtype: str) -> tuple[int, ...]:
    """The shape with widths that this dtype can have: whole blocks of 32 in a block format."""
    d_model, n_head, n_kv_head, d_head, d_ff, vocab_size = shape
    if dtype in ("q8_0", "q4_0"):
        d_model, d_ff = -(-d_model // 32) * 32, -(-d_ff // 32) * 32
    return d_model, n_head, n_kv_head, d_head, d_ff, vocab_size


def normal(*shape: int, seed: int = 0, scale: float = 1.0) -> torch.Tensor:
    """Values as the kernel gets them (f32), to be used by the oracle as f64."""
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


def stored(rows: torch.Tensor, dtype: str) -> torch.Tensor:
    """The oracle's weights: what the file holds, widened."""
    return torch.from_numpy(quantised(rows, dtype).values()).double()


def matvec(
    kernel: str,
    shape: tuple[int, ...],
    tokens: int,
    pairs: int,
    arrays: list[np.ndarray],
    *,
    variant: Variant,
    position: int = 0,
    ctx_len: int = 32,
    cache: str = "f32",
    rows: int | None = None,
    **extra: float,
) -> list[np.ndarray]:
    """Run a kernel that multiplies by weights; by matvec.wgsl in the TILE that the engine takes for so many tokens."""
    workgroup, split, dtype, quads = variant
    rows = rows or tokens
    if quads:
        products, tile_pairs, tile = "matmul", 4 * split, 4 * quads * (workgroup // split)
        own = {"ROW_THREADS": split, "QUADS": quads}
    else:
        products, tile_pairs, tile = "matvec", workgroup // split, 1 if rows == 1 else 4
        own = {"LANES": split, "TILE": tile}
    grid = products_grid(pairs, rows, tile_pairs, tile)
    overrides = {**constants(shape, ctx_len, dtype, cache), "WORKGROUP": workgroup, **own, **extra}
    return run(kernel, overrides, [step(position, tokens), *arrays], grid, uniform=True, products=products)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_embed(shape: tuple[int, ...], dtype: str) -> None:
    shape = fit(shape, dtype)
    width, vocab_size = shape[0], shape[5]
    embedding = normal(vocab_size, width)
    ids = torch.arange(7) * 5 % vocab_size
    x = padded(torch.full((7, width), 9.0))
    grid = (-(-x.shape[1] // 256), 7, 1)
    _, _, got = run(
        "embed", constants(shape, dtype=dtype), [ids.numpy().astype(np.uint32), weights(embedding, dtype), x], grid
    )
    # f16 to f32 is exact; a subnormal f16 (below 6.1e-5) may be flushed to zero.
    assert_close(
        "embed",
        got[:, :width],
        oracles.embed(ids, stored(embedding, dtype)),
        rtol=0,
        atol=6.2e-5 if dtype == "f16" else 0,
    )


def assert_kept(op: str, array: np.ndarray, cache: str, want: torch.Tensor) -> None:
    """Compare keys or values that a kernel wrote, (G, S, …), with what it should have; f16 rounds once, to 11 bits."""
    rtol = 1e-5 if cache == "f32" else 2**-11
    assert_close(op, uncached(array, want.shape[-1]), want, rtol=rtol)


@each_case
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_norm_qkv_rope(shape: tuple[int, ...], tokens: int, variant: Variant) -> None:
    shape, has_bias, rotated = fit(shape, variant.dtype), tokens > 1, tokens != 6
    cache = "f32" if variant.dtype == "f32" else "f16"
    width, n_head, n_kv_head, d_head, _, _ = shape
    position = 6
    ctx_len = position + tokens + 5
    rows = (n_head + 2 * n_kv_head) * d_head
    x, gain, w = normal(tokens, width), normal(width, seed=1) + 1, normal(rows, width, seed=2, scale=width**-0.5)
    bias = normal(rows, seed=3)
    table = oracles.rope_table(ctx_len, d_head, 10000.0)
    q = halved(torch.zeros(tokens * (n_head + n_kv_head), d_head))
    kept = cached(torch.full((n_kv_head, ctx_len, d_head), 7.0), cache)
    arrays = [padded(x), padded(gain), weights(w, variant.dtype), table.float().numpy(), q, kept, kept, bias.numpy()]
    got = matvec("norm_qkv_rope", shape, tokens, rows // 2, arrays, variant=variant, position=position,
                 ctx_len=ctx_len, cache=cache, QKV_BIAS=has_bias, ROPE=rotated)  # fmt: skip

    seen = slice(position, position + tokens)
    unturned = torch.tensor([1.0, 0.0], dtype=torch.float64).expand_as(table)
    want = oracles.norm_qkv_rope(x.double(), gain.double(), stored(w, variant.dtype), bias.double() * has_bias,
                                 (table if rotated else unturned)[seen], n_head, n_kv_head, EPS)  # fmt: skip
    got_q, got_keys = np.split(uncached(got[5], d_head), [tokens * n_head])
    assert_close("norm_qkv_rope q", got_q, want[0].flatten(0, 1))
    # Keys that are not rotated yet wait behind the queries.
    waiting = torch.zeros_like(want[1]) if rotated else want[1]
    assert_close("norm_qkv_rope keys", got_keys, waiting.flatten(0, 1))
    for name, array, rows_written in (("k", got[6], want[1] if rotated else None), ("v", got[7], want[2])):
        full = torch.full((n_kv_head, ctx_len, d_head), 7.0, dtype=torch.float64)
        if rows_written is not None:
            full[:, seen] = rows_written.transpose(0, 1)  # all else stays as it was
        assert_kept(f"norm_qkv_rope {name}", array, cache, full)


@each_cache
@pytest.mark.parametrize("threads", [16, 64])
@pytest.mark.parametrize("tokens", TOKENS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_qk_norm_rope(shape: tuple[int, ...], tokens: int, threads: int, cache: str) -> None:
    _, n_head, n_kv_head, d_head, _, _ = shape
    ctx_len, position = 17, 6
    q, keys = normal(tokens, n_head, d_head), normal(tokens, n_kv_head, d_head, seed=1)
    gains, table = normal(2, d_head, seed=2) + 1, oracles.rope_table(ctx_len, d_head, 10000.0)
    both = halved(torch.cat([q.flatten(0, 1), keys.flatten(0, 1)]))
    full = torch.full((n_kv_head, ctx_len, d_head), 7.0, dtype=torch.float64)
    arrays = [step(position, tokens), padded(gains), table.float().numpy(), both, cached(full, cache)]
    grid = (n_head + n_kv_head, tokens, 1)
    overrides = {**constants(shape, ctx_len, cache=cache), "THREADS": threads}
    *_, got_q, got_k = run("qk_norm_rope", overrides, arrays, grid, uniform=True)
    seen = slice(position, position + tokens)
    want = oracles.qk_norm_rope(q.double(), keys.double(), gains.double(), table[seen], EPS)
    assert_close("qk_norm_rope q", uncached(got_q, d_head)[: tokens * n_head], want[0].flatten(0, 1))
    full[:, seen] = want[1].transpose(0, 1)  # all else stays as it was
    assert_kept("qk_norm_rope k", got_k, cache, full)


def test_what_no_half_can_hold_is_kept_as_the_largest() -> None:
    """Of keys and values beyond 65504 none becomes infinite, in either kernel that writes them."""
    shape, largest = (4, 1, 1, 4, 1, 1), 65504.0
    x, table = torch.tensor([[1.0, 1.0, 1.0, 1.0]]), oracles.rope_table(1, 4, 10000.0)
    rows = torch.tensor([0.0, 1e5, -1e9, 3e38]).repeat(3)[:, None] * torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    kept, q = cached(torch.zeros(1, 1, 4), "f16"), halved(torch.zeros(2, 4))
    arrays = [padded(x), padded(torch.ones(4)), weights(rows, "f32"), table.float().numpy(), q, kept, kept, q]
    got = matvec("norm_qkv_rope", shape, 1, 6, arrays, variant=MATVEC[0], ctx_len=1, cache="f16")
    want = np.array([0.0, largest, -largest, largest])
    for array in got[6:8]:
        assert (uncached(array, 4)[0, 0] == want).all(), array
    gains = padded(torch.full((2, 4), 1e6))
    arrays = [step(0, 1), gains, table.float().numpy(), halved(torch.tensor([[1.0, 2, 3, 4], [-1.0, 2, 3, 4]])), kept]
    got = run("qk_norm_rope", constants(shape, 1, cache="f16"), arrays, (2, 1, 1), uniform=True)
    assert (uncached(got[4], 4)[0, 0] == largest * np.array([-1, 1, 1, 1])).all(), got[4]


# THREADS and LANES of attention.wgsl, or ROWS of attention_tiled.wgsl, with the workgroups wanted (1 does not split);
# then the position and the tokens, of which the engine takes 8 and more in tiles.
ATTENTION = [
    (variant, case)
    for variants, cases in [
        (
            [{"THREADS": 16, "LANES": 1}, {"THREADS": 64, "LANES": 8}],
            [(0, 1), (0, 5), (6, 3), (511, 1), (512, 3), (1100, 2)],
        ),
        ([{"ROWS": 4}, {"ROWS": 8}], [(0, 9), (0, 40), (75, 70), (600, 33)]),
    ]
    for variant in ({**variant, "WORKGROUPS": workgroups} for variant in variants for workgroups in (1, 300))
    for case in cases
]


@pytest.mark.parametrize(
    ("variant", "case"),
    ATTENTION,
    ids=lambda value: "-".join(map(str, value.values() if isinstance(value, dict) else value)),
)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@each_cache
def test_attention(shape: tuple[int, ...], variant: dict[str, int], case: tuple[int, int], cache: str) -> None:
    _, n_head, n_kv_head, d_head, _, _ = shape
    position, tokens = case
    is_tiled = "ROWS" in variant
    ctx_len, width = position + tokens + 3, -(-d_head // 8)
    q, k, v = (
        normal(*s, seed=i) for i, s in enumerate([(tokens, n_head, d_head), *[(n_kv_head, ctx_len, d_head)] * 2])
    )
    k *= 2  # peaked enough that the running maximum changes between tiles
    k[:, position + tokens :] = 6e4  # what lies in the future must not be seen
    tile = 4 * variant["ROWS"] if is_tiled else 1
    blocks = -(-width // (8 if is_tiled else variant["THREADS"]))
    n_tiles = -(-tokens // tile)
    splits = count_splits(position + tokens, max(variant["WORKGROUPS"] // (n_head * n_tiles), 1))
    overrides = {
        **constants(shape, ctx_len, cache=cache),
        "LEAST_SPLIT": LEAST_SPLIT,
        "TILE_TOKENS": tile,
        "WORKGROUPS": variant["WORKGROUPS"],
    }
    grid = (n_head, n_tiles, splits * blocks)
    name = "attention_tiled" if is_tiled else "attention"
    out = padded(torch.zeros(tokens, n_head * d_head))
    partials = np.full((splits, tokens, n_head, 2 * width + 1, 4), np.nan, np.float32)
    kept_k, kept_v = cached(k, cache), cached(v, cache)
    arrays = [step(position, tokens), halved(q), kept_k, kept_v, out, partials]
    dispatches = [Dispatch(name, {**overrides, **variant}, grid, range(6))]
    if splits > 1:
        dispatches.append(Dispatch("attention_reduce", overrides, (n_head, tokens, 1), (0, 5, 4)))
    got = run_in_turn(dispatches, arrays, uniform=True)[4]
    got = got[:, : n_head * d_head]
    held = [torch.from_numpy(uncached(kept, d_head)).double() for kept in (kept_k, kept_v)]
    want = oracles.attention(q.double(), *held, position)
    # A score's error becomes its weight's relative error, and scores reach 10: 2e-5 where other kernels have 1e-5.
    assert_close(name, got, want, atol=2e-5)
    # Squared error over squared values, against a cache that rounds nothing.
    exact = oracles.attention(q.double(), k.double(), v.double(), position).numpy()
    assert ((got - exact) ** 2).sum() <= (1e-7 if cache == "f32" else 1e-5) * (exact**2).sum()


LEAST_SPLIT = 7


def count_splits(seen: int, most: int) -> int:
    """Of so many positions, as splits.wgsl does it."""
    return -(-seen // max(-(-seen // most), LEAST_SPLIT))


@each_case
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_matmul_residual(shape: tuple[int, ...], tokens: int, variant: Variant) -> None:
    shape = fit(shape, variant.dtype)
    width, width_in = shape[0], shape[4]
    x, values, w = (
        normal(tokens, width),
        normal(tokens, width_in, seed=1),
        normal(width, width_in, seed=2, scale=width_in**-0.5),
    )
    arrays = [padded(values), weights(w, variant.dtype), padded(x)]
    got = matvec("matmul_residual", shape, tokens, -(-width // 2), arrays, variant=variant, WIDTH_IN=width_in)[-1]
    assert_close(
        "matmul_residual",
        got[:, :width],
        oracles.matmul_residual(x.double(), values.double(), stored(w, variant.dtype)),
    )


@each_case
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_norm_gate_up_silu(shape: tuple[int, ...], tokens: int, variant: Variant) -> None:
    shape = fit(shape, variant.dtype)
    width, d_ff = shape[0], shape[4]
    scale = 8 * width**-0.5  # gates far into silu's flat tail
    x, gain = normal(tokens, width), normal(width, seed=1) + 1
    gate, up = normal(d_ff, width, seed=2, scale=scale), normal(d_ff, width, seed=3, scale=scale)
    arrays = [
        padded(x),
        padded(gain),
        weights(gate, variant.dtype),
        weights(up, variant.dtype),
        padded(torch.zeros(tokens, d_ff)),
    ]
    got = matvec("norm_gate_up_silu", shape, tokens, d_ff, arrays, variant=variant)[-1]
    want = oracles.norm_gate_up_silu(
        x.double(), gain.double(), stored(gate, variant.dtype), stored(up, variant.dtype), EPS
    )
    assert_close("norm_gate_up_silu", got[:, :d_ff], want)


@pytest.mark.parametrize("gate", [-1e4, -89.0, -80.5, -1.0, 0.0, 88.0, 1e4])
def test_silu_neither_overflows_nor_is_nan(gate: float) -> None:
    shape = (1, 1, 1, 2, 1, 1)
    one = torch.ones(1, 1)
    arrays = [padded(one), padded(one), weights(gate * one, "f32"), weights(one, "f32"), padded(torch.zeros(1, 1))]
    got = matvec("norm_gate_up_silu", shape, 1, 1, arrays, variant=Variant(8, 1, "f32"))[-1]
    want = oracles.norm_gate_up_silu(one.double(), one[0].double(), gate * one.double(), one.double(), EPS)
    assert_close("norm_gate_up_silu", got[:, :1], want)


@each_case
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_norm_up_relu2(shape: tuple[int, ...], tokens: int, variant: Variant) -> None:
    shape = fit(shape, variant.dtype)
    width, d_ff = shape[0], shape[4]
    x, gain, up = normal(tokens, width), normal(width, seed=1) + 1, normal(d_ff, width, seed=2, scale=width**-0.5)
    arrays = [padded(x), padded(gain), weights(up, variant.dtype), padded(torch.zeros(tokens, d_ff))]
    got = matvec("norm_up_relu2", shape, tokens, -(-d_ff // 2), arrays, variant=variant)[-1]
    want = oracles.norm_up_relu2(x.double(), gain.double(), stored(up, variant.dtype), EPS)
    assert_close("norm_up_relu2", got[:, :d_ff], want)


@pytest.mark.parametrize("logit", [-1e30, -1e4, -15.0, -1e-3, 0.0, 1e-3, 15.0, 1e4, 1e30])
def test_the_cap_neither_overflows_nor_is_nan(logit: float) -> None:
    shape, one = (1, 1, 1, 2, 1, 1), torch.ones(1, 1)
    arrays = [padded(one), padded(one), weights(logit * one, "f32"), np.zeros((1, 1), np.float32)]
    got = matvec("norm_logits", shape, 1, 1, arrays, variant=Variant(8, 1, "f32"), LOGIT_CAP=15.0)[-1]
    want = oracles.norm_logits(one.double(), one[0].double(), logit * one.double(), EPS, 15.0)
    assert_close("norm_logits", got, want)


@pytest.mark.parametrize("variant", MATVEC, ids=lambda v: "-".join(map(str, v)))
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_norm_logits_of_the_last_token_alone(shape: tuple[int, ...], variant: Variant) -> None:
    compare_norm_logits(shape, 6, variant, rows=1)


@each_case
@pytest.mark.parametrize("cap", [0.0, 1.5])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_norm_logits(shape: tuple[int, ...], tokens: int, variant: Variant, cap: float) -> None:
    compare_norm_logits(shape, tokens, variant, rows=tokens, cap=cap)


def compare_norm_logits(shape: tuple[int, ...], tokens: int, variant: Variant, rows: int, cap: float = 0.0) -> None:
    shape = fit(shape, variant.dtype)
    width, vocab_size = shape[0], shape[5]
    x, gain, w = normal(tokens, width), normal(width, seed=1) + 1, normal(vocab_size, width, seed=2, scale=width**-0.5)
    arrays = [padded(x), padded(gain), weights(w, variant.dtype), np.zeros((rows, vocab_size), np.float32)]
    pairs = -(-vocab_size // 2)
    got = matvec("norm_logits", shape, tokens, pairs, arrays, variant=variant, rows=rows, LOGIT_CAP=cap)[-1]
    want = oracles.norm_logits(x.double(), gain.double(), stored(w, variant.dtype), EPS, cap)
    assert_close("norm_logits", got, want[:rows])


def test_a_vocabulary_that_needs_two_grid_dimensions() -> None:
    """70,000 blocks of one pair: more than the 65,535 workgroups that one dimension may have."""
    shape = (2, 1, 1, 2, 1, 140_001)
    x, gain, w = normal(1, 2), normal(2, seed=1), normal(140_001, 2, seed=2)
    arrays = [padded(x), padded(gain), weights(w, "f32"), np.zeros((1, 140_001), np.float32)]
    got = matvec("norm_logits", shape, 1, 70_001, arrays, variant=Variant(8, 8, "f32"))[-1]
    assert_close("norm_logits", got, oracles.norm_logits(x.double(), gain.double(), w.double(), EPS))
