//! Sampling without a sort against the obvious way with one, and the random numbers against known answers.

use pocketlm_inference::EngineError;
use pocketlm_inference::Sampling;
use pocketlm_inference::cpu::ops::sample;
use pocketlm_inference::sampling::{pcg, random_u32, random_unit};
use proptest::prelude::*;

fn draw(logits: &[f32], sampling: Sampling, position: u32) -> u32 {
    sample(logits, &sampling, position, &mut vec![0.0; logits.len()]).unwrap()
}

/// The tokens that top-k, top-p and min-p keep, by sorting: (id, probability before renormalising), in the order of ids.
fn kept_by_sorting(logits: &[f32], sampling: &Sampling) -> Vec<(u32, f64)> {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|a, b| logits[*b].partial_cmp(&logits[*a]).unwrap().then(a.cmp(b)));
    if sampling.top_k > 0 {
        order.truncate(sampling.top_k as usize);
    }
    let largest = f64::from(logits[order[0]]);
    let weight =
        |id: usize| ((f64::from(logits[id]) - largest) / f64::from(sampling.temperature)).exp();
    let total: f64 = order.iter().map(|id| weight(*id)).sum();
    let mut mass = 0.0;
    let mut kept = Vec::new();
    for id in order {
        if mass >= f64::from(sampling.top_p) * total || weight(id) < f64::from(sampling.min_p) {
            break;
        }
        mass += weight(id);
        kept.push((id as u32, weight(id)));
    }
    kept.sort_by_key(|(id, _)| *id);
    kept
}

/// Logits on a coarse grid, so that ties are common, and sums in f32 are exact enough to compare thresholds.
fn logits() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec((-12i8..12).prop_map(|n| f32::from(n) * 0.25), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn like_the_sort(logits in logits(), temperature in 0.3f32..3.0, top_k in 0u32..70, top_p in 0.05f32..1.0, min_p in prop_oneof![Just(0.0f32), 0.0f32..1.0, Just(1.0f32)], seed: u32, position in 0u32..2000) {
        let sampling = Sampling { temperature, top_k, top_p, min_p, seed, ..Sampling::GREEDY };
        let kept = kept_by_sorting(&logits, &sampling);
        let total: f64 = kept.iter().map(|(_, weight)| weight).sum();
        let u = f64::from(random_unit(seed, position));
        let got = draw(&logits, sampling.clone(), position);
        let mut cumulative = 0.0;
        let mut accepted = Vec::new();
        // A boundary within f32's rounding of u may fall on either side.
        for (id, weight) in &kept {
            let (start, end) = (cumulative / total, (cumulative + weight) / total);
            if start - 1e-5 <= u && u <= end + 1e-5 {
                accepted.push(*id);
            }
            cumulative += weight;
        }
        // Where the mass of top-p or min-p's floor is reached within rounding, one token more or less is kept, and the sum changes.
        let nudged = |factor: f32| kept_by_sorting(&logits, &Sampling { top_p: top_p * factor, min_p: min_p * factor, ..sampling.clone() }).len();
        prop_assume!((top_p == 1.0 && min_p == 0.0) || min_p == 1.0 || (nudged(1.0 - 1e-5) == kept.len() && nudged(1.0 + 1e-5) == kept.len()));
        prop_assert!(accepted.contains(&got), "got {got}, accepted {accepted:?}, kept {kept:?}, u {u}");
    }

    #[test]
    fn greedy_is_the_first_largest(logits in logits(), seed: u32) {
        let first_largest = (0..logits.len()).fold(0, |best, id| if logits[id] > logits[best] { id } else { best }) as u32;
        prop_assert_eq!(draw(&logits, Sampling { seed, ..Sampling::GREEDY }, 5), first_largest);
        prop_assert_eq!(draw(&logits, Sampling { temperature: 1.0, top_k: 1, top_p: 1.0, seed, ..Sampling::GREEDY }, 5), first_largest);
        prop_assert_eq!(draw(&logits, Sampling { temperature: 1.0, top_k: 0, top_p: 1e-6, seed, ..Sampling::GREEDY }, 5), first_largest);
        prop_assert_eq!(draw(&logits[first_largest as usize..], Sampling { temperature: 1.0, min_p: 1.0, top_p: 1e-6, seed, ..Sampling::GREEDY }, 5), 0);
    }
}

