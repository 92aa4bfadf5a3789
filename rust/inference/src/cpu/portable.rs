//! The matrix loop in plain Rust, which the compiler turns into SSE2 or wasm's SIMD128.

use super::columns::Columns;
use crate::format::BLOCK;
use crate::weights::{Blocks, Quant, Weight, Weights};

/// Dot products of R weight rows with N activation rows, all of length `k`: every value is loaded once for R or N products.
///
/// Each product has L partial sums, added pairwise at the end. R·N·L floats are kept in registers: at most 8 SSE or wasm
/// registers, which also hides the latency of an addition.
#[inline(always)]
fn dots<const R: usize, const N: usize, const L: usize, W: Weight>(
    k: usize,
    rows: [&[W]; R],
    xs: [&[f32]; N],
) -> [[f32; N]; R] {
    let rows = rows.map(|row| row[..k].as_chunks::<L>());
    let xs = xs.map(|x| x[..k].as_chunks::<L>());
    let mut sums = [[[0.0f32; L]; N]; R];
    for i in 0..k / L {
        for (sums, (row, _)) in sums.iter_mut().zip(&rows) {
            let weights = row[i].map(W::widen);
            for (sums, (x, _)) in sums.iter_mut().zip(&xs) {
                for ((sum, weight), x) in sums.iter_mut().zip(&weights).zip(&x[i]) {
                    *sum += weight * x;
                }
            }
        }
    }
    if N == 1 {
        // Where the compiler sees that the rows' products are stored side by side, it makes the whole loop a transposition by
        // shuffles: a third slower. This hides it.
        sums = core::hint::black_box(sums);
    }
    core::array::from_fn(|r| {
        core::array::from_fn(|n| {
            let mut sum = sums[r][n];
            let mut width = L / 2;
            while width > 0 {
                for lane in 0..width {
                    sum[lane] += sum[lane + width];
                }
                width /= 2;
            }
            let tail: f32 = rows[r]
                .1
                .iter()
                .zip(xs[n].1)
                .map(|(weight, x)| weight.widen() * x)
                .sum();
            sum[0] + tail
        })
    })
}

/// `out = x · wᵀ`. x: (T, K); w: (N, K); out: (T, N), written.
pub(super) fn matmul(x: &[f32], w: Weights<'_>, k: usize, out: &mut Columns<'_>) {
    match w {
        Weights::F32(w) => plain(x, w, k, out),
        Weights::F16(w) => plain(x, w, k, out),
        Weights::Q8_0(w) => blocks(x, w, k, out),
        Weights::Q4_0(w) => blocks(x, w, k, out),
    }
}

/// The dot product of two rows.
#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    dots::<1, 1, 16, f32>(a.len(), [a], [b])[0][0]
}

/// Rows and tokens of a block when several tokens are read, rows of a block when one is. Chosen by measurement (x86-64 without
/// AVX, K = 128 and 352, 0.94 M weights, best of many): 25 to 29 GFLOP/s for 64 tokens, where 1 row × 4 tokens gave 14 to 20;
/// 13 GFLOP/s for one, where 1 row gave 10.
const ROWS: usize = 2;
const TOKENS: usize = 4;
const ROWS_OF_ONE: usize = 4;

/// Length up to which a pair of f16 rows is widened once for all tokens instead of once for every four: 16 KiB of stack.
const WIDENED: usize = 2048;

