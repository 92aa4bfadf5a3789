//! Matrices in GPU memory: in which dtype, and how a row lies there.

use alloc::borrow::Cow;
use alloc::vec;
use alloc::vec::Vec;

use crate::format::{BLOCK, Dtype};
use crate::model::{Model, Part};
use crate::weights::{Blocks, Quant, Weights};

/// The dtype of each kernel's matrices. A kernel reads all its matrices, in all layers, in one dtype: where a file mixes them they are
/// widened to f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dtypes {
    /// Of the embedding, and of the output projection where it is the embedding.
    pub embedding: Dtype,
    /// Of q, k and v.
    pub qkv: Dtype,
    /// Of attention's output projection.
    pub out: Dtype,
    /// Of up, and of gate where there is one.
    pub gate_up: Dtype,
    /// Of the down projection.
    pub down: Dtype,
    /// Of the output projection.
    pub output: Dtype,
}

impl Dtypes {
    /// Those of a model.
    pub fn of(model: &Model) -> Self {
        let layers = 0..model.config().n_layer as usize;
        let common = |parts: &[Part]| {
            let tensors = layers.clone().flat_map(|layer| {
                let tensors = parts
                    .iter()
                    .map(move |part| model.layer_tensor(layer, *part));
                tensors.flatten()
            });
            let mut dtypes = tensors.map(|tensor| tensor.dtype);
            let first = dtypes.next().unwrap_or(Dtype::F32);
            if dtypes.all(|dtype| dtype == first) {
                first
            } else {
                Dtype::F32
            }
        };
        Self {
            embedding: model.embedding().dtype,
            qkv: common(&[Part::Query, Part::Key, Part::Value]),
            out: common(&[Part::Output]),
            gate_up: common(&[Part::Gate, Part::Up]),
            down: common(&[Part::Down]),
            output: model.output().dtype,
        }
    }
}

/// Bytes of a row of `n` weights, in whole `vec4<u32>`s. In a block format the row's quants come first, then its scales.
pub(super) fn row_bytes(n: u32, dtype: Dtype) -> u64 {
    let n = u64::from(n);
    let quants = dtype.quant_nbytes(n).next_multiple_of(16);
    let scales = dtype.nbytes(n) - dtype.quant_nbytes(n);
    quants + scales.next_multiple_of(16)
}

/// The rows of a matrix of `width` columns as the kernels read them, padded with zeros.
pub(super) fn rows(weights: Weights<'_>, width: usize, dtype: Dtype) -> Cow<'_, [u8]> {
    let stride = row_bytes(width as u32, dtype) as usize;
    if weights.dtype() != dtype {
        return widened(weights, width, stride).into();
    }
    match weights {
        Weights::F32(values) => padded(bytemuck::cast_slice(values), width * 4, stride),
        Weights::F16(values) => padded(bytemuck::cast_slice(values), width * 2, stride),
        Weights::Q8_0(blocks) => in_rows(blocks, width / BLOCK, stride).into(),
        Weights::Q4_0(blocks) => in_rows(blocks, width / BLOCK, stride).into(),
    }
}

/// Rows of f32 values, whatever the weights' dtype.
fn widened(weights: Weights<'_>, width: usize, stride: usize) -> Vec<u8> {
    let mut all = vec![0; weights.len() / width * stride];
    for (row, to) in all.chunks_exact_mut(stride).enumerate() {
        for (column, to) in to[..width * 4].chunks_exact_mut(4).enumerate() {
            to.copy_from_slice(&weights.get(row * width + column).to_le_bytes());
        }
    }
    all
}

/// Rows of `row` bytes, each padded to `stride` bytes.
fn padded(bytes: &[u8], row: usize, stride: usize) -> Cow<'_, [u8]> {
    if row == stride {
        return bytes.into();
    }
    let mut all = vec![0; bytes.len() / row * stride];
    for (to, from) in all.chunks_exact_mut(stride).zip(bytes.chunks_exact(row)) {
        to[..row].copy_from_slice(from);
    }
    all.into()
}

/// Rows of so many blocks: quants, then scales. A block's quants are whole `vec4<u32>`s.
fn in_rows<Q: Quant>(blocks: Blocks<'_, Q>, per_row: usize, stride: usize) -> Vec<u8> {
    let mut all = vec![0; blocks.scales.len() / per_row * stride];
    for (row, to) in all.chunks_exact_mut(stride).enumerate() {
        let part = blocks.part(row * per_row, per_row);
        let quants: &[u8] = bytemuck::cast_slice(part.quants);
        let scales: &[u8] = bytemuck::cast_slice(part.scales);
        to[..quants.len()].copy_from_slice(quants);
        to[quants.len()..][..scales.len()].copy_from_slice(scales);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_padded_with_zeros_to_16_bytes() {
        let values = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0];
        let f32_rows = rows(Weights::F32(&values), 3, Dtype::F32);
        assert_eq!(
            bytemuck::pod_collect_to_vec::<u8, f32>(&f32_rows),
            [1.0, 2.0, 3.0, 0.0, 4.0, 5.0, 6.0, 0.0]
        );
        let halves: [u16; 9] = core::array::from_fn(|i| i as u16 + 1);
        let f16_rows = rows(Weights::F16(&halves), 9, Dtype::F16);
        let expected = [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(bytemuck::pod_collect_to_vec::<u8, u16>(&f16_rows), expected);
    }

    #[test]
    fn whole_rows_are_not_copied() {
        let whole = rows(Weights::F32(&[1.0; 8]), 4, Dtype::F32);
        assert!(matches!(whole, Cow::Borrowed(_)));
    }

    #[test]
    fn a_row_of_blocks_is_its_quants_then_its_scales() {
        // Two rows of two blocks; the scales are 1 to 4, as bits.
        let bytes: [u8; 4 * 16] = core::array::from_fn(|i| i as u8);
        let blocks = Blocks::<crate::weights::Q4_0> {
            quants: bytemuck::cast_slice(&bytes),
            scales: &[1, 2, 3, 4],
        };
        let got = rows(Weights::Q4_0(blocks), 64, Dtype::Q4_0);
        assert_eq!(got.len(), 2 * 48);
        assert_eq!(
            (&got[..32], &got[32..38]),
            (&bytes[..32], &[1, 0, 2, 0, 0, 0][..])
        );
        assert_eq!(
            (&got[48..80], &got[80..86]),
            (&bytes[32..], &[3, 0, 4, 0, 0, 0][..])
        );
    }

    #[test]
    fn another_dtype_is_widened() {
        let got = rows(Weights::F16(&[0x3c00, 0x4000, 0x4200]), 3, Dtype::F32);
        assert_eq!(
            bytemuck::pod_collect_to_vec::<u8, f32>(&got),
            [1.0, 2.0, 3.0, 0.0]
        );
    }
}