#[test]
fn ties_go_to_the_lowest_ids() {
    let logits = [1.0, 3.0, 2.0, 3.0, 2.0, 2.0];
    let seen = |top_k: u32, top_p: f32| -> Vec<u32> {
        let mut ids: Vec<u32> = (0..400)
            .map(|p| {
                draw(
                    &logits,
                    Sampling {
                        temperature: 9.0,
                        top_k,
                        top_p,
                        seed: 3,
                        ..Sampling::GREEDY
                    },
                    p,
                )
            })
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    };
    assert_eq!(seen(1, 1.0), [1]);
    assert_eq!(seen(2, 1.0), [1, 3]);
    assert_eq!(seen(3, 1.0), [1, 2, 3]);
    assert_eq!(seen(4, 1.0), [1, 2, 3, 4]);
    assert_eq!(seen(0, 1.0), [0, 1, 2, 3, 4, 5]);
    assert_eq!(seen(100, 1.0), [0, 1, 2, 3, 4, 5]);
    assert_eq!(seen(0, 0.3), [1, 3]);
    assert_eq!(seen(0, 0.5), [1, 2, 3]);
}

#[test]
fn minus_zero_ties_with_zero_and_minus_infinity_is_never_drawn() {
    let two = |logits: &[f32]| -> Vec<u32> {
        (0..200)
            .map(|p| {
                draw(
                    logits,
                    Sampling {
                        temperature: 1.0,
                        top_k: 1,
                        top_p: 1.0,
                        seed: 1,
                        ..Sampling::GREEDY
                    },
                    p,
                )
            })
            .collect()
    };
    assert!(two(&[-0.0, 0.0]).iter().all(|id| *id == 0));
    assert!(two(&[0.0, -0.0]).iter().all(|id| *id == 0));
    let logits = [f32::NEG_INFINITY, 1.0, f32::NEG_INFINITY, 1.0];
    for position in 0..200 {
        let id = draw(
            &logits,
            Sampling {
                temperature: 1.0,
                top_k: 3,
                top_p: 0.99,
                seed: 8,
                ..Sampling::GREEDY
            },
            position,
        );
        assert!(id == 1 || id == 3);
    }
}

#[test]
fn frequencies_follow_the_probabilities() {
    let logits = [0.0, 1.0, -1.0, 2.0, 0.5];
    let weights: Vec<f64> = logits
        .iter()
        .map(|logit: &f32| f64::from(*logit).exp())
        .collect();
    let total: f64 = weights.iter().sum();
    let draws = 40_000;
    let mut counts = [0u32; 5];
    for position in 0..draws {
        counts[draw(
            &logits,
            Sampling {
                temperature: 1.0,
                top_k: 0,
                top_p: 1.0,
                seed: 42,
                ..Sampling::GREEDY
            },
            position,
        ) as usize] += 1;
    }
    // Chi-square with 4 degrees of freedom: above 23.5 once in 10,000 seeds; this seed is fixed.
    let chi_square: f64 = counts
        .iter()
        .zip(&weights)
        .map(|(count, weight)| {
            let expected = f64::from(draws) * weight / total;
            (f64::from(*count) - expected).powi(2) / expected
        })
        .sum();
    assert!(chi_square < 23.5, "{counts:?}: {chi_square}");
}

#[test]
fn not_finite_logits_are_errors() {
    for bad in [f32::NAN, f32::INFINITY] {
        for index in 0..3 {
            let mut logits = [1.0, 2.0, 3.0];
            logits[index] = bad;
            let result = sample(&logits, &Sampling::GREEDY, 0, &mut [0.0; 3]);
            assert_eq!(result, Err(EngineError::BadLogits { index }));
        }
    }
}

