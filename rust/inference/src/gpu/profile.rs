//! How long each kernel takes, by the device's own clock.

use alloc::vec::Vec;

use super::context::{Pass, Work};
use super::engine::GpuEngine;
use crate::error::EngineError;
use crate::profile::{KernelTime, add};
use crate::sampling::Sampling;

impl GpuEngine {
    /// Read `ids`, then sample `tokens` tokens, as [`prefill`](Self::prefill) and [`decode`](Self::decode) do, with each kernel between
    /// two timestamps. Returns the kernels in the order in which each ran first.
    ///
    /// A kernel waits here until the one before it has ended and a token until it is read back, so the sum is more than a token takes
    /// otherwise. A browser may round timestamps to 0.1 ms.
    ///
    /// # Errors
    /// [`EngineError::NoTimestamps`] where the device has none, and those of `prefill` and `decode`.
    pub async fn profile(
        &mut self,
        ids: &[u32],
        sampling: &Sampling,
        tokens: u32,
    ) -> Result<Vec<KernelTime>, EngineError> {
        sampling.check(self.model.config().vocab_size)?;
        self.cursor.check_ids(ids)?;
        self.cursor.check_room(ids.len() + tokens as usize)?;
        if ids.is_empty() && tokens > 0 {
            self.cursor.check_logits()?;
        }
        let timer = self.context.timer(self.plan.dispatches())?;
        let mut kernels = Vec::new();
        let mut chunks = ids.chunks(self.buffers.chunk as usize).peekable();
        while let Some(chunk) = chunks.next() {
            let logits_rows = u32::from(chunks.peek().is_none());
            let step = self.write_chunk(chunk)?;
            let record = |pass: &mut Pass<'_>| {
                let config = self.model.config();
                self.plan
                    .forward(pass, config, step.position, step.n_tokens, logits_rows)
            };
            add_all(&mut kernels, self.context.timed(&timer, record).await?);
            self.cursor.advance(chunk, logits_rows > 0);
        }
        for _ in 0..tokens {
            let is_adjusted = self.write_sampling(sampling)?;
            let position = self.position();
            let record = |pass: &mut Pass<'_>| {
                self.plan.sample(pass, is_adjusted);
                self.plan.forward(pass, self.model.config(), position, 1, 1);
            };
            add_all(&mut kernels, self.context.timed(&timer, record).await?);
            self.context
                .copy(&self.buffers.ring, &self.buffers.readback, 4);
            self.take_sampled(1).await?;
        }
        Ok(kernels)
    }
}

/// Add the dispatches of a submission to their kernels.
fn add_all(kernels: &mut Vec<KernelTime>, timed: Vec<(Work, f64)>) {
    for (Work { name, bytes }, nanoseconds) in timed {
        add(kernels, name, nanoseconds, bytes);
    }
}
