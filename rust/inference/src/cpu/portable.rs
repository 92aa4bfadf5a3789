//! The matrix loop in registers of 16 bytes, which every processor has (`lanes`): f32 and f16 in floats, the block formats in
//! integers.

use super::columns::Columns;
use super::integers;
use super::lanes::{Floats, LANES};
use super::tiles::{self, Rows, Sums, Tiling, tile};
use crate::weights::{Weight, Weights};

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

/// Tiles of 8 tokens.
const TILING: Tiling = Tiling {
    lanes: LANES,
    tokens: 2 * LANES,
    tile: products,
};
/// From so many tokens on, a tile takes less time than its tokens one by one.
const TOKENS_OF_A_TILE: usize = 3;
/// Rows that are multiplied together when one token is read, and registers of sums of each, which hide the latency of an addition.
const ROWS: usize = 4;
const SUMS: usize = 2;

/// `out = x · wᵀ`. x: (T, K); w: (N, K); out: (T, N), written.
pub(super) fn matmul(x: &[f32], w: Weights<'_>, k: usize, out: &mut Columns<'_>) {
    match w {
        Weights::F32(w) => plain(x, w, k, out),
        Weights::F16(w) => plain(x, w, k, out),
        Weights::Q8_0(w) => integers::matmul(x, w, k, out),
        Weights::Q4_0(w) => integers::matmul(x, w, k, out),
    }
}

/// The dot product of two rows.
#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    dots::<1, 4, f32>([a], b)[0]
}

fn products(activations: &[f32], tokens: usize, rows: &Rows, sums: &mut Sums) {
    // SAFETY: every processor of the target has these registers.
    unsafe {
        match tokens {
            LANES => tile::<Floats, 1>(activations, rows, sums),
            _ => tile::<Floats, 2>(activations, rows, sums),
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
    let (chunks, tiled) = tiles::parts(x, k, TOKENS_OF_A_TILE);
    for (t, x) in chunks {
        // SAFETY: every processor of the target has the tiling's instructions.
        unsafe { tiles::matmul(TILING, x, k, widen, t, out) };
    }
    for (t, x) in x.chunks_exact(k).enumerate().skip(tiled) {
        for (group, rows) in w.chunks(ROWS * k).enumerate() {
            let n = group * ROWS;
            if rows.len() == ROWS * k {
                let rows = core::array::from_fn(|r| &rows[r * k..(r + 1) * k]);
                out.set_all(t, n, dots::<ROWS, SUMS, W>(rows, x));
            } else {
                for (r, row) in rows.chunks_exact(k).enumerate() {
                    out.set_all(t, n + r, dots::<1, SUMS, W>([row], x));
                }
            }
        }
    }
}

/// Dot products of R weight rows with an input of the same length, each in S registers of sums.
#[inline(always)]
fn dots<const R: usize, const S: usize, W: Wide>(rows: [&[W]; R], x: &[f32]) -> [f32; R] {
    let rows = rows.map(|row| row[..x.len()].as_chunks::<LANES>());
    let (x, x_rest) = x.as_chunks::<LANES>();
    let mut sums = [[Floats::splat(0.0); S]; R];
    let whole = x.len() - x.len() % S;
    for i in (0..whole).step_by(S) {
        for s in 0..S {
            let x = Floats::load(&x[i + s]);
            for (sums, (row, _)) in sums.iter_mut().zip(&rows) {
                sums[s] = W::load(&row[i + s]).multiply_add(x, sums[s]);
            }
        }
    }
    for (i, x) in x.iter().enumerate().skip(whole) {
        for (sums, (row, _)) in sums.iter_mut().zip(&rows) {
            sums[0] = W::load(&row[i]).multiply_add(Floats::load(x), sums[0]);
        }
    }
    core::array::from_fn(|r| {
        let sum = sums[r].into_iter().reduce(Floats::add);
        let rest = rows[r].1.iter().zip(x_rest);
        let rest: f32 = rest.map(|(weight, x)| weight.widen() * x).sum();
        sum.map_or(0.0, Floats::sum) + rest
    })
}
