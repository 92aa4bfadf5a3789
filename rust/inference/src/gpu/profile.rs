//! How long each kernel takes, by the device's own clock.

use alloc::vec::Vec;

use super::context::{Pass, Work};
use super::engine::GpuEngine;
use crate::error::EngineError;
use crate::sampling::Sampling;

/// What one kernel took, over all of its dispatches.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelTime {
    /// The kernel's, as its file in `shaders/` is named.
    pub name: &'static str,
    /// How often it was dispatched.
    pub dispatches: u32,
    /// Time on the device.
    pub nanoseconds: f64,
    /// Bytes of weights, cache and logits that it read, each counted once a dispatch; activations are not counted.
    pub bytes: u64,
}

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
            add(&mut kernels, self.context.timed(&timer, record).await?);
            self.cursor.advance(chunk, logits_rows > 0);
        }
        for _ in 0..tokens {
            let is_adjusted = self.write_sampling(sampling)?;
            let position = self.position();
            let record = |pass: &mut Pass<'_>| {
                self.plan.sample(pass, is_adjusted);
                self.plan.forward(pass, self.model.config(), position, 1, 1);
            };
            add(&mut kernels, self.context.timed(&timer, record).await?);
            self.context
                .copy(&self.buffers.ring, &self.buffers.readback, 4);
            self.take_sampled(1).await?;
        }
        Ok(kernels)
    }
}

/// Add the dispatches of a submission to their kernels.
fn add(kernels: &mut Vec<KernelTime>, timed: Vec<(Work, f64)>) {
    for (Work { name, bytes }, nanoseconds) in timed {
        let known = kernels.iter().position(|kernel| kernel.name == name);
        let place = known.unwrap_or_else(|| {
            kernels.push(KernelTime {
                name,
                dispatches: 0,
                nanoseconds: 0.0,
                bytes: 0,
            });
            kernels.len() - 1
        });
        let kernel = &mut kernels[place];
        kernel.dispatches += 1;
        kernel.nanoseconds += nanoseconds;
        kernel.bytes += bytes;
    }
}
