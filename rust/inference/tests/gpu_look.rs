//! Looking at a text on the GPU: what the CPU sees, in every family, with a cache of one kind and the other by turns.

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

mod gpu_support;

use std::sync::Arc;

use gpu_support::{Random, SHAPES, assert_close, forced_engine, model};
use pocketlm_inference::cpu::{Isa, OneThread};
use pocketlm_inference::engine::tolerance;
use pocketlm_inference::gpu::Forced;
use pocketlm_inference::{Cache, Engine, look};
use pollster::block_on;

#[test]
fn the_gpu_sees_what_the_cpu_sees() {
    for (shape, cache) in SHAPES
        .into_iter()
        .zip([Cache::F32, Cache::F16].into_iter().cycle())
    {
        let model = model(shape, 11);
        let on_gpu = forced_engine(&model, Some(cache), Forced::default());
        let mut gpu = Engine::Gpu(Box::new(on_gpu));
        let one = Arc::new(OneThread);
        let mut cpu = Engine::cpu_with(model.clone(), Some(cache), Isa::PORTABLE, one).unwrap();
        let n = shape.ctx_len.min(41) as usize;
        let ids = Random(5).ids(n, shape.vocab_size);
        // A cache in f16 may round the other way.
        let slack = if cache == Cache::F16 { 20.0 } else { 1.0 };
        for layer in 0..shape.n_layer {
            let see = |engine: &mut Engine| {
                let weights = block_on(look::attention(engine, &ids, layer)).unwrap();
                let rows = block_on(look::lens(engine, &ids, layer)).unwrap();
                (weights, rows)
            };
            let (weights, rows) = see(&mut cpu);
            let (on_gpu, rows_on_gpu) = see(&mut gpu);
            let what = format!("{shape:?}, {cache:?}, layer {layer}");
            assert_close(&what, &on_gpu, &weights, slack * 1e-3);
            assert_close(&what, &rows_on_gpu, &rows, slack * tolerance(&rows));
        }
        assert_eq!(gpu.position() as usize, n - 1);
    }
}
