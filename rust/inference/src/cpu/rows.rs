//! Products of one token, and rows of weights as f32: loops over vectors, generic in the instructions and in the dtype.
//!
//! Weights are widened exactly; only the order of summation differs from the portable loop's. It depends on nothing but the length
//! of a row, so that a row's product is the same whatever rows are multiplied beside it.

use super::columns::Columns;
use super::vector::{Load, Unpack, Widened};
use crate::format::BLOCK;
use crate::weights::{Blocks, Weight, Weights};

/// Rows that are multiplied together: every activation that is loaded is used so many times, and so many sums hide the latency of
/// an addition.
const ROWS: usize = 4;

/// How many bytes before a weight is read it is fetched: the processor guesses badly where several rows are read by turns. Chosen by
/// measurement.
pub(super) const AHEAD: usize = 4096;
/// Scales that are widened together.
const SCALES: usize = 1024;

/// `out = x · wᵀ` of token `t`. x: (K); w: (N, K); out: (T, N), line t written.
///
/// # Safety
/// As [`Vector`](super::vector::Vector)'s.
#[inline(always)]
pub(super) unsafe fn products<V: Widened>(
    x: &[f32],
    w: Weights<'_>,
    t: usize,
    out: &mut Columns<'_>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        match w {
            Weights::F32(w) => plain::<V, f32>(x, w, t, out),
            Weights::F16(w) => plain::<V, u16>(x, w, t, out),
            Weights::Q8_0(w) => blocks::<V, _>(x, w, t, out),
            Weights::Q4_0(w) => blocks::<V, _>(x, w, t, out),
        }
    }
}

/// [`products`] of f32 or f16.
///
/// # Safety
/// As [`Vector`](super::vector::Vector)'s.
#[inline(always)]
unsafe fn plain<V: Widened, W: Load>(x: &[f32], w: &[W], t: usize, out: &mut Columns<'_>) {
    let k = x.len();
    for (group, rows) in w.chunks(ROWS * k).enumerate() {
        let n = group * ROWS;
        if rows.len() == ROWS * k {
            let rows = core::array::from_fn(|r| &rows[r * k..(r + 1) * k]);
            // SAFETY: the caller's promise.
            out.set_all(t, n, unsafe { dots::<V, W, ROWS>(rows, x) });
        } else {
            for (r, row) in rows.chunks_exact(k).enumerate() {
                // SAFETY: the caller's promise.
                out.set_all(t, n + r, unsafe { dots::<V, W, 1>([row], x) });
            }
        }
    }
}

/// [`products`] of a block format.
///
/// # Safety
/// As [`Vector`](super::vector::Vector)'s.
#[inline(always)]
unsafe fn blocks<V: Widened, Q: Unpack>(
    x: &[f32],
    w: Blocks<'_, Q>,
    t: usize,
    out: &mut Columns<'_>,
) {
    let per_row = x.len() / BLOCK;
    let n_rows = w.scales.len() / per_row;
    let scales = &mut [0.0; SCALES];
    let mut n = 0;
    while n + ROWS <= n_rows {
        let rows = w.part(n * per_row, ROWS * per_row);
        // SAFETY: the caller's promise.
        out.set_all(t, n, unsafe { block_dots::<V, Q, ROWS>(rows, x, scales) });
        n += ROWS;
    }
    for n in n..n_rows {
        let row = w.part(n * per_row, per_row);
        // SAFETY: the caller's promise.
        out.set_all(t, n, unsafe { block_dots::<V, Q, 1>(row, x, scales) });
    }
}

/// Dot products of R rows with an input of the same length.
///
/// # Safety
/// As [`Vector`](super::vector::Vector)'s.
#[inline(always)]
unsafe fn dots<V: Widened, W: Load, const R: usize>(rows: [&[W]; R], x: &[f32]) -> [f32; R] {
    let rows = rows.map(|row| &row[..x.len()]);
    let whole = x.len() - x.len() % V::LANES;
    let mut values = [0.0; R];
    // SAFETY: the caller's promise; all rows are as long as x, and the vectors from i on end within `whole`.
    unsafe {
        let mut sums = [V::splat(0.0); R];
        for i in (0..whole).step_by(V::LANES) {
            let x = V::load(x.as_ptr().add(i));
            for (sum, row) in sums.iter_mut().zip(&rows) {
                let row = row.as_ptr().add(i);
                V::prefetch(row.wrapping_byte_add(AHEAD));
                *sum = W::load::<V>(row).multiply_add(x, *sum);
            }
        }
        values.copy_from_slice(&V::sums(padded(sums))[..R]);
    }
    for (value, row) in values.iter_mut().zip(rows) {
        let rest = row[whole..].iter().zip(&x[whole..]);
        *value += rest.map(|(weight, x)| weight.widen() * x).sum::<f32>();
    }
    values
}

