//! What the model said of a token before any of the sampling took effect: its log-probability, and the likeliest tokens in its place.

use alloc::vec::Vec;

use crate::cpu::exp::exp;

/// Natural logarithms of probabilities among all V tokens, from the raw logits.
#[derive(Debug, Clone, PartialEq)]
pub struct Logprobs {
    /// That of the token itself.
    pub chosen: f32,
    /// The likeliest tokens with theirs, the likeliest first; of equal ones the lowest id first.
    pub top: Vec<(u32, f32)>,
}

impl Logprobs {
    /// Of the token `chosen` and of the `count` likeliest ones, from its row of `logits` (V). O(V) where few are likelier than those before.
    ///
    /// # Panics
    /// Where `chosen` is not below V.
    ///
    /// ```
    /// use pocketlm_inference::logprobs::Logprobs;
    /// let said = Logprobs::of(&[0.0, 3f32.ln(), 0.0], 2, 1);
    /// assert!((said.chosen - 0.2f32.ln()).abs() < 1e-6);
    /// assert_eq!((said.top.len(), said.top[0].0), (1, 1));
    /// ```
    pub fn of(logits: &[f32], chosen: u32, count: usize) -> Self {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        // In f64: a large vocabulary's small terms would be lost beside the sum.
        let sum: f64 = logits
            .iter()
            .map(|logit| f64::from(exp(logit - largest)))
            .sum();
        let log_sum = libm::logf(sum as f32);
        let logprob = |logit: f32| logit - largest - log_sum;
        let mut top: Vec<(u32, f32)> = Vec::with_capacity(count + 1);
        for (id, logit) in logits.iter().copied().enumerate() {
            if top.len() == count && top.last().is_none_or(|(_, least)| logit <= *least) {
                continue;
            }
            let place = top.partition_point(|(_, other)| *other >= logit);
            top.insert(place, (id as u32, logit));
            top.truncate(count);
        }
        for (_, logit) in &mut top {
            *logit = logprob(*logit);
        }
        Self {
            chosen: logprob(logits[chosen as usize]),
            top,
        }
    }
}
