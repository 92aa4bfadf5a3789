//! How weights come into GPU memory: a part at a time, from memory or from where the file lies.

use alloc::vec::Vec;

use super::context::Context;
use super::matrices;
use crate::error::EngineError;
use crate::format::{Dtype, ReadAt, TensorView};
use crate::rope::RopeTable;
use crate::weights::{Weights, for_each_part};

/// What is written waits in staging memory until the device has taken it: it is waited for each time so much was written.
const STAGED_NBYTES: u64 = 64 << 20;

/// Writes tensors into buffers.
pub(super) struct Filling<'a> {
    context: &'a Context,
    source: Option<&'a dyn ReadAt>,
    /// A part of a tensor, where it is read.
    scratch: Vec<u32>,
    /// Bytes written since the device was last waited for.
    staged: u64,
}

impl<'a> Filling<'a> {
    /// The tensors' bytes are in memory, or come from `source`.
    pub fn new(context: &'a Context, source: Option<&'a dyn ReadAt>) -> Self {
        Self {
            context,
            source,
            scratch: Vec::new(),
            staged: 0,
        }
    }

    /// Write a matrix as the kernels read it, from byte `offset` of the buffer on.
    pub async fn matrix(
        &mut self,
        buffer: &wgpu::Buffer,
        offset: u64,
        tensor: TensorView<'_>,
        dtype: Dtype,
    ) -> Result<(), EngineError> {
        let width = tensor.shape[tensor.shape.len() - 1] as usize;
        let stride = matrices::row_bytes(width as u32, dtype);
        self.write(tensor, |context, first, weights| {
            let rows = matrices::rows(weights, width, dtype);
            context.write(buffer, offset + first * stride, &rows);
        })?;
        self.context.flush();
        if self.staged >= STAGED_NBYTES {
            self.staged = 0;
            self.context.finish().await?;
        }
        Ok(())
    }

    /// Write a gain or a bias, which is f32 in every file, without padding: others may follow in the same buffer.
    pub fn gain(
        &mut self,
        buffer: &wgpu::Buffer,
        offset: u64,
        tensor: TensorView<'_>,
    ) -> Result<(), EngineError> {
        self.write(tensor, |context, _, weights| {
            let Weights::F32(values) = weights else {
                unreachable!("the file was refused where a gain is not f32");
            };
            context.write(buffer, offset, bytemuck::cast_slice(values));
        })
    }

    /// Write the pairs of cosines and sines.
    pub fn table(&self, buffer: &wgpu::Buffer, table: &RopeTable) {
        let pairs: Vec<[f32; 2]> = table
            .cos
            .iter()
            .zip(&table.sin)
            .map(|(cos, sin)| [*cos, *sin])
            .collect();
        self.context.write(buffer, 0, bytemuck::cast_slice(&pairs));
    }

    fn write(
        &mut self,
        tensor: TensorView<'_>,
        mut write: impl FnMut(&Context, u64, Weights<'_>),
    ) -> Result<(), EngineError> {
        self.staged += tensor.place.nbytes;
        let context = self.context;
        for_each_part(tensor, self.source, &mut self.scratch, |first, weights| {
            write(context, first, weights)
        })
    }
}
