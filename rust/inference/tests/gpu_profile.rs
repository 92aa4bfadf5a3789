//! The profile: the same tokens as without, each kernel with its dispatches, a time and the bytes that it reads.

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

mod gpu_support;

use gpu_support::{SHAPES, Shape, engine_on, gpu_engine, model};
use pocketlm_inference::{EngineError, Sampling};
use pollster::block_on;

const PROMPT: [u32; 5] = [3, 1, 4, 1, 5];

#[test]
fn a_profile_is_of_the_tokens_that_are_otherwise_sampled() {
    let shape = Shape {
        vocab_size: 1 << 15,
        ..SHAPES[1]
    };
    let model = model(shape, 3);
    let sampling = Sampling {
        temperature: 0.9,
        top_k: 40,
        seed: 1,
        repetition_penalty: 1.1,
        ..Sampling::GREEDY
    };
    let mut gpu = gpu_engine(&model);
    block_on(gpu.prefill(&PROMPT)).unwrap();
    block_on(gpu.decode(&sampling, 4)).unwrap();
    let expected = block_on(gpu.last_logits()).unwrap();

    gpu.rewind(0).unwrap();
    let before = gpu.counts().dispatches;
    let kernels = block_on(gpu.profile(&PROMPT, &sampling, 4)).unwrap();
    assert_eq!(gpu.position(), 9);
    assert_eq!(block_on(gpu.last_logits()).unwrap(), expected);

    let dispatches: u32 = kernels.iter().map(|kernel| kernel.dispatches).sum();
    assert_eq!(dispatches, gpu.counts().dispatches - before);
    let names: Vec<_> = kernels.iter().map(|kernel| kernel.name).collect();
    let of = |name| kernels.iter().find(|kernel| kernel.name == name).unwrap();
    assert_eq!(
        names,
        [
            "embed",
            "norm_qkv_rope",
            "attention",
            "matmul_residual",
            "norm_gate_up_silu",
            "norm_logits",
            "adjust_logits",
            "survey_logits",
            "sample",
        ]
    );
    // Rows of 45 and 71 weights are padded to 48 and 72, halves of a head, 5 numbers, to 8.
    let (layers, runs, head) = (3, 5, 2 * 8 * 4);
    assert_eq!(of("norm_logits").bytes, runs * (1 << 15) * 48 * 4);
    assert_eq!(
        of("norm_gate_up_silu").bytes,
        runs * layers * 2 * 71 * 48 * 4
    );
    let seen = 5 + 6 + 7 + 8 + 9;
    assert_eq!(of("attention").bytes, layers * seen * 2 * 3 * head);
    assert_eq!(of("survey_logits").bytes, 4 * (1 << 15) * 4);
    assert!(kernels.iter().all(|kernel| kernel.nanoseconds >= 0.0));
    assert!(of("norm_logits").nanoseconds > 0.0);
}

#[test]
fn without_timestamps_a_profile_is_refused_and_nothing_is_read() {
    let model = model(SHAPES[1], 3);
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let plain =
        block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())).unwrap();
    let (device, queue) =
        block_on(plain.request_device(&wgpu::DeviceDescriptor::default())).unwrap();
    let mut gpu = engine_on(&model, device, queue);
    let refused = block_on(gpu.profile(&PROMPT, &Sampling::GREEDY, 1));
    assert!(
        matches!(refused, Err(EngineError::NoTimestamps { .. })),
        "{refused:?}"
    );
    assert_eq!(gpu.position(), 0);
}

#[test]
fn what_does_not_fit_or_has_no_logits_is_refused() {
    let model = model(SHAPES[1], 3);
    let mut gpu = gpu_engine(&model);
    let greedy = Sampling::GREEDY;
    assert_eq!(
        block_on(gpu.profile(&[], &greedy, 1)),
        Err(EngineError::NoLogits)
    );
    let full = block_on(gpu.profile(&[0; 50], &greedy, 41));
    assert!(
        matches!(full, Err(EngineError::ContextFull { tokens: 91, .. })),
        "{full:?}"
    );
}