#[test]
fn bounds_of_the_options() {
    let checked = |set: &dyn Fn(&mut Sampling)| {
        let mut sampling = Sampling {
            temperature: 1.0,
            ..Sampling::GREEDY
        };
        set(&mut sampling);
        sampling.check(9)
    };
    /// A name, what sets it, values within its bounds and values outside.
    type Field = (
        &'static str,
        fn(&mut Sampling, f32),
        &'static [f32],
        &'static [f32],
    );
    let fields: [Field; 6] = [
        (
            "temperature",
            |s, x| s.temperature = x,
            &[0.0, 1e9],
            &[-0.1],
        ),
        ("top_p", |s, x| s.top_p = x, &[1e-9, 1.0], &[0.0, 1.1]),
        ("min_p", |s, x| s.min_p = x, &[0.0, 1.0], &[-0.1, 1.1]),
        (
            "repetition_penalty",
            |s, x| s.repetition_penalty = x,
            &[0.01, 1.0, 100.0],
            &[0.0, -1.0, 101.0],
        ),
        (
            "presence_penalty",
            |s, x| s.presence_penalty = x,
            &[-2.0, 0.0, 100.0],
            &[101.0],
        ),
        (
            "frequency_penalty",
            |s, x| s.frequency_penalty = x,
            &[-100.0, 0.0, 2.0],
            &[-101.0],
        ),
    ];
    for (name, set, good, bad) in fields {
        for number in good {
            assert_eq!(checked(&|s| set(s, *number)), Ok(()), "{name} {number}");
        }
        for number in bad
            .iter()
            .chain(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY])
        {
            let result = checked(&|s| set(s, *number));
            assert!(
                matches!(result, Err(EngineError::BadSampling { field, .. }) if field == name),
                "{name} {number}: {result:?}"
            );
        }
    }
    let bias = |list: &[(u32, f32)]| checked(&|s| s.logit_bias = list.to_vec());
    let forbid_below = |n: u32| (0..n).map(|id| (id, f32::NEG_INFINITY)).collect::<Vec<_>>();
    assert_eq!(bias(&[(8, -1.5), (8, 3.0), (0, f32::NEG_INFINITY)]), Ok(()));
    assert_eq!(bias(&forbid_below(8)), Ok(()));
    assert_eq!(bias(&[forbid_below(8), forbid_below(8)].concat()), Ok(()));
    assert_eq!(
        bias(&[(1, 2.0), (9, 1.0)]),
        Err(EngineError::TokenOutOfRange {
            index: 1,
            id: 9,
            vocab_size: 9
        })
    );
    assert_eq!(
        bias(&[(3, f32::INFINITY)]),
        Err(EngineError::BadLogitBias {
            id: 3,
            got: f32::INFINITY
        })
    );
    assert!(matches!(
        bias(&[(3, f32::NAN)]),
        Err(EngineError::BadLogitBias { id: 3, .. })
    ));
    assert_eq!(
        bias(&forbid_below(9)),
        Err(EngineError::NothingToSample { vocab_size: 9 })
    );
}

/// Computed with a few lines of Python from the paper's listing.
#[test]
fn random_numbers_have_known_values() {
    assert_eq!(
        [0, 1, 2, 0xffff_ffff].map(pcg),
        [129_708_002, 2_831_084_092, 2_055_130_248, 3_861_530_882]
    );
    assert_eq!(
        [(0, 0), (0, 1), (1, 0), (123, 456)].map(|(seed, position)| random_u32(seed, position)),
        [817_759_070, 3_911_864_714, 1_583_546_800, 1_084_143_044]
    );
}

#[test]
fn random_units_are_even_and_differ_between_seeds() {
    let mut buckets = [0u32; 16];
    for position in 0..16_000 {
        buckets[(random_unit(7, position) * 16.0) as usize] += 1;
    }
    assert!(
        buckets.iter().all(|count| (850..1150).contains(count)),
        "{buckets:?}"
    );
    let equal = (0..1000)
        .filter(|position| random_u32(1, *position) == random_u32(2, *position))
        .count();
    assert_eq!(equal, 0);
    assert!((0..100_000).all(|position| random_unit(position, position) < 1.0));
}
