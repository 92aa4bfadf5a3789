//! The matrix loop in registers of 16 bytes, which every processor has (`lanes`): prompts in tiles, whatever the dtype, single tokens
//! row by row, the block formats in integers.

use super::attend::{self, Scores};
use super::columns::Columns;
use super::integers::{self, Packed};
use super::lanes::{Floats, LANES};
use super::softmax::Softmax;
use super::tiles::{self, Ahead, Rows, Sums, Tiling, tile};
use super::vector::Load;
use crate::format::BLOCK;
use crate::weights::{Blocks, Weight, Weights};

/// A weight of which a register is widened at a time.
trait Wide: Weight {
    fn load(weights: &[Self; LANES]) -> Floats;
}

impl Wide for f32 {
    #[inline(always)]
    fn load(weights: &[Self; LANES]) -> Floats {
        Floats::load(weights)
    }
}

impl Wide for u16 {
    #[inline(always)]
    fn load(weights: &[Self; LANES]) -> Floats {
        Floats::of_halves(weights)
    }
}

/// Tiles of 4 rows and 8 tokens: 8 registers of sums, 2 of activations and one of a weight. V8 keeps a loop's values in memory where
/// they are nearly as many as the registers: 6 rows reach 0.8 of this in Chromium, 4 rows and 12 tokens 0.8, 3 rows and 12 tokens 0.97.
const TILING: Tiling = Tiling {
    rows: ROWS_OF_A_TILE,
    lanes: LANES,
    tokens: 2 * LANES,
    tile: products,
    quads: None,
};
const ROWS_OF_A_TILE: usize = 4;
/// From so many tokens on, a tile takes less time than its tokens one by one.
const TOKENS_OF_A_TILE: usize = 3;
/// Rows that are multiplied together when one token is read. One register of sums each: with two V8 keeps them in memory, and half the
/// speed is gone.
const ROWS: usize = 4;

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
    dots::<1, 4, f32>([a], b)[0]
}

/// [`attend::attend`].
pub(super) fn attend<C: Load>(q: &[f32], d_head: usize, keys: &[C], values: &[C], out: &mut [f32]) {
    attend::attend(
        q,
        d_head,
        keys,
        values,
        out,
        |q, keys, scores| scores_of(q, d_head, keys, scores),
        go_on,
        |weights, values, out| weighted_sum(weights, d_head, values, out),
    );
}

/// [`attend::products`]. Not inlined, as [`products`] is not.
#[inline(never)]
fn scores_of<C: Load>(q: &[f32], d_head: usize, keys: &[C], scores: &mut Scores) {
    // SAFETY: every processor of the target has these registers.
    unsafe {
        attend::products::<Floats, C>(q, d_head, keys, scores, |sums| sums.map(Floats::sum));
    }
}

/// [`Softmax::go_on`]. Not inlined: once for caches of both kinds.
#[inline(never)]
fn go_on(softmax: &mut Softmax, scores: &mut [f32]) -> f32 {
    softmax.go_on(scores)
}

/// [`attend::weighted_sum`]. Not inlined, either.
#[inline(never)]
fn weighted_sum<C: Load>(weights: &Scores, d_head: usize, values: &[C], out: &mut [f32]) {
    // SAFETY: every processor of the target has these registers.
    unsafe { attend::weighted_sum::<Floats, C>(weights, d_head, values, out) };
}

/// Not inlined: in a large function V8 keeps the sums in memory, which takes half as long again.
#[inline(never)]
fn products(activations: &[f32], tokens: usize, rows: &Rows, sums: &mut Sums, ahead: Ahead) {
    // SAFETY: every processor of the target has these registers.
    unsafe {
        match tokens {
            LANES => tile::<Floats, ROWS_OF_A_TILE, 1>(activations, rows, sums, ahead),
            _ => tile::<Floats, ROWS_OF_A_TILE, 2>(activations, rows, sums, ahead),
        }
    }
}

