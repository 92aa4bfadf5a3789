//! The engine on several threads: bit for bit what one thread computes.

#![allow(
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "tests have std"
)]

mod engine_support;
mod model_writer;
mod shapes;

use std::sync::Arc;
use std::thread;

use engine_support::isas;
use model_writer::{File, Random};
use pocketlm_inference::cpu::{CpuEngine, Isa, OneThread, Threads};
use pocketlm_inference::{Model, Sampling};
use proptest::prelude::*;
use shapes::shape;

/// New threads for every piece of work: slow, and as obvious as can be.
struct Scoped(usize);

impl Threads for Scoped {
    fn count(&self) -> usize {
        self.0
    }

    fn run(&self, work: &(dyn Fn() + Sync)) {
        thread::scope(|scope| {
            for _ in 1..self.0 {
                scope.spawn(work);
            }
            work();
        });
    }
}

/// The bits of the logits of a prompt, and the ids that are sampled after it.
fn computed(
    model: &Arc<Model>,
    isa: Isa,
    threads: Arc<dyn Threads>,
    prompt: &[u32],
) -> (Vec<u32>, Vec<u32>) {
    let mut engine = CpuEngine::new(model.clone(), None, isa, threads).unwrap();
    let logits = engine.logits(prompt).unwrap();
    let sampling = Sampling {
        temperature: 1.0,
        ..Sampling::GREEDY
    };
    let ids = engine.decode(&sampling, 3).unwrap();
    let last = engine.last_logits().unwrap();
    let bits = logits.iter().chain(last).map(|logit| logit.to_bits());
    (bits.collect(), ids)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn threads_change_no_bit(shape in shape(), seed: u64, tokens in 1usize..140) {
        let model = Arc::new(Model::parse(File::normal(shape, seed).bytes()).unwrap());
        let prompt = Random(seed).ids(tokens, shape.vocab_size);
        for isa in isas() {
            let expected = computed(&model, isa, Arc::new(OneThread), &prompt);
            for threads in [2, 5] {
                let got = computed(&model, isa, Arc::new(Scoped(threads)), &prompt);
                prop_assert!(got == expected, "{} threads, {}, {shape:?}", threads, isa.name());
            }
        }
    }
}
