//! Weights as they lie in the file: what both backends take.
//!
//! They stay in their dtype in memory and are widened in registers: less memory traffic, and no second copy of the model. A dtype is
//! a file here: how it is packed, and how it widens.

mod blocks;
mod layer;
mod parts;
mod plain;

pub use blocks::{Blocks, Q4_0, Q8_0, Quant};
pub use layer::{LayerWeights, Qkv};
pub use parts::for_each_part;
pub use plain::Weight;

use crate::format::{BLOCK, Dtype, TensorView};

/// A weight matrix (N, K), row-major, in the file's dtype.
#[derive(Debug, Clone, Copy)]
pub enum Weights<'a> {
    /// IEEE binary32.
    F32(&'a [f32]),
    /// IEEE binary16, as bits.
    F16(&'a [u16]),
    /// Blocks of 32 signed bytes.
    Q8_0(Blocks<'a, Q8_0>),
    /// Blocks of 32 values of four bits.
    Q4_0(Blocks<'a, Q4_0>),
}

impl<'a> Weights<'a> {
    /// The values of a tensor, in place.
    pub fn of(tensor: TensorView<'a>) -> Self {
        Self::of_bytes(tensor.dtype, tensor.bytes)
    }

    /// The values that a tensor's section holds in place; its address is a multiple of 4.
    pub fn of_bytes(dtype: Dtype, bytes: &'a [u8]) -> Self {
        match dtype {
            Dtype::F32 => Self::F32(bytemuck::cast_slice(bytes)),
            Dtype::F16 => Self::F16(bytemuck::cast_slice(bytes)),
            Dtype::Q8_0 => Self::Q8_0(Blocks::of(bytes)),
            Dtype::Q4_0 => Self::Q4_0(Blocks::of(bytes)),
        }
    }

    /// How the values are stored.
    pub fn dtype(&self) -> Dtype {
        match self {
            Self::F32(_) => Dtype::F32,
            Self::F16(_) => Dtype::F16,
            Self::Q8_0(_) => Dtype::Q8_0,
            Self::Q4_0(_) => Dtype::Q4_0,
        }
    }

    /// Number of weights.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F16(values) => values.len(),
            Self::Q8_0(blocks) => blocks.scales.len() * BLOCK,
            Self::Q4_0(blocks) => blocks.scales.len() * BLOCK,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where weight `index` lies, of a block format its quant; for an index beyond the last, where it would.
    pub(crate) fn address(&self, index: usize) -> *const u8 {
        match self {
            Self::F32(values) => values.as_ptr().wrapping_add(index).cast(),
            Self::F16(values) => values.as_ptr().wrapping_add(index).cast(),
            Self::Q8_0(blocks) => blocks.quants.as_ptr().wrapping_add(index / BLOCK).cast(),
            Self::Q4_0(blocks) => blocks.quants.as_ptr().wrapping_add(index / BLOCK).cast(),
        }
    }

    /// The `n` weights from `from` on; whole blocks in a block format.
    pub fn part(self, from: usize, n: usize) -> Self {
        match self {
            Self::F32(values) => Self::F32(&values[from..from + n]),
            Self::F16(values) => Self::F16(&values[from..from + n]),
            Self::Q8_0(blocks) => Self::Q8_0(blocks.part(from / BLOCK, n / BLOCK)),
            Self::Q4_0(blocks) => Self::Q4_0(blocks.part(from / BLOCK, n / BLOCK)),
        }
    }

    /// The weight at `index`, widened to f32.
    pub fn get(&self, index: usize) -> f32 {
        match self {
            Self::F32(values) => values[index],
            Self::F16(values) => values[index].widen(),
            Self::Q8_0(blocks) => blocks.widen(index / BLOCK)[index % BLOCK],
            Self::Q4_0(blocks) => blocks.widen(index / BLOCK)[index % BLOCK],
        }
    }
}

/// The values of a gain or a bias, which are f32 in every file.
pub fn gain(tensor: TensorView<'_>) -> &[f32] {
    bytemuck::cast_slice(tensor.bytes)
}
