//! A softmax that goes on from one block of scores to the next.
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
