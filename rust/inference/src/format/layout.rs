//! What a configuration fixes: the list of tensors (`training/FORMAT.md` §3).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::config::Config;

/// How a tensor's values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE binary32.
    F32,
    /// IEEE binary16.
    F16,
}

impl Dtype {
    /// The name in the header.
    ///
    /// ```
    /// assert_eq!(pocketlm_inference::format::Dtype::F16.name(), "f16");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        }
    }

    /// Bytes a value.
    pub fn nbytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }
}

/// A tensor that the configuration asks for.
pub(super) struct ExpectedTensor {
    pub name: String,
    pub shape: Vec<u64>,
    /// RMSNorm's gains are f32 in every file.
    pub f32_always: bool,
}

/// Tensors of one layer.
pub(super) const TENSORS_A_LAYER: usize = 9;

/// All tensors, in the file's order.
pub(super) fn expected_tensors(config: &Config) -> Vec<ExpectedTensor> {
    let c = u64::from(config.d_model);
    let [q, kv, f, v] = [
        config.q_width(),
        config.kv_width(),
        config.d_ff,
        config.vocab_size,
    ]
    .map(u64::from);
    let matrix = |name: String, rows, columns| ExpectedTensor {
        name,
        shape: vec![rows, columns],
        f32_always: false,
    };
    let gain = |name: String| ExpectedTensor {
        name,
        shape: vec![c],
        f32_always: true,
    };
    let mut tensors = vec![matrix("model.embed_tokens.weight".to_string(), v, c)];
    for i in 0..config.n_layer {
        let layer = |part: &str| format!("model.layers.{i}.{part}.weight");
        tensors.push(gain(layer("input_layernorm")));
        tensors.push(matrix(layer("self_attn.q_proj"), q, c));
        tensors.push(matrix(layer("self_attn.k_proj"), kv, c));
        tensors.push(matrix(layer("self_attn.v_proj"), kv, c));
        tensors.push(matrix(layer("self_attn.o_proj"), c, q));
        tensors.push(gain(layer("post_attention_layernorm")));
        tensors.push(matrix(layer("mlp.gate_proj"), f, c));
        tensors.push(matrix(layer("mlp.up_proj"), f, c));
        tensors.push(matrix(layer("mlp.down_proj"), c, f));
    }
    tensors.push(gain("model.norm.weight".to_string()));
    if !config.tie_embeddings {
        tensors.push(matrix("lm_head.weight".to_string(), v, c));
    }
    tensors
}

/// The next multiple of 256 that is ≥ n.
pub(super) fn align256(n: u64) -> u64 {
    n.div_ceil(256) * 256
}
