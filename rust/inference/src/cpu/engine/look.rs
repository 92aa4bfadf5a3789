//! A token's way through the layers, looked at. Nothing is read into the cache: what stands at the token's position there is written
//! again when a token is read.

use alloc::vec::Vec;
use core::ops::Range;

use super::{CpuEngine, unmarked};
use crate::cpu::attention_weights::attention_weights;
use crate::error::EngineError;

impl CpuEngine {
    /// The logits that the output layer makes of a token after the last of these layers: (V). The token would stand next; what the layers
    /// before them left of it, by the call before this, is gone on from. There are no logits of the last position afterwards.
    pub(crate) fn logits_after(
        &mut self,
        id: u32,
        layers: Range<usize>,
    ) -> Result<Vec<f32>, EngineError> {
        self.pass_through(id, layers)?;
        self.last_row_logits(1);
        Ok(self.logits.clone())
    }

    /// How much a token that would stand next attends to each position of a layer, itself the last: (H, position + 1). There are no logits
    /// of the last position afterwards.
    pub(crate) fn attention_weights(
        &mut self,
        id: u32,
        layer: usize,
    ) -> Result<Vec<f32>, EngineError> {
        self.pass_through(id, 0..layer + 1)?;
        let config = self.model.config();
        let cache_len = config.kv_width() as usize * config.ctx_len as usize;
        let keys = self
            .k_cache
            .part(layer * cache_len..(layer + 1) * cache_len);
        let q = &self.q[..config.q_width() as usize];
        attention_weights(self.heads, q, keys, self.cursor.position() as usize + 1)
    }

    fn pass_through(&mut self, id: u32, layers: Range<usize>) -> Result<(), EngineError> {
        self.cursor.check_ids(&[id])?;
        self.cursor.advance(&[], false);
        self.layers(&[id], layers, &mut unmarked);
        Ok(())
    }
}
