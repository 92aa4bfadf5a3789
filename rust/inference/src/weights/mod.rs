//! Weights as they lie in the file: what both backends take.
//!
//! f16 weights stay f16 in memory and are widened in registers: half the memory traffic and no second copy of the model.

use alloc::format;

use crate::error::EngineError;
use crate::format::{Architecture, Dtype, TensorView};
use crate::model::{Model, Part};

/// Whether an engine can run the model: its architecture and the dtype of every tensor.
///
/// # Errors
/// [`EngineError::Unsupported`] with the first thing that is missing.
pub fn check_supported(model: &Model) -> Result<(), EngineError> {
    let architecture = model.config().architecture;
    if architecture != Architecture::Llama {
        return Err(EngineError::Unsupported {
            what: format!("the architecture {}", architecture.name()),
        });
    }
    let dtype = model.weight_dtype();
    for tensor in model.tensors() {
        if !matches!(tensor.dtype, Dtype::F32 | Dtype::F16)
            || (tensor.shape.len() == 2 && tensor.dtype != dtype)
        {
            return Err(EngineError::Unsupported {
                what: format!(
                    "{} in {} (its embedding is {})",
                    tensor.name,
                    tensor.dtype.name(),
                    dtype.name()
                ),
            });
        }
    }
    Ok(())
}

/// A weight matrix (N, K), row-major, in the file's dtype.
#[derive(Debug, Clone, Copy)]
pub enum Weights<'a> {
    /// IEEE binary32.
    F32(&'a [f32]),
    /// IEEE binary16, as bits.
    F16(&'a [u16]),
}

impl<'a> Weights<'a> {
    /// The values of a tensor, in place; its dtype is one that [`check_supported`] let pass.
    pub fn of(tensor: TensorView<'a>) -> Self {
        match tensor.dtype {
            Dtype::F32 => Self::F32(bytemuck::cast_slice(tensor.bytes)),
            Dtype::F16 => Self::F16(bytemuck::cast_slice(tensor.bytes)),
            Dtype::Q8_0 | Dtype::Q4_0 => unreachable!("refused when the engine was made"),
        }
    }

    /// Number of weights.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F16(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The weight at `index`, widened to f32.
    pub fn get(&self, index: usize) -> f32 {
        match self {
            Self::F32(values) => values[index],
            Self::F16(values) => values[index].widen(),
        }
    }
}

/// A stored weight that widens to f32.
pub trait Weight: Copy {
    /// Whether widening costs nothing.
    const IS_F32: bool;

    /// The value as f32, exactly.
    fn widen(self) -> f32;
}

impl Weight for f32 {
    const IS_F32: bool = true;

    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
}

impl Weight for u16 {
    const IS_F32: bool = false;

    /// Finite binary16 bits to f32, subnormals included: the exponent and mantissa move up by 13 bits, and a multiplication by
    /// 2^112 corrects the bias. Branch-free, so loops over it vectorise. (NaN and infinity were refused when the file was read.)
    #[inline(always)]
    fn widen(self) -> f32 {
        let magnitude =
            f32::from_bits(u32::from(self & 0x7fff) << 13) * f32::from_bits((127 + 112) << 23);
        f32::from_bits(magnitude.to_bits() | (u32::from(self & 0x8000) << 16))
    }
}

/// The values of a gain or a bias, which are f32 in every file.
pub fn gain(tensor: TensorView<'_>) -> &[f32] {
    bytemuck::cast_slice(tensor.bytes)
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