/// `out = x · wᵀ`. x: (T, K); w: (N, K); out: (T, N), written. Each weight row is read once.
#[inline(never)]
fn plain<W: Weight>(x: &[f32], w: &[W], k: usize, out: &mut Columns<'_>) {
    let (tokens, n_rows) = (x.len() / k, w.len() / k);
    let in_blocks = tokens - tokens % TOKENS;
    let (blocked, single) = x.split_at(in_blocks * k);
    let mut widened = [[0.0f32; WIDENED]; ROWS];
    if in_blocks > 0 {
        for (pair, rows) in w.chunks(ROWS * k).enumerate() {
            let n = pair * ROWS;
            if rows.len() < ROWS * k {
                tiles(blocked, k, |t, xs| {
                    store(dots::<1, TOKENS, 4, W>(k, [rows], xs), t, n, out);
                });
            } else if W::IS_F32 || k > WIDENED {
                let rows = core::array::from_fn(|r| &rows[r * k..(r + 1) * k]);
                tiles(blocked, k, |t, xs| {
                    store(dots::<ROWS, TOKENS, 4, W>(k, rows, xs), t, n, out);
                });
            } else {
                for (widened, row) in widened.iter_mut().zip(rows.chunks_exact(k)) {
                    for (widened, weight) in widened.iter_mut().zip(row) {
                        *widened = weight.widen();
                    }
                }
                let rows = core::array::from_fn(|r| &widened[r][..k]);
                tiles(blocked, k, |t, xs| {
                    store(dots::<ROWS, TOKENS, 4, f32>(k, rows, xs), t, n, out);
                });
            }
        }
    }
    for (t, x) in single.chunks_exact(k).enumerate() {
        let t = in_blocks + t;
        let groups = w.chunks_exact(ROWS_OF_ONE * k);
        let rest = groups.remainder().chunks_exact(k);
        let first_of_rest = n_rows - rest.len();
        for (group, rows) in groups.enumerate() {
            let rows = core::array::from_fn(|r| &rows[r * k..(r + 1) * k]);
            let values = dots::<ROWS_OF_ONE, 1, 8, W>(k, rows, [x]);
            store(values, t, group * ROWS_OF_ONE, out);
        }
        for (n, row) in rest.enumerate() {
            let values = dots::<1, 1, 8, W>(k, [row], [x]);
            store(values, t, first_of_rest + n, out);
        }
    }
}

/// Write the products of rows `n …` with tokens `t …`.
#[inline(always)]
fn store<const R: usize, const T: usize>(
    values: [[f32; T]; R],
    t: usize,
    n: usize,
    out: &mut Columns<'_>,
) {
    for (r, values) in values.into_iter().enumerate() {
        for (i, value) in values.into_iter().enumerate() {
            out.set(t + i, n + r, value);
        }
    }
}

/// Call `f` with each block of [`TOKENS`] activation rows and the index of its first.
#[inline(always)]
fn tiles(x: &[f32], k: usize, mut f: impl FnMut(usize, [&[f32]; TOKENS])) {
    for (tile, x) in x.chunks_exact(TOKENS * k).enumerate() {
        f(
            tile * TOKENS,
            core::array::from_fn(|i| &x[i * k..(i + 1) * k]),
        );
    }
}

/// Partial sums of a product of blocks: 8 SSE or wasm registers for two rows and two tokens.
const BLOCK_LANES: usize = 8;

/// Dot products of R rows of blocks with N activation rows of length `x.len()`. A block is widened once for all tokens.
#[inline(always)]
fn block_dots<const R: usize, const N: usize, Q: Quant>(
    rows: [Blocks<'_, Q>; R],
    xs: [&[f32]; N],
) -> [[f32; N]; R] {
    let blocks = rows[0].scales.len();
    let xs = xs.map(|x| &x.as_chunks::<BLOCK>().0[..blocks]);
    let mut sums = [[[0.0f32; BLOCK_LANES]; N]; R];
    for block in 0..blocks {
        for (sums, row) in sums.iter_mut().zip(&rows) {
            let weights = row.widen(block);
            for (sums, x) in sums.iter_mut().zip(&xs) {
                for (weights, x) in weights
                    .as_chunks::<BLOCK_LANES>()
                    .0
                    .iter()
                    .zip(x[block].as_chunks::<BLOCK_LANES>().0)
                {
                    for ((sum, weight), x) in sums.iter_mut().zip(weights).zip(x) {
                        *sum += weight * x;
                    }
                }
            }
        }
    }
    sums.map(|sums| sums.map(|[a, b, c, d, e, f, g, h]| ((a + e) + (c + g)) + ((b + f) + (d + h))))
}

/// [`plain`] for a block format. x: (T, K); w: (N, K) in blocks along K, which is a multiple of [`BLOCK`]; out: (T, N), written.
#[inline(never)]
fn blocks<Q: Quant>(x: &[f32], w: Blocks<'_, Q>, k: usize, out: &mut Columns<'_>) {
    let (tokens, per_row) = (x.len() / k, k / BLOCK);
    let n_rows = w.scales.len() / per_row;
    let in_tiles = tokens - tokens % TOKENS;
    let (tiled, single) = x.split_at(in_tiles * k);
    for n in 0..n_rows {
        let row = w.part(n * per_row, per_row);
        tiles(tiled, k, |t, xs| store(block_dots([row], xs), t, n, out));
        for (t, x) in single.chunks_exact(k).enumerate() {
            out.set(in_tiles + t, n, block_dots([row], [x])[0][0]);
        }
    }
}
