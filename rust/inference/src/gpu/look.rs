//! As `cpu/engine/look.rs`, on a device: the logits after some layers are its own, attention's weights are computed here from the query
//! and the keys that are read back.

use alloc::vec::Vec;
use core::ops::Range;

use super::context::Pass;
use super::engine::GpuEngine;
use crate::cache::Cache;
use crate::cpu::attention_weights;
use crate::cpu::ops::Heads;
use crate::error::EngineError;
use crate::weights::Weights;

impl GpuEngine {
    /// See [`CpuEngine::logits_after`](crate::cpu::CpuEngine).
    pub(crate) async fn logits_after(
        &mut self,
        id: u32,
        layers: Range<usize>,
    ) -> Result<Vec<f32>, EngineError> {
        self.pass_through(id, layers, 1)?;
        let bytes = u64::from(self.model.config().vocab_size) * 4;
        self.fetch(&self.buffers.logits, bytes).await
    }

    /// See [`CpuEngine::attention_weights`](crate::cpu::CpuEngine).
    pub(crate) async fn attention_weights(
        &mut self,
        id: u32,
        layer: usize,
    ) -> Result<Vec<f32>, EngineError> {
        self.pass_through(id, 0..layer + 1, 0)?;
        let config = self.model.config();
        let heads = Heads {
            n_head: config.n_head as usize,
            n_kv_head: config.n_kv_head as usize,
            d_head: config.d_head as usize,
            ctx_len: config.ctx_len as usize,
        };
        // A head lies as two halves, each of whole vec4s: `shaders/common.wgsl`.
        let half = (heads.d_head / 2).next_multiple_of(4);
        let mut q: Vec<f32> = self
            .fetch(&self.buffers.q, (heads.n_head * 2 * half * 4) as u64)
            .await?;
        let k_cache = &self.buffers.layers[layer].k_cache;
        let keys: Vec<f32> = self.fetch(k_cache, k_cache.size()).await?;
        let keys = match self.cache() {
            Cache::F32 => Weights::F32(&keys),
            Cache::F16 => {
                // A word of a key is components j and j + D/2.
                for head in q.chunks_exact_mut(2 * half) {
                    let halves = head.to_vec();
                    for (j, pair) in head.chunks_exact_mut(2).enumerate() {
                        pair.copy_from_slice(&[halves[j], halves[half + j]]);
                    }
                }
                Weights::F16(bytemuck::cast_slice(&keys))
            }
        };
        attention_weights(heads, &q, keys, self.position() as usize + 1)
    }

    fn pass_through(
        &mut self,
        id: u32,
        layers: Range<usize>,
        logits_rows: u32,
    ) -> Result<(), EngineError> {
        self.cursor.check_ids(&[id])?;
        self.cursor.advance(&[], false);
        let position = self.write_chunk(&[id])?.position;
        let config = self.model.config();
        let record = |pass: &mut Pass<'_>| {
            self.plan.layers(pass, config, position, 1, layers);
            self.plan.logits(pass, logits_rows);
        };
        self.context.submit(record, None);
        Ok(())
    }

    /// The first `bytes` of a buffer.
    async fn fetch(&self, buffer: &wgpu::Buffer, bytes: u64) -> Result<Vec<f32>, EngineError> {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let make = |context: &super::context::Context| context.create_buffer("look", bytes, usage);
        let readback = self
            .context
            .allocating("what is looked at", bytes, make)
            .await?;
        self.context.copy(buffer, &readback, bytes);
        let words = |bytes: &[u8]| bytemuck::cast_slice(bytes).to_vec();
        self.context.read(&readback, bytes, words).await
    }
}
