//! The budget of a token (docs/ARCHITECTURE.md): at most 6 dispatches a layer and 5 more, one pass, one submission, nothing created.
//!
//! The counts are complete because the device is private to the wrapper that counts (`gpu/context.rs`).

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

mod gpu_support;

use gpu_support::{SHAPES, Shape, gpu_engine, model};
use pocketlm_inference::Sampling;
use pocketlm_inference::gpu::{Counts, GpuEngine};
use pocketlm_inference::limits::RING;
use pollster::block_on;

fn sampling() -> Sampling {
    Sampling {
        temperature: 0.8,
        top_k: 40,
        top_p: 0.9,
        min_p: 0.05,
        seed: 1,
        ..Sampling::GREEDY
    }
}

fn counted(gpu: &mut GpuEngine, run: impl FnOnce(&mut GpuEngine)) -> Counts {
    let before = gpu.counts();
    run(gpu);
    let after = gpu.counts();
    Counts {
        dispatches: after.dispatches - before.dispatches,
        passes: after.passes - before.passes,
        submits: after.submits - before.submits,
        creations: after.creations - before.creations,
    }
}

#[test]
fn a_token_is_within_the_budget() {
    for shape in SHAPES {
        let model = model(shape, 1);
        let mut gpu = gpu_engine(&model);
        block_on(gpu.prefill(&[0])).unwrap();
        let token = counted(&mut gpu, |gpu| {
            drop(block_on(gpu.decode(&sampling(), 1)).unwrap())
        });
        let layer = 5 + u32::from(shape.architecture.has_qk_norm());
        assert!(token.dispatches <= 6 * shape.n_layer + 5, "{token:?}");
        assert_eq!(
            token,
            Counts {
                dispatches: layer * shape.n_layer + 3,
                passes: 1,
                submits: 1,
                creations: 0
            }
        );
    }
}

#[test]
fn a_batch_shares_one_pass_and_one_submission() {
    let shape = SHAPES[1];
    let mut gpu = gpu_engine(&model(shape, 1));
    block_on(gpu.prefill(&[0])).unwrap();
    let batch = counted(&mut gpu, |gpu| {
        drop(block_on(gpu.decode(&sampling(), RING)).unwrap())
    });
    let dispatches = RING * (5 * shape.n_layer + 3);
    assert_eq!(
        batch,
        Counts {
            dispatches,
            passes: 1,
            submits: 1,
            creations: 0
        }
    );
    let two = counted(&mut gpu, |gpu| {
        drop(block_on(gpu.decode(&sampling(), RING + 1)).unwrap())
    });
    assert_eq!((two.submits, two.creations), (2, 0));
}

#[test]
fn penalties_are_one_dispatch_more() {
    let shape = SHAPES[1];
    let mut gpu = gpu_engine(&model(shape, 1));
    block_on(gpu.prefill(&[0])).unwrap();
    for set in [
        |s: &mut Sampling| s.repetition_penalty = 1.1,
        |s: &mut Sampling| s.presence_penalty = 0.1,
        |s: &mut Sampling| s.frequency_penalty = 0.1,
        |s: &mut Sampling| s.logit_bias = vec![(0, 1.0)],
    ] {
        let mut penalised = sampling();
        set(&mut penalised);
        let batch = counted(&mut gpu, |gpu| {
            drop(block_on(gpu.decode(&penalised, 2)).unwrap())
        });
        assert_eq!(
            batch,
            Counts {
                dispatches: 2 * (5 * shape.n_layer + 4),
                passes: 1,
                submits: 1,
                creations: 0
            }
        );
    }
}

#[test]
fn a_large_vocabulary_is_surveyed_in_one_dispatch_more() {
    let shape = Shape {
        vocab_size: 1 << 15,
        ..SHAPES[1]
    };
    let mut gpu = gpu_engine(&model(shape, 1));
    block_on(gpu.prefill(&[0])).unwrap();
    let token = counted(&mut gpu, |gpu| {
        drop(block_on(gpu.decode(&sampling(), 1)).unwrap())
    });
    assert_eq!(token.dispatches, 5 * shape.n_layer + 4);
}

#[test]
fn a_prompt_is_one_submission_a_chunk() {
    let shape = SHAPES[2];
    let mut gpu = gpu_engine(&model(shape, 1));
    let prompt = counted(&mut gpu, |gpu| block_on(gpu.prefill(&[0; 130])).unwrap());
    // 64 + 64 + 2 tokens, and logits only of the last.
    let dispatches = 3 * (5 * shape.n_layer + 1) + 1;
    assert_eq!(
        prompt,
        Counts {
            dispatches,
            passes: 3,
            submits: 3,
            creations: 0
        }
    );
}

#[test]
fn loading_creates_everything() {
    let gpu = gpu_engine(&model(SHAPES[2], 1));
    assert!(
        gpu.counts().creations > 0,
        "the counter of creations counts"
    );
}
