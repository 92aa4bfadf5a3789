//! A decoder layer's weights by name.

use super::{Weights, gain};
use crate::model::{Model, Part};

/// The weights of one decoder layer.
#[derive(Debug, Clone, Copy)]
pub struct LayerWeights<'a> {
    /// (C)
    pub input_layernorm: &'a [f32],
    /// The projections to queries, keys and values.
    pub qkv: Qkv<'a>,
    /// The gains of the queries' and the keys' norm, (D) each, where the architecture has them.
    pub qk_norm: Option<[&'a [f32]; 2]>,
    /// (C, H·D)
    pub o_proj: Weights<'a>,
    /// (C)
    pub post_attention_layernorm: &'a [f32],
    /// (F, C), where the architecture has a gate.
    pub gate_proj: Option<Weights<'a>>,
    /// (F, C)
    pub up_proj: Weights<'a>,
    /// (C, F)
    pub down_proj: Weights<'a>,
}

/// The projections to queries, keys and values.
#[derive(Debug, Clone, Copy)]
pub struct Qkv<'a> {
    /// (H·D, C)
    pub q: Weights<'a>,
    /// (G·D, C)
    pub k: Weights<'a>,
    /// (G·D, C)
    pub v: Weights<'a>,
    /// Of q, k and v: (H·D), (G·D), (G·D), where the architecture has them.
    pub bias: Option<[&'a [f32]; 3]>,
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
            qkv: Qkv {
                q: Weights::of(tensor(Part::Query)),
                k: Weights::of(tensor(Part::Key)),
                v: Weights::of(tensor(Part::Value)),
                bias: gains(
                    model,
                    index,
                    [Part::QueryBias, Part::KeyBias, Part::ValueBias],
                ),
            },
            qk_norm: gains(model, index, [Part::QueryNorm, Part::KeyNorm]),
            o_proj: Weights::of(tensor(Part::Output)),
            post_attention_layernorm: gain(tensor(Part::PostAttentionNorm)),
            gate_proj: model.layer_tensor(index, Part::Gate).map(Weights::of),
            up_proj: Weights::of(tensor(Part::Up)),
            down_proj: Weights::of(tensor(Part::Down)),
        }
    }
}

/// The gains or biases of these parts, all of which an architecture has, or none.
fn gains<const N: usize>(model: &Model, index: usize, parts: [Part; N]) -> Option<[&[f32]; N]> {
    let mut found: [&[f32]; N] = [&[]; N];
    for (found, part) in found.iter_mut().zip(parts) {
        *found = gain(model.layer_tensor(index, part)?);
    }
    Some(found)
}
