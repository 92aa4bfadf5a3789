//! Whole models by every set of instructions that this processor has: the logits are the portable loop's, but for rounding.

extern crate alloc;

mod engine_support;
mod model_writer;
mod shapes;

use alloc::sync::Arc;

use engine_support::isas;
use model_writer::{File, Random};
use pocketlm_inference::cpu::{CpuEngine, Isa, OneThread};
use pocketlm_inference::{Cache, Model};
use proptest::prelude::*;
use shapes::shape;

/// The logits (T, V) of a prompt that is read at once, then those of tokens that are read one by one.
fn logits(
    model: &Arc<Model>,
    cache: Cache,
    isa: Isa,
    prompt: &[u32],
    alone: &[u32],
) -> Vec<Vec<f32>> {
    let mut engine = CpuEngine::new(model.clone(), Some(cache), isa, Arc::new(OneThread)).unwrap();
    let vocab_size = model.config().vocab_size as usize;
    let mut logits: Vec<Vec<f32>> = engine
        .logits(prompt)
        .unwrap()
        .chunks(vocab_size)
        .map(<[f32]>::to_vec)
        .collect();
    for id in alone {
        logits.push(engine.logits(&[*id]).unwrap());
    }
    logits
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn logits_are_the_portable_loops(shape in shape(), seed: u64, tokens in 1usize..40, f16_cache: bool) {
        let model = Arc::new(Model::parse(File::normal(shape, seed).bytes()).unwrap());
        let ids = Random(seed).ids(tokens + 5, shape.vocab_size);
        let (prompt, alone) = ids.split_at(tokens);
        let cache = if f16_cache { Cache::F16 } else { Cache::F32 };
        let expected = logits(&model, cache, Isa::PORTABLE, prompt, alone);
        // f32 sums in another order; activations of 16 bits; a key or value that is rounded to the f16 beside.
        let rounded = f16_cache || shape.dtype.block() > 1;
        let allowed = if rounded { 1e-2 } else { 1e-4 };
        for isa in isas() {
            let got = logits(&model, cache, isa, prompt, alone);
            for (token, (got, expected)) in got.iter().zip(&expected).enumerate() {
                let n = expected.len() as f32;
                let mean = expected.iter().sum::<f32>() / n;
                let deviation = (expected.iter().map(|z| (z - mean) * (z - mean)).sum::<f32>() / n).sqrt();
                for (id, (got, expected)) in got.iter().zip(expected).enumerate() {
                    prop_assert!(
                        (got - expected).abs() <= allowed * deviation.max(0.1),
                        "{}, token {token} of {tokens} and 5, logit {id}: expected {expected}, got {got}, spread {deviation}; {shape:?}",
                        isa.name()
                    );
                }
            }
        }
    }
}

/// The portable loop, of which nothing else would be a twin, comes first; `--nocapture` tells what comes after it.
#[test]
fn what_is_compared() {
    let names: Vec<_> = isas().into_iter().map(Isa::name).collect();
    println!("{names:?}");
    assert_eq!(names[0], "portable");
}
