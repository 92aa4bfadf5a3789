//! Penalties and biases: the logits that they concern, changed in place before a token is sampled.

use crate::adjustments::{Adjustments, IN_PROMPT};

/// Change the logits (V) of the tokens in the list: repetition penalty, then frequency and presence penalty, then bias.
///
/// What is not finite stays as it is: [`sample`](super::ops::sample) says what is wrong with it.
pub fn adjust_logits(logits: &mut [f32], adjustments: &Adjustments) {
    let penalties = adjustments.penalties();
    for one in adjustments.list() {
        let logit = &mut logits[one.id as usize];
        if !logit.is_finite() {
            continue;
        }
        if one.seen > 0 {
            if *logit > 0.0 {
                *logit /= penalties.repetition;
            } else {
                *logit *= penalties.repetition;
            }
        }
        let count = one.seen & !IN_PROMPT;
        if count > 0 {
            *logit -= penalties.frequency * count as f32 + penalties.presence;
        }
        *logit += one.bias;
    }
}
