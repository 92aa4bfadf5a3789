//! What the GPU tests share: an adapter, and random models of several shapes, made when the tests run.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::Arc;

use pocketlm_inference::format::{Architecture, Config, Dtype};
use pocketlm_inference::gpu::{self, Adapter, Forced, GpuEngine};
use pocketlm_inference::{Cache, Engine, Model};
use serde_json::json;

#[path = "../model_writer/mod.rs"]
mod model_writer;

use model_writer::File;
#[allow(unused_imports, reason = "each test file uses a part of it")]
pub use model_writer::{Random, Shape, stored};

pub const INSTALL: &str =
    "apt-get install -y --no-install-recommends mesa-vulkan-drivers libvulkan1";

/// A shape that a block format can have.
const IN_BLOCKS: Shape = Shape {
    architecture: Architecture::Llama,
    n_layer: 2,
    n_head: 4,
    n_kv_head: 2,
    d_model: 96,
    d_head: 24,
    d_ff: 288,
    vocab_size: 131,
    ctx_len: 70,
    tie_embeddings: true,
    eos_token_id: None,
    dtype: Dtype::Q8_0,
};

/// A model of one layer, as far as its kernels ask; each test says what matters to it.
pub const ONE_LAYER: Config = Config {
    architecture: Architecture::Llama,
    n_layer: 1,
    n_head: 1,
    n_kv_head: 1,
    d_model: 1,
    d_head: 2,
    d_ff: 1,
    vocab_size: 2,
    ctx_len: 80,
    rope_theta: 10_000.0,
    norm_eps: 1e-3,
    logit_cap: None,
    tie_embeddings: true,
    bos_token_id: None,
    eos_token_id: None,
    stop_token_ids: None,
};

/// As small as a model can be; odd everywhere; like the trained ones; in f16; in blocks; of the other families.
pub const SHAPES: [Shape; 9] = [
    Shape {
        architecture: Architecture::Llama,
        n_layer: 1,
        n_head: 1,
        n_kv_head: 1,
        d_model: 1,
        d_head: 2,
        d_ff: 1,
        vocab_size: 2,
        ctx_len: 3,
        tie_embeddings: true,
        eos_token_id: None,
        dtype: Dtype::F32,
    },
    Shape {
        architecture: Architecture::Llama,
        n_layer: 3,
        n_head: 6,
        n_kv_head: 3,
        d_model: 45,
        d_head: 10,
        d_ff: 71,
        vocab_size: 131,
        ctx_len: 90,
        tie_embeddings: false,
        eos_token_id: None,
        dtype: Dtype::F32,
    },
    Shape {
        architecture: Architecture::Llama,
        n_layer: 2,
        n_head: 4,
        n_kv_head: 1,
        d_model: 64,
        d_head: 16,
        d_ff: 176,
        vocab_size: 257,
        ctx_len: 150,
        tie_embeddings: true,
        eos_token_id: None,
        dtype: Dtype::F32,
    },
    Shape {
        architecture: Architecture::Llama,
        n_layer: 2,
        n_head: 3,
        n_kv_head: 3,
        d_model: 37,
        d_head: 34,
        d_ff: 93,
        vocab_size: 515,
        ctx_len: 100,
        tie_embeddings: false,
        eos_token_id: None,
        dtype: Dtype::F16,
    },
    IN_BLOCKS,
    Shape {
        tie_embeddings: false,
        dtype: Dtype::Q4_0,
        ..IN_BLOCKS
    },
    Shape {
        architecture: Architecture::Qwen2,
        dtype: Dtype::F32,
        ..IN_BLOCKS
    },
    Shape {
        architecture: Architecture::Qwen3,
        d_head: 34,
        d_model: 45,
        dtype: Dtype::F16,
        ..IN_BLOCKS
    },
    Shape {
        architecture: Architecture::Fast,
        d_head: 34,
        d_model: 45,
        d_ff: 93,
        tie_embeddings: false,
        dtype: Dtype::F32,
        ..IN_BLOCKS
    },
];

/// A random model of this shape; `golden` are the logits that it claims for the prompt `[0]`.
pub fn model_file(shape: Shape, seed: u64, golden: &[f32]) -> File {
    let mut file = File::normal(shape, seed);
    file.header["golden"]["ids"] = json!([0]);
    file.set_golden(golden);
    file
}

/// A random model whose golden logits are those of the CPU backend.
pub fn model(shape: Shape, seed: u64) -> Arc<Model> {
    let parse = |golden: &[f32]| {
        Arc::new(Model::parse(model_file(shape, seed, golden).bytes()).expect("a valid model.bin"))
    };
    let mut engine =
        Engine::cpu(parse(&vec![0.0; shape.vocab_size as usize])).expect("a CPU engine");
    parse(&pollster::block_on(engine.logits(&[0])).expect("logits"))
}

/// The adapter of this machine. Its absence is a failure, never a reason to skip.
pub fn adapter(model: &Model) -> Adapter {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    pollster::block_on(gpu::request(&instance, model, None))
        .unwrap_or_else(|error| panic!("{error}. On Debian, install a software driver: {INSTALL}"))
}

pub fn gpu_engine(model: &Arc<Model>) -> GpuEngine {
    let Adapter { device, queue, .. } = adapter(model);
    engine_on(model, device, queue)
}

/// A GPU engine on a device of the test's own.
pub fn engine_on(model: &Arc<Model>, device: wgpu::Device, queue: wgpu::Queue) -> GpuEngine {
    let engine = GpuEngine::new(model.clone(), None, device, queue, |_, _| {});
    pollster::block_on(engine).expect("a GPU engine")
}

/// A GPU engine whose kernels are chosen as on another adapter, or for a larger model.
pub fn forced_engine(model: &Arc<Model>, cache: Option<Cache>, forced: Forced) -> GpuEngine {
    let Adapter { device, queue, .. } = adapter(model);
    let engine = GpuEngine::forced(model.clone(), cache, forced, device, queue);
    pollster::block_on(engine).expect("a GPU engine")
}

/// Compare; a failure names the operation, the index, both values and the largest difference.
pub fn assert_close(op: &str, got: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(got.len(), expected.len(), "{op}: lengths differ");
    let difference = |i: &usize| {
        let difference = (got[*i] - expected[*i]).abs();
        if difference.is_nan() {
            f32::INFINITY
        } else {
            difference
        }
    };
    let Some(worst) = (0..got.len()).max_by(|a, b| difference(a).total_cmp(&difference(b))) else {
        return;
    };
    let (want, have, most) = (expected[worst], got[worst], difference(&worst));
    assert!(
        most <= tolerance,
        "{op} (length {}): at {worst} expected {want}, got {have}; largest difference {most:e}, allowed {tolerance:e}",
        got.len(),
    );
}
