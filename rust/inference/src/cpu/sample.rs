//! Sampling one token from a row of logits, without a sort, so that the GPU can do exactly the same.
//!
//! A set of "the likeliest tokens" is given by a threshold: all logits above it, and of those equal to it the ones with the lowest
//! ids. Logits are mapped to u32 keys of the same order, and the threshold is found by bisection over the 32 bits of the
//! key: by counting for top-k, by summing probability for top-p; min-p names it outright. Then the cumulative sum, in the order of ids, is compared with
//! a random number. O(32 · V) at worst, no memory but the weights.

use super::exp::exp;
use crate::error::EngineError;
use crate::sampling::{Sampling, random_unit};

/// Sample one token id from `logits` (V, unnormalised) for the token that will stand at `position`.
///
/// Order: temperature, then top-k, then top-p, then min-p, then inverse CDF. `temperature == 0` is argmax; the lowest id wins a tie.
/// `weights`: (V), scratch.
///
/// # Errors
/// [`EngineError::BadLogits`] if any value is NaN or +infinity.
pub fn sample(
    logits: &[f32],
    sampling: &Sampling,
    position: u32,
    weights: &mut [f32],
) -> Result<u32, EngineError> {
    let likeliest = argmax(logits)?;
    if sampling.temperature == 0.0 || sampling.top_k == 1 {
        return Ok(likeliest as u32);
    }
    let largest = logits[likeliest];
    for (weight, logit) in weights.iter_mut().zip(logits) {
        *weight = exp((logit - largest) / sampling.temperature);
    }
    if sampling.top_k > 0 && (sampling.top_k as usize) < logits.len() {
        keep_top_k(logits, sampling.top_k as usize, weights);
    }
    if sampling.top_p < 1.0 {
        keep_top_p(logits, sampling.top_p, weights);
    }
    let range = sampling.logit_range();
    if range < f32::MAX {
        // By the keys, as on the GPU, so that both keep the same tokens.
        let floor = key(largest - range);
        for (logit, weight) in logits.iter().zip(weights.iter_mut()) {
            if key(*logit) < floor {
                *weight = 0.0;
            }
        }
    }
    let target = random_unit(sampling.seed, position) * weights.iter().sum::<f32>();
    let mut cumulative = 0.0;
    let mut last = likeliest;
    for (id, weight) in weights
        .iter()
        .enumerate()
        .filter(|(_, weight)| **weight > 0.0)
    {
        cumulative += weight;
        last = id;
        if cumulative > target {
            break;
        }
    }
    Ok(last as u32)
}

/// Index of the largest logit, the lowest one on a tie.
fn argmax(logits: &[f32]) -> Result<usize, EngineError> {
    let mut best = 0;
    for (index, logit) in logits.iter().enumerate() {
        if logit.is_nan() || *logit == f32::INFINITY {
            return Err(EngineError::BadLogits { index });
        }
        if *logit > logits[best] {
            best = index;
        }
    }
    Ok(best)
}

/// A u32 that orders as the float does; −0 and +0 have the same key.
fn key(logit: f32) -> u32 {
    let bits = if logit == 0.0 { 0 } else { logit.to_bits() };
    if bits >> 31 == 1 {
        !bits
    } else {
        bits | 0x8000_0000
    }
}

/// The largest threshold for which `enough(threshold)` holds; it holds for 0 and, once false, stays false.
fn bisect(mut enough: impl FnMut(u32) -> bool) -> u32 {
    let mut threshold = 0;
    for bit in (0..32).rev() {
        let candidate = threshold | (1 << bit);
        if enough(candidate) {
            threshold = candidate;
        }
    }
    threshold
}

/// Zero the weights of all but the k largest logits; ties go to the lowest ids.
fn keep_top_k(logits: &[f32], k: usize, weights: &mut [f32]) {
    let threshold = bisect(|candidate| {
        logits
            .iter()
            .filter(|logit| key(**logit) >= candidate)
            .count()
            >= k
    });
    let above = logits
        .iter()
        .filter(|logit| key(**logit) > threshold)
        .count();
    let mut ties = k - above;
    for (logit, weight) in logits.iter().zip(weights) {
        let key = key(*logit);
        if key < threshold || (key == threshold && ties == 0) {
            *weight = 0.0;
        } else if key == threshold {
            ties -= 1;
        }
    }
}

/// Zero the weights outside the smallest set of largest logits that has at least `top_p` of all weight; ties go to the lowest ids.
fn keep_top_p(logits: &[f32], top_p: f32, weights: &mut [f32]) {
    let wanted = top_p * weights.iter().sum::<f32>();
    let mass_from = |threshold: u32, weights: &[f32]| -> f32 {
        logits
            .iter()
            .zip(weights)
            .filter(|(logit, _)| key(**logit) >= threshold)
            .map(|(_, weight)| weight)
            .sum()
    };
    let threshold = bisect(|candidate| mass_from(candidate, weights) >= wanted);
    let mut mass = if threshold == u32::MAX {
        0.0
    } else {
        mass_from(threshold + 1, weights)
    };
    for (logit, weight) in logits.iter().zip(weights.iter_mut()) {
        let key = key(*logit);
        if key < threshold || (key == threshold && mass >= wanted) {
            *weight = 0.0;
        } else if key == threshold {
            mass += *weight;
        }
    }
}
