//! A softmax that goes on from one block of scores to the next, and what one query sees through it.
//!
//! Source: Milakov & Gimelshein 2018, arXiv:1805.02867.

use super::exp::exp;
use super::rows::AHEAD;
use super::vector::{Load, Vector};

/// Keys of a block: their scores stay in the first cache, and packed keys of the usual widths in the second.
pub(super) const KEYS: usize = 256;

/// A softmax that has seen a part of its scores.
#[derive(Clone, Copy)]
pub(super) struct Softmax {
    /// The largest score.
    largest: f32,
    /// The sum of e^(score − largest).
    pub total: f32,
}

impl Softmax {
    /// Before any score.
    pub const NOTHING: Self = Self {
        largest: f32::NEG_INFINITY,
        total: 0.0,
    };

    /// Turn further scores, one at the least, into weights, e^(score − largest), and return what the weights of before shrink by.
    /// Inlined, to be compiled for the caller's instructions.
    #[inline(always)]
    pub fn go_on(&mut self, scores: &mut [f32]) -> f32 {
        const LANES: usize = 16; // partial results, so that the loops vectorise
        let mut largest = [self.largest; LANES];
        let (whole, rest) = scores.as_chunks::<LANES>();
        for scores in whole {
            for (largest, score) in largest.iter_mut().zip(scores) {
                *largest = if *score > *largest { *score } else { *largest };
            }
        }
        let largest = largest
            .iter()
            .chain(rest)
            .fold(self.largest, |a, b| if *b > a { *b } else { a });
        let mut totals = [0.0; LANES];
        let (whole, rest) = scores.as_chunks_mut::<LANES>();
        for scores in whole {
            for (total, score) in totals.iter_mut().zip(scores) {
                *score = exp(*score - largest);
                *total += *score;
            }
        }
        for (total, score) in totals.iter_mut().zip(rest) {
            *score = exp(*score - largest);
            *total += *score;
        }
        let shrunk = exp(self.largest - largest);
        self.largest = largest;
        self.total = self.total * shrunk + totals.iter().sum::<f32>();
        shrunk
    }
}

/// One query over keys and values (S, D). q, out: (D). `products(q, keys, scores)` writes q · keysᵀ, `sum` is [`weighted_sum`]. Inlined,
/// to be compiled for the caller's instructions.
#[inline(always)]
pub(super) fn attend_one<C>(
    q: &[f32],
    keys: &[C],
    values: &[C],
    out: &mut [f32],
    products: impl Fn(&[f32], &[C], &mut [f32]),
    sum: impl Fn(&[f32], &[C], &mut [f32]),
) {
    let d_head = q.len();
    let scale = 1.0 / libm::sqrtf(d_head as f32);
    let mut scores = [0.0; KEYS];
    let mut softmax = Softmax::NOTHING;
    out.fill(0.0);
    let blocks = keys.chunks(KEYS * d_head).zip(values.chunks(KEYS * d_head));
    for (keys, values) in blocks {
        let scores = &mut scores[..keys.len() / d_head];
        products(q, keys, scores);
        for score in scores.iter_mut() {
            *score *= scale;
        }
        let shrunk = softmax.go_on(scores);
        for out in out.iter_mut() {
            *out *= shrunk;
        }
        sum(scores, values, out);
    }
    for out in out.iter_mut() {
        *out /= softmax.total;
    }
}

/// `out += Σ weights[s] · values[s]`, some columns at a time, whose sums stay in registers over all rows.
///
/// weights: (S); values: (S, D); out: (D).
///
/// # Safety
/// As [`Vector`]'s.
#[inline(always)]
pub(super) unsafe fn weighted_sum<V: Vector, C: Load>(
    weights: &[f32],
    values: &[C],
    out: &mut [f32],
) {
    let width = out.len();
    assert_eq!(weights.len() * width, values.len());
    let mut column = 0;
    while width - column >= V::LANES {
        // SAFETY: the caller's promise; so many vectors lie within a row from the column on.
        column += V::LANES
            * unsafe {
                match (width - column) / V::LANES {
                    1 => sum_columns::<V, C, 1>(weights, values, column, out),
                    2 => sum_columns::<V, C, 2>(weights, values, column, out),
                    3 => sum_columns::<V, C, 3>(weights, values, column, out),
                    _ => sum_columns::<V, C, 4>(weights, values, column, out),
                }
            };
    }
    for (weight, row) in weights.iter().zip(values.chunks_exact(width)) {
        for (out, value) in out[column..].iter_mut().zip(&row[column..]) {
            *out += weight * value.widen();
        }
    }
}

/// [`weighted_sum`] of N vectors of columns from `column` on; returns N. Rows come by twos, each with sums of its own, so that an addition
/// need not wait for the one before.
///
/// # Safety
/// As [`Vector`]'s, and the columns lie within `out`, of whose length `values` has a row for each of the weights.
#[inline(always)]
unsafe fn sum_columns<V: Vector, C: Load, const N: usize>(
    weights: &[f32],
    values: &[C],
    column: usize,
    out: &mut [f32],
) -> usize {
    let width = out.len();
    // SAFETY: the caller's promise.
    unsafe {
        let row = |s: usize, v: usize| values.as_ptr().add(s * width + column + v * V::LANES);
        let place = out.as_mut_ptr().add(column);
        let mut sums = [[V::splat(0.0); N]; 2];
        for (v, sum) in sums[0].iter_mut().enumerate() {
            *sum = V::load(place.add(v * V::LANES));
        }
        let (pairs, last) = weights.as_chunks::<2>();
        for (pair, weights) in pairs.iter().enumerate() {
            for (s, sums) in sums.iter_mut().enumerate() {
                let weight = V::splat(weights[s]);
                for (v, sum) in sums.iter_mut().enumerate() {
                    let row = row(2 * pair + s, v);
                    V::prefetch(row.wrapping_byte_add(AHEAD));
                    *sum = C::load::<V>(row).multiply_add(weight, *sum);
                }
            }
        }
        let one = V::splat(1.0);
        for (v, sum) in sums[0].into_iter().enumerate() {
            let mut sum = sums[1][v].multiply_add(one, sum);
            if let [weight] = last {
                let value = C::load::<V>(row(weights.len() - 1, v));
                sum = value.multiply_add(V::splat(*weight), sum);
            }
            sum.store(place.add(v * V::LANES));
        }
    }
    N
}
