//! A decoder layer's weights by name, and what an engine can run at all.

use alloc::format;

use super::{Weights, gain};
use crate::error::EngineError;
use crate::format::Architecture;
use crate::model::{Model, Part};

/// Whether an engine can run the model.
///
/// # Errors
/// [`EngineError::Unsupported`] with what is missing.
pub fn check_supported(model: &Model) -> Result<(), EngineError> {
    match model.config().architecture {
        Architecture::Llama => Ok(()),
        architecture => Err(EngineError::Unsupported {
            what: format!("the architecture {}", architecture.name()),
        }),
    }
}

/// The weights of one decoder layer.
#[derive(Debug, Clone, Copy)]
pub struct LayerWeights<'a> {
    /// (C)
    pub input_layernorm: &'a [f32],
    /// (H·D, C)
    pub q_proj: Weights<'a>,
    /// (G·D, C)
    pub k_proj: Weights<'a>,
    /// (G·D, C)
    pub v_proj: Weights<'a>,
    /// (C, H·D)
    pub o_proj: Weights<'a>,
    /// (C)
    pub post_attention_layernorm: &'a [f32],
    /// (F, C)
    pub gate_proj: Weights<'a>,
    /// (F, C)
    pub up_proj: Weights<'a>,
    /// (C, F)
    pub down_proj: Weights<'a>,
}

impl<'a> LayerWeights<'a> {
    /// The weights of layer `index`, which is below `n_layer`.
    pub fn of(model: &'a Model, index: usize) -> Self {
        let tensor = |part| {
            let tensor = model.layer_tensor(index, part);
            tensor.expect("every architecture has this part")
        };
        Self {
            input_layernorm: gain(tensor(Part::InputNorm)),
            q_proj: Weights::of(tensor(Part::Query)),
            k_proj: Weights::of(tensor(Part::Key)),
            v_proj: Weights::of(tensor(Part::Value)),
            o_proj: Weights::of(tensor(Part::Output)),
            post_attention_layernorm: gain(tensor(Part::PostAttentionNorm)),
            gate_proj: Weights::of(tensor(Part::Gate)),
            up_proj: Weights::of(tensor(Part::Up)),
            down_proj: Weights::of(tensor(Part::Down)),
        }
    }
}
