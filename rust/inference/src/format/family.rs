//! The tensors of each family of models (`training/FORMAT.md` §3).
//!
//! Python has the same table in `training/format/families.py`; `tests/vectors/model_format.json` holds both to it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::architecture::Architecture;
use super::config::Config;

/// A size of a tensor.
#[derive(Debug, Clone, Copy)]
enum Size {
    /// `d_model`
    C,
    /// `d_head`
    D,
    /// `d_ff`
    F,
    /// `n_kv_head · d_head`
    K,
    /// `n_head · d_head`
    Q,
    /// `vocab_size`
    V,
}

use Size::{C, D, F, K, Q, V};

/// A name and its sizes: one for a gain or a bias, which are f32 in every file; two for a matrix, [out, in].
type Row = (&'static str, &'static [Size]);

const EMBEDDING: Row = ("model.embed_tokens.weight", &[V, C]);
const NORM: Row = ("model.norm.weight", &[C]);
const LM_HEAD: Row = ("lm_head.weight", &[V, C]);

const INPUT_NORM: Row = ("input_layernorm.weight", &[C]);
const Q_PROJ: Row = ("self_attn.q_proj.weight", &[Q, C]);
const Q_BIAS: Row = ("self_attn.q_proj.bias", &[Q]);
const Q_NORM: Row = ("self_attn.q_norm.weight", &[D]);
const K_PROJ: Row = ("self_attn.k_proj.weight", &[K, C]);
const K_BIAS: Row = ("self_attn.k_proj.bias", &[K]);
const K_NORM: Row = ("self_attn.k_norm.weight", &[D]);
const V_PROJ: Row = ("self_attn.v_proj.weight", &[K, C]);
const V_BIAS: Row = ("self_attn.v_proj.bias", &[K]);
const O_PROJ: Row = ("self_attn.o_proj.weight", &[C, Q]);
const POST_NORM: Row = ("post_attention_layernorm.weight", &[C]);
const GATE: Row = ("mlp.gate_proj.weight", &[F, C]);
const UP: Row = ("mlp.up_proj.weight", &[F, C]);
const DOWN: Row = ("mlp.down_proj.weight", &[C, F]);

impl Architecture {
    /// The tensors of a layer, in the file's order.
    const fn layer(self) -> &'static [Row] {
        match self {
            Self::Llama => &[
                INPUT_NORM, Q_PROJ, K_PROJ, V_PROJ, O_PROJ, POST_NORM, GATE, UP, DOWN,
            ],
            Self::Qwen2 => &[
                INPUT_NORM, Q_PROJ, Q_BIAS, K_PROJ, K_BIAS, V_PROJ, V_BIAS, O_PROJ, POST_NORM,
                GATE, UP, DOWN,
            ],
            Self::Qwen3 => &[
                INPUT_NORM, Q_PROJ, Q_NORM, K_PROJ, K_NORM, V_PROJ, O_PROJ, POST_NORM, GATE, UP,
                DOWN,
            ],
            Self::Fast => &[
                INPUT_NORM, Q_PROJ, Q_NORM, K_PROJ, K_NORM, V_PROJ, O_PROJ, POST_NORM, UP, DOWN,
            ],
        }
    }

    /// How many tensors a layer has.
    pub const fn tensors_a_layer(self) -> usize {
        self.layer().len()
    }

    /// Place of a layer's tensor among those of its layer; the name follows "model.layers.{i}.".
    pub fn place_in_layer(self, name: &str) -> Option<usize> {
        self.layer().iter().position(|(row, _)| *row == name)
    }
}

/// A tensor that a configuration asks for.
pub struct ExpectedTensor {
    /// Hugging Face's name.
    pub name: String,
    /// Rows, then columns; gains and biases have one dimension.
    pub shape: Vec<u64>,
}

impl ExpectedTensor {
    /// Gains and biases are f32 in every file.
    pub fn is_f32_always(&self) -> bool {
        self.shape.len() == 1
    }
}

/// All tensors of a configuration, in the file's order.
pub fn expected_tensors(config: &Config) -> Vec<ExpectedTensor> {
    let size = |size: &Size| {
        u64::from(match size {
            C => config.d_model,
            D => config.d_head,
            F => config.d_ff,
            K => config.kv_width(),
            Q => config.q_width(),
            V => config.vocab_size,
        })
    };
    let tensor = |name: String, sizes: &[Size]| ExpectedTensor {
        name,
        shape: sizes.iter().map(size).collect(),
    };
    let plain = |(name, sizes): Row| tensor(name.to_string(), sizes);
    let mut tensors = alloc::vec![plain(EMBEDDING)];
    for i in 0..config.n_layer {
        for (name, sizes) in config.architecture.layer() {
            tensors.push(tensor(format!("model.layers.{i}.{name}"), sizes));
        }
    }
    tensors.push(plain(NORM));
    if !config.tie_embeddings {
        tensors.push(plain(LM_HEAD));
    }
    tensors
}
