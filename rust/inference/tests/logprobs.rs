//! Log-probabilities against the obvious way, a sort of all in f64.

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

use pocketlm_inference::logprobs::Logprobs;
use proptest::prelude::*;

/// Every token with its log-probability, the likeliest first; of equal logits the lowest id first.
fn all(logits: &[f32]) -> Vec<(u32, f64)> {
    let sum: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
    let mut all: Vec<(u32, f64)> = (0..)
        .zip(logits)
        .map(|(id, logit)| (id, f64::from(*logit) - sum.ln()))
        .collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    all
}

fn assert_said(got: &Logprobs, logits: &[f32], chosen: u32, count: usize) {
    let want = all(logits);
    let mut pairs = vec![(
        got.chosen,
        want[want.iter().position(|(id, _)| *id == chosen).unwrap()].1,
    )];
    assert_eq!(got.top.len(), count.min(logits.len()));
    for ((id, logprob), (wanted, expected)) in got.top.iter().zip(&want) {
        assert_eq!(id, wanted);
        pairs.push((*logprob, *expected));
    }
    for (got, expected) in pairs {
        let tolerance = 1e-5 * expected.abs().max(1.0);
        assert!(
            (f64::from(got) - expected).abs() < tolerance,
            "{got}, expected {expected}"
        );
    }
}

proptest! {
    /// Logits from a few values, so that many are equal.
    #[test]
    fn they_are_those_of_a_sort(
        logits in prop::collection::vec(prop_oneof![-30f32..30.0, (0u8..4).prop_map(f32::from)], 1..70),
        chosen in any::<prop::sample::Index>(),
        count in 0usize..12,
    ) {
        let chosen = chosen.index(logits.len());
        assert_said(&Logprobs::of(&logits, chosen as u32, count), &logits, chosen as u32, count);
    }
}
