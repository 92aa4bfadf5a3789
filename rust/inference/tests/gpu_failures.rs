//! What goes wrong on a GPU is an error with the right kind; it never panics and never hangs.

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

mod gpu_support;

use std::sync::Arc;

use gpu_support::{SHAPES, Shape, adapter, engine_on, model, model_file};
use pocketlm_inference::gpu::{Adapter, Dtypes, GpuEngine, Phase, largest_binding, request};
use pocketlm_inference::{Cache, EngineError, Model, Sampling};
use pollster::block_on;

#[test]
fn a_lost_device_is_reported_by_every_later_call() {
    let model = model(SHAPES[1], 1);
    let Adapter { device, queue, .. } = adapter(&model);
    let mut gpu = engine_on(&model, device.clone(), queue);
    block_on(gpu.prefill(&[1, 2])).unwrap();
    device.destroy();
    let errors = [
        block_on(gpu.decode(&Sampling::GREEDY, 3)).err(),
        block_on(gpu.prefill(&[1])).err(),
        block_on(gpu.logits(&[1])).err(),
    ];
    for error in errors {
        let error = error.expect("the device is lost");
        assert_eq!(error.kind(), "device-lost", "{error}");
    }
}

#[test]
fn logits_that_are_not_numbers_end_the_generation() {
    // Weights near the largest float overflow in the first matrix multiplication.
    let shape = SHAPES[2];
    let model = model(shape, 2);
    let mut file = model_file(shape, 2, model.golden().logits);
    file.fill(
        "model.layers.0.self_attn.v_proj.weight",
        &3e38f32.to_le_bytes(),
    );
    let model = Arc::new(Model::parse(file.bytes()).unwrap());
    let Adapter { device, queue, .. } = adapter(&model);
    // The warm-up samples a token, so that it is loading that fails.
    let error = block_on(GpuEngine::new(model, None, device, queue, |_, _| {}))
        .err()
        .expect("bad logits");
    assert_eq!(error, EngineError::BadLogits { index: 0 });
}

#[test]
fn a_tensor_larger_than_the_devices_limit_is_refused_by_name_before_anything_is_allocated() {
    // 140 MB of embedding, where WebGPU's default for one binding is 134 MB.
    let shape = Shape {
        d_model: 1000,
        vocab_size: 35_000,
        d_ff: 4,
        n_layer: 1,
        ..SHAPES[1]
    };
    let model = Arc::new(Model::parse(model_file(shape, 3, &vec![0.0; 35_000]).bytes()).unwrap());
    assert_eq!(
        largest_binding(model.config(), Cache::F32, &Dtypes::of(&model)),
        140_000_000
    );
    // A device asked for a small model has the default limits.
    let Adapter { device, queue, .. } = adapter(&self::model(SHAPES[0], 1));
    let error = block_on(GpuEngine::new(model, None, device, queue, |_, _| {}))
        .err()
        .expect("too large");
    assert!(
        matches!(&error, EngineError::NoAdapter { reason, .. } if reason.contains("embedding")),
        "{error}"
    );
    assert_eq!(error.kind(), "no-engine");
}

#[test]
fn no_adapter_is_an_error_with_a_reason() {
    let descriptor = wgpu::InstanceDescriptor {
        backends: wgpu::Backends::empty(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    };
    let error = block_on(request(
        &wgpu::Instance::new(descriptor),
        &model(SHAPES[0], 1),
        None,
    ))
    .err()
    .expect("no adapter");
    assert!(
        matches!(error, EngineError::NoAdapter { backend: "gpu", .. }),
        "{error}"
    );
}

#[test]
fn loading_tells_its_progress_in_order_and_to_the_end() {
    let model = model(SHAPES[1], 4);
    let Adapter { device, queue, .. } = adapter(&model);
    let mut told = Vec::new();
    block_on(GpuEngine::new(
        model,
        None,
        device,
        queue,
        |phase, fraction| told.push((phase, fraction)),
    ))
    .unwrap();
    let warm_up = told
        .iter()
        .position(|(phase, _)| *phase == Phase::WarmUp)
        .expect("a warm-up");
    for part in [&told[..warm_up], &told[warm_up..]] {
        assert!(part.iter().all(|(phase, _)| *phase == part[0].0));
        assert!(part.is_sorted_by(|a, b| a.1 <= b.1), "{part:?}");
        assert_eq!(part.last().map(|(_, fraction)| *fraction), Some(1.0));
    }
}
