//! Shapes of models of every family and dtype.

use pocketlm_inference::format::{Architecture, Dtype};
use proptest::prelude::*;

use crate::model_writer::Shape;

/// Models so large that their operations fall into several parts, of odd sizes.
pub fn shape() -> impl Strategy<Value = Shape> {
    let architectures = [
        Architecture::Llama,
        Architecture::Qwen2,
        Architecture::Qwen3,
        Architecture::Fast,
    ];
    let sizes = (1u32..4, 1u32..4, 1u32..30, 1u32..9, 1u32..12, 1u32..700);
    (
        prop::sample::select(architectures.to_vec()),
        prop::sample::select(Dtype::ALL.to_vec()),
        sizes,
    )
        .prop_map(
            |(architecture, dtype, (n_kv_head, group, half, model, ff, vocab_size))| {
                // Whole blocks where the dtype has them.
                let width = |n: u32| match dtype.block() {
                    1 => 29 * n,
                    block => block as u32 * n,
                };
                let d_head = if dtype.block() == 1 { 2 * half } else { 32 };
                Shape {
                    architecture,
                    n_layer: 2,
                    n_head: n_kv_head * group,
                    n_kv_head,
                    d_model: width(model),
                    d_head,
                    d_ff: width(ff),
                    vocab_size: vocab_size + 10,
                    ctx_len: 150,
                    tie_embeddings: false,
                    eos_token_id: None,
                    dtype,
                }
            },
        )
}
