//! A softmax that goes on from one block of scores to the next, and what one query sees through it.
//!
//! Source: Milakov & Gimelshein 2018, arXiv:1805.02867.

use super::exp::exp;

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

/// One query over keys and values (S, D). q, out: (D). `products(q, keys, scores)` writes q · keysᵀ. Inlined, to be compiled for the
/// caller's instructions.
#[inline(always)]
pub(super) fn attend_one(
    q: &[f32],
    keys: &[f32],
    values: &[f32],
    out: &mut [f32],
    products: impl Fn(&[f32], &[f32], &mut [f32]),
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
        weighted_sum(scores, values, out);
    }
    for out in out.iter_mut() {
        *out /= softmax.total;
    }
}

/// `out += Σ weights[s] · values[s]`, four rows at a time, so that `out` is loaded and stored a quarter as often. Inlined, to be
/// compiled for the caller's instructions.
///
/// weights: (S); values: (S, D); out: (D).
#[inline(always)]
pub(super) fn weighted_sum(weights: &[f32], values: &[f32], out: &mut [f32]) {
    let width = out.len();
    let (blocks, rest) = weights.as_chunks::<4>();
    let (block_values, rest_values) = values.split_at(blocks.len() * 4 * width);
    for ([a, b, c, d], rows) in blocks.iter().zip(block_values.chunks_exact(4 * width)) {
        let (first, second) = rows.split_at(2 * width);
        let (rows_ab, rows_cd) = (first.split_at(width), second.split_at(width));
        let rows = rows_ab
            .0
            .iter()
            .zip(rows_ab.1)
            .zip(rows_cd.0.iter().zip(rows_cd.1));
        for (out, ((va, vb), (vc, vd))) in out.iter_mut().zip(rows) {
            *out += (a * va + b * vb) + (c * vc + d * vd);
        }
    }
    for (weight, row) in rest.iter().zip(rest_values.chunks_exact(width)) {
        for (out, value) in out.iter_mut().zip(row) {
            *out += weight * value;
        }
    }
}