/// Dot products of R neighbouring rows of blocks with an input. The quants are multiplied as they are, their sum by the scale.
/// `scales`: scratch.
///
/// # Safety
/// As [`Vector`](super::vector::Vector)'s.
#[inline(always)]
unsafe fn block_dots<V: Widened, Q: Unpack, const R: usize>(
    rows: Blocks<'_, Q>,
    x: &[f32],
    scales: &mut [f32; SCALES],
) -> [f32; R] {
    let x = x.as_chunks::<BLOCK>().0;
    let per_row = x.len();
    assert!(rows.quants.len() == R * per_row && rows.scales.len() == R * per_row);
    let mut values = [0.0; R];
    let at_once = per_row.min(SCALES / R);
    // SAFETY: the caller's promise; a block of x has a block's length, and the blocks of row r are those from r · per_row on.
    unsafe {
        let mut sums = [V::splat(0.0); R];
        for first in (0..per_row).step_by(at_once) {
            let n = at_once.min(per_row - first);
            if n == per_row {
                widen_plain::<V, u16>(rows.scales, &mut scales[..R * n]);
            } else {
                for (r, scales) in scales.chunks_exact_mut(n).take(R).enumerate() {
                    widen_plain::<V, u16>(&rows.scales[r * per_row + first..][..n], scales);
                }
            }
            for block in 0..n {
                let x = x.get_unchecked(first + block).as_ptr();
                for (r, sum) in sums.iter_mut().enumerate() {
                    let quants = rows.quants.as_ptr().add(r * per_row + first + block);
                    V::prefetch(quants.wrapping_byte_add(AHEAD));
                    let weights = Q::vectors::<V>(&*quants);
                    let weights = weights.as_ref();
                    let mut product = weights[0].multiply(V::load(x));
                    for (v, weights) in weights.iter().enumerate().skip(1) {
                        product = weights.multiply_add(V::load(x.add(v * V::LANES)), product);
                    }
                    let scale = V::splat(*scales.get_unchecked(r * n + block));
                    *sum = scale.multiply_add(product, *sum);
                }
            }
        }
        values.copy_from_slice(&V::sums(padded(sums))[..R]);
    }
    values
}

/// R sums as four, so that one of them is added up as each of four is.
#[inline(always)]
fn padded<V: Copy, const R: usize>(sums: [V; R]) -> [V; ROWS] {
    let mut padded = [sums[0]; ROWS];
    padded[..R].copy_from_slice(&sums);
    padded
}

/// The weights from `from` on, widened; whole blocks of a block format.
///
/// # Safety
/// As [`Vector`](super::vector::Vector)'s.
#[inline(always)]
pub(super) unsafe fn widen<V: Widened>(w: Weights<'_>, from: usize, widened: &mut [f32]) {
    // SAFETY: the caller's promise.
    unsafe {
        match w {
            Weights::F32(w) => widened.copy_from_slice(&w[from..from + widened.len()]),
            Weights::F16(w) => widen_plain::<V, u16>(&w[from..from + widened.len()], widened),
            Weights::Q8_0(w) => widen_blocks::<V, _>(w, from / BLOCK, widened),
            Weights::Q4_0(w) => widen_blocks::<V, _>(w, from / BLOCK, widened),
        }
    }
}

/// # Safety
/// As [`Vector`](super::vector::Vector)'s.
#[inline(always)]
unsafe fn widen_plain<V: Widened, W: Load>(weights: &[W], widened: &mut [f32]) {
    let whole = weights.len() - weights.len() % V::LANES;
    assert_eq!(weights.len(), widened.len());
    for i in (0..whole).step_by(V::LANES) {
        // SAFETY: the caller's promise; the vectors from i on end within both.
        unsafe { W::load::<V>(weights.as_ptr().add(i)).store(widened.as_mut_ptr().add(i)) };
    }
    for (widened, weight) in widened[whole..].iter_mut().zip(&weights[whole..]) {
        *widened = weight.widen();
    }
}

/// # Safety
/// As [`Vector`](super::vector::Vector)'s.
#[inline(always)]
unsafe fn widen_blocks<V: Widened, Q: Unpack>(w: Blocks<'_, Q>, first: usize, widened: &mut [f32]) {
    let widened = widened.as_chunks_mut::<BLOCK>().0;
    let part = w.part(first, widened.len());
    let blocks = part.quants.iter().zip(part.scales);
    for ((quants, scale), widened) in blocks.zip(widened) {
        // SAFETY: the caller's promise; the vectors of a block fill a block.
        unsafe {
            let scale = V::splat(scale.widen());
            let weights = Q::vectors::<V>(quants);
            for (v, weights) in weights.as_ref().iter().enumerate() {
                let to = widened.as_mut_ptr().add(v * V::LANES);
                weights.multiply(scale).store(to);
            }
        }
    }
}
