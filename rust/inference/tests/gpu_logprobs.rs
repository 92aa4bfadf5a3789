//! Asking for log-probabilities changes no token, on both backends, and each is what the logits of the whole text say.

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

mod gpu_support;

use gpu_support::{SHAPES, Shape, gpu_engine, model};
use pocketlm_inference::generate::Step;
use pocketlm_inference::logprobs::Logprobs;
use pocketlm_inference::{Engine, Generator, Sampling};
use pollster::block_on;

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
    let roomy = |shape: &Shape| shape.vocab_size > 3 && shape.ctx_len > 8;
    for shape in SHAPES.into_iter().filter(roomy).take(3) {
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
