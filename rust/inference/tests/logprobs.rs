//! Log-probabilities against the obvious way, a sort of all in f64; and that asking for them changes no token.

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

mod gpu_support;

use gpu_support::{SHAPES, gpu_engine, model};
use pocketlm_inference::generate::Step;
use pocketlm_inference::logprobs::Logprobs;
use pocketlm_inference::{Engine, Generator, Sampling};
use pollster::block_on;
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

fn steps(engine: &mut Engine, sampling: &Sampling, batch: u32, count: Option<u32>) -> Vec<Step> {
    let mut generator = Generator::start(engine, &[1, 2, 3], sampling.clone(), 30).unwrap();
    generator.set_batch(batch);
    generator.set_top_logprobs(count);
    let mut steps = Vec::new();
    while steps.last().is_none_or(|step: &Step| step.done.is_none()) {
        steps.push(block_on(generator.step(engine)).unwrap());
    }
    steps
}

/// Past the end of the context, too; each is compared with what the logits say of the whole text, read anew.
#[test]
fn a_token_is_told_with_what_the_model_said_before_it_on_both_backends() {
    let hot = Sampling {
        temperature: 1.3,
        repetition_penalty: 1.4,
        seed: 5,
        ..Sampling::GREEDY
    };
    for shape in SHAPES.into_iter().take(3) {
        let model = model(shape, 7);
        let cpu = Engine::cpu(model.clone()).unwrap();
        let gpu = Engine::Gpu(Box::new(gpu_engine(&model)));
        for mut engine in [cpu, gpu] {
            let plain = steps(&mut engine, &hot, 4, None);
            assert!(plain.iter().all(|step| step.logprobs.is_empty()));
            let told = steps(&mut engine, &hot, 4, Some(3));
            let ids = |steps: &[Step]| -> Vec<u32> {
                steps.iter().flat_map(|step| step.ids.clone()).collect()
            };
            assert_eq!(ids(&told), ids(&plain), "{}", engine.backend());
            assert!(
                told.iter()
                    .all(|step| step.logprobs.len() == step.ids.len())
            );
            let said: Vec<Logprobs> = told.into_iter().flat_map(|step| step.logprobs).collect();
            let room = said.len().min(shape.ctx_len as usize - 3);
            let text = [vec![1, 2, 3], ids(&plain)].concat();
            for (place, got) in said.iter().enumerate().take(room) {
                let mut fresh = Engine::cpu(model.clone()).unwrap();
                block_on(fresh.prefill(&text[..3 + place])).unwrap();
                let logits = block_on(fresh.last_logits()).unwrap();
                let want = Logprobs::of(&logits, text[3 + place], 3);
                let difference = (got.chosen - want.chosen).abs();
                assert!(
                    difference < 2e-3,
                    "{}: token {place}: {got:?}, expected {want:?}",
                    engine.backend()
                );
                assert_eq!(got.top.len(), want.top.len());
            }
        }
    }
}