/// Products of f32 or f16. Each weight row is read once.
#[inline(never)]
fn plain<W: Wide>(x: &[f32], w: &[W], k: usize, out: &mut Columns<'_>) {
    let widen = |n: usize, first: usize, widened: &mut [f32]| {
        let (whole, rest) = w[n * k + first..][..widened.len()].as_chunks::<LANES>();
        let (whole_widened, rest_widened) = widened.as_chunks_mut::<LANES>();
        for (widened, weights) in whole_widened.iter_mut().zip(whole) {
            W::load(weights).store(widened);
        }
        for (widened, weight) in rest_widened.iter_mut().zip(rest) {
            *widened = weight.widen();
        }
    };
    let tiled = in_tiles(x, k, widen, out);
    for (t, x) in x.chunks_exact(k).enumerate().skip(tiled) {
        for (group, rows) in w.chunks(ROWS * k).enumerate() {
            let n = group * ROWS;
            if rows.len() == ROWS * k {
                let rows = core::array::from_fn(|r| &rows[r * k..(r + 1) * k]);
                out.set_all(t, n, dots::<ROWS, 1, W>(rows, x));
            } else {
                for (r, row) in rows.chunks_exact(k).enumerate() {
                    out.set_all(t, n + r, dots::<1, 1, W>([row], x));
                }
            }
        }
    }
}

/// Products of a block format. Each weight row is read once.
#[inline(never)]
fn blocks<Q: Packed>(x: &[f32], w: Blocks<'_, Q>, k: usize, out: &mut Columns<'_>) {
    let widen = |n: usize, first: usize, widened: &mut [f32]| {
        let part = w.part((n * k + first) / BLOCK, widened.len() / BLOCK);
        for (block, widened) in widened.as_chunks_mut().0.iter_mut().enumerate() {
            *widened = part.widen(block);
        }
    };
    let tiled = in_tiles(x, k, widen, out);
    for (t, x) in x.chunks_exact(k).enumerate().skip(tiled) {
        // SAFETY: every processor of the target has these registers.
        unsafe { integers::one_token::<integers::Portable, Q>(x, w, t, out) };
    }
}

/// Read in tiles what is worth it; returns how many tokens that are. `widen` is [`tiles::matmul`]'s.
#[inline(always)]
fn in_tiles(
    x: &[f32],
    k: usize,
    widen: impl Fn(usize, usize, &mut [f32]) + Copy,
    out: &mut Columns<'_>,
) -> usize {
    let (chunks, tiled) = tiles::parts(x, k, TOKENS_OF_A_TILE);
    for (t, x) in chunks {
        // SAFETY: every processor of the target has the tiling's instructions.
        unsafe { tiles::matmul(TILING, x, k, widen, t, out) };
    }
    tiled
}

/// Dot products of R weight rows with an input of the same length, each in S registers of sums.
///
/// Not inlined: where the compiler sees that the rows' products are stored side by side, it makes the loop a transposition by
/// shuffles, which takes three times as long.
#[inline(never)]
fn dots<const R: usize, const S: usize, W: Wide>(rows: [&[W]; R], x: &[f32]) -> [f32; R] {
    let rows = rows.map(|row| row[..x.len()].as_chunks::<LANES>());
    let (x, x_rest) = x.as_chunks::<LANES>();
    // Cut to the length of x's, so that no index is checked.
    let (whole, x_more) = x.as_chunks::<S>();
    let groups = rows.map(|(row, _)| &row.as_chunks::<S>().0[..whole.len()]);
    let mut sums = [[Floats::splat(0.0); S]; R];
    for (i, x) in whole.iter().enumerate() {
        for (s, x) in x.iter().enumerate() {
            let x = Floats::load(x);
            for (sums, row) in sums.iter_mut().zip(&groups) {
                sums[s] = W::load(&row[i][s]).multiply_add(x, sums[s]);
            }
        }
    }
    core::array::from_fn(|r| {
        let (row, row_rest) = rows[r];
        for (x, weights) in x_more.iter().zip(&row[whole.len() * S..]) {
            sums[r][0] = W::load(weights).multiply_add(Floats::load(x), sums[r][0]);
        }
        let rest = row_rest.iter().zip(x_rest);
        let rest: f32 = rest.map(|(weight, x)| weight.widen() * x).sum();
        let sum = sums[r].into_iter().reduce(Floats::add);
        sum.map_or(0.0, Floats::sum) + rest
    })
}
