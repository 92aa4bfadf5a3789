//! [`GpuEngine`]: a model on a device, and what is submitted for a prompt and for new tokens.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::buffers::Buffers;
use super::context::{Context, Counts, Pass};
use super::matrices::Dtypes;
use super::pipelines::Pipelines;
use super::plan::Plan;
use super::step::Step;
use super::tuning::{Forced, TILED_FROM, Tuning};
use crate::adjustments::{Adjustments, Penalties};
use crate::cache::Cache;
use crate::cursor::Cursor;
use crate::error::EngineError;
use crate::format::{Config, ReadAt};
use crate::limits::RING;
use crate::memory::{product, with_capacity};
use crate::model::Model;
use crate::sampling::Sampling;

/// In the ring instead of an id, with the index of the first NaN or infinity among the logits: see `shaders/sample.wgsl`.
const BAD_LOGIT: u32 = 0x8000_0000;

/// What [`GpuEngine::new`] is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Compiling the kernels.
    Compile,
    /// Writing the weights to the GPU, and a first run of every kernel.
    WarmUp,
}

impl Phase {
    /// The name that the page's protocol uses.
    ///
    /// ```
    /// assert_eq!(pocketlm_inference::gpu::Phase::WarmUp.name(), "warm-up");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Self::Compile => "compile",
            Self::WarmUp => "warm-up",
        }
    }
}

/// A model on a GPU.
pub struct GpuEngine {
    pub(super) model: Arc<Model>,
    cache: Cache,
    pub(super) context: Context,
    pub(super) buffers: Buffers,
    pub(super) plan: Plan,
    pub(super) tuning: Tuning,
    /// It has logits where row 0 of the buffer is that of the last position.
    pub(super) cursor: Cursor,
}

impl GpuEngine {
    /// Put a model on a device. `progress` is told the phase and the fraction of it that is done. `cache`: in what keys and values are
    /// kept, [`Cache::of`] the model unless told.
    ///
    /// The device belongs to the engine from now on: its error callbacks are replaced.
    ///
    /// # Errors
    /// [`EngineError::NoAdapter`] where the device's limits are too small, [`EngineError::OutOfMemory`], [`EngineError::Gpu`] with the
    /// kernel that does not compile, [`EngineError::DeviceLost`].
    pub async fn new(
        model: Arc<Model>,
        cache: Option<Cache>,
        device: wgpu::Device,
        queue: wgpu::Queue,
        progress: impl FnMut(Phase, f32),
    ) -> Result<Self, EngineError> {
        let forced = Forced::default();
        Self::with(model, None, cache, forced, device, queue, progress).await
    }

    /// As [`new`](Self::new), of a model that was [opened](Model::open): its weights go from `source` to the device, and never lie in
    /// memory as a whole.
    ///
    /// # Errors
    /// As [`new`](Self::new), and those of [`for_each_part`](crate::weights::for_each_part).
    pub async fn from_source(
        model: Arc<Model>,
        source: &dyn ReadAt,
        cache: Option<Cache>,
        device: wgpu::Device,
        queue: wgpu::Queue,
        progress: impl FnMut(Phase, f32),
    ) -> Result<Self, EngineError> {
        let forced = Forced::default();
        Self::with(model, Some(source), cache, forced, device, queue, progress).await
    }

    /// As [`new`](Self::new), with the kernels cut and chosen as is `forced`, whatever the adapter: for tests.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub async fn forced(
        model: Arc<Model>,
        cache: Option<Cache>,
        forced: Forced,
        device: wgpu::Device,
        queue: wgpu::Queue,
    ) -> Result<Self, EngineError> {
        Self::with(model, None, cache, forced, device, queue, |_, _| {}).await
    }

    async fn with(
        model: Arc<Model>,
        source: Option<&dyn ReadAt>,
        cache: Option<Cache>,
        forced: Forced,
        device: wgpu::Device,
        queue: wgpu::Queue,
        mut progress: impl FnMut(Phase, f32),
    ) -> Result<Self, EngineError> {
        if source.is_none() {
            model.check_whole()?;
        }
        let cache = cache.unwrap_or_else(|| Cache::of(&model));
        let context = Context::new(device, queue);
        let config = model.config();
        let tuning = Tuning::forced(context.device_type(), forced);
        let dtypes = Dtypes::of(&model);
        let compiling = |fraction| progress(Phase::Compile, fraction);
        let pipelines =
            Pipelines::compile(&context, config, cache, &dtypes, tuning, compiling).await?;
        let uploading = |fraction: f32| progress(Phase::WarmUp, 0.5 * fraction);
        let rows = pipelines.attention.partial_rows();
        let buffers = Buffers::new(&context, &model, source, cache, rows, uploading).await?;
        let plan = Plan::new(&context, config, Arc::new(pipelines), &buffers);
        let mut engine = Self {
            cursor: Cursor::new(model.config()),
            model,
            cache,
            context,
            buffers,
            plan,
            tuning,
        };
        progress(Phase::WarmUp, 0.5);
        engine.warm_up().await?;
        progress(Phase::WarmUp, 1.0);
        Ok(engine)
    }

    /// An engine of the same weights and kernels with an empty cache; what it takes is the cache and the activations.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`], [`EngineError::DeviceLost`].
    pub async fn another(&self) -> Result<Self, EngineError> {
        let context = self.context.clone();
        let buffers = self.buffers.another(&context).await?;
        Ok(Self {
            plan: self.plan.over(&context, self.config(), &buffers),
            cursor: Cursor::new(self.config()),
            model: self.model.clone(),
            cache: self.cache,
            tuning: self.tuning,
            context,
            buffers,
        })
    }

    /// An engine of the same weights that stands where this one does; from here on neither knows of the other.
    ///
    /// # Errors
    /// As [`another`](Self::another).
    pub async fn fork(&self) -> Result<Self, EngineError> {
        let mut fork = self.another().await?;
        let pairs = self.buffers.remembered().zip(fork.buffers.remembered());
        fork.context.copy_whole(pairs);
        fork.cursor = self.cursor.clone();
        fork.context.check("copy")?;
        Ok(fork)
    }

    /// Run every pipeline once: drivers compile at the first use. What it leaves in the cache is overwritten before it is read.
    async fn warm_up(&mut self) -> Result<(), EngineError> {
        let zeros = [0; TILED_FROM as usize];
        for tokens in [2, TILED_FROM] {
            let tokens = tokens.min(self.buffers.chunk) as usize;
            self.logits(&zeros[..tokens]).await?;
            self.rewind(0)?;
        }
        self.prefill(&zeros[..1]).await?;
        if self.config().ctx_len > 1 {
            self.decode(
                &Sampling {
                    temperature: 1.0,
                    top_k: 2,
                    top_p: 0.9,
                    repetition_penalty: 1.1,
                    ..Sampling::GREEDY
                },
                1,
            )
            .await?;
        }
        self.rewind(0)
    }

    fn config(&self) -> &Config {
        self.model.config()
    }

    /// The model that runs.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// In what keys and values are kept.
    pub fn cache(&self) -> Cache {
        self.cache
    }

    /// Where it runs.
    pub fn adapter_info(&self) -> wgpu::AdapterInfo {
        self.context.adapter_info()
    }

    /// What was asked of the device so far: dispatches, passes, submissions, created objects.
    pub fn counts(&self) -> Counts {
        self.context.counts()
    }

    /// Positions of the cache in use.
    pub fn position(&self) -> u32 {
        self.cursor.position()
    }

    /// The tokens in the cache, one a position in use.
    pub fn ids(&self) -> &[u32] {
        self.cursor.ids()
    }

    /// Forget all positions from `position` on.
    ///
    /// # Errors
    /// [`EngineError::BadRewind`] when fewer positions are in use.
    pub fn rewind(&mut self, position: u32) -> Result<(), EngineError> {
        self.cursor.rewind(position)
    }

    /// Read tokens into the cache and compute the logits of the last one; waits until the GPU is done.
    ///
    /// # Errors
    /// [`EngineError::TokenOutOfRange`], [`EngineError::ContextFull`], [`EngineError::DeviceLost`], [`EngineError::Gpu`].
    pub async fn prefill(&mut self, ids: &[u32]) -> Result<(), EngineError> {
        self.cursor.check_ids(ids)?;
        let mut chunks = ids.chunks(self.buffers.chunk as usize).peekable();
        while let Some(chunk) = chunks.next() {
            let logits_rows = u32::from(chunks.peek().is_none());
            self.submit_chunk(chunk, logits_rows, None)?;
        }
        if ids.is_empty() {
            Ok(())
        } else {
            self.context.finish().await
        }
    }

    /// Read tokens like [`prefill`](Self::prefill) and return the logits of each: (T, V).
    ///
    /// # Errors
    /// As [`prefill`](Self::prefill), and [`EngineError::OutOfMemory`].
    pub async fn logits(&mut self, ids: &[u32]) -> Result<Vec<f32>, EngineError> {
        self.cursor.check_ids(ids)?;
        let vocab_size = self.config().vocab_size as usize;
        let what = "logits of all positions";
        let mut all = with_capacity(what, product(what, &[ids.len(), vocab_size])?)?;
        for chunk in ids.chunks(self.buffers.logits_rows as usize) {
            let rows = chunk.len() as u32;
            let bytes = u64::from(rows) * vocab_size as u64 * 4;
            self.submit_chunk(chunk, rows, Some(bytes))?;
            // The kernel writes the last token's row first.
            let in_order = |bytes: &[u8]| {
                for row in bytemuck::cast_slice::<u8, f32>(bytes)
                    .chunks_exact(vocab_size)
                    .rev()
                {
                    all.extend_from_slice(row);
                }
            };
            self.context
                .read(&self.buffers.readback, bytes, in_order)
                .await?;
        }
        Ok(all)
    }

    /// The logits of the last position: (V).
    ///
    /// # Errors
    /// [`EngineError::NoLogits`] before the first token and right after a rewind; [`EngineError::DeviceLost`].
    pub async fn last_logits(&mut self) -> Result<Vec<f32>, EngineError> {
        self.cursor.check_logits()?;
        let bytes = u64::from(self.config().vocab_size) * 4;
        self.context
            .copy(&self.buffers.logits, &self.buffers.readback, bytes);
        self.context
            .read(&self.buffers.readback, bytes, |bytes| {
                bytemuck::cast_slice(bytes).to_vec()
            })
            .await
    }

    /// Sample `n` tokens, each of which is read into the cache; up to [`RING`] in one submission.
    ///
    /// # Errors
    /// [`EngineError::NoLogits`], those of [`Sampling::check`], [`EngineError::BadLogits`], [`EngineError::ContextFull`],
    /// [`EngineError::DeviceLost`], [`EngineError::Gpu`].
    pub async fn decode(&mut self, sampling: &Sampling, n: u32) -> Result<Vec<u32>, EngineError> {
        sampling.check(self.config().vocab_size)?;
        self.cursor.check_logits()?;
        self.cursor.check_room(n as usize)?;
        let mut ids = Vec::with_capacity(n as usize);
        while ids.len() < n as usize {
            let batch = RING.min(n - ids.len() as u32);
            self.submit_decode(sampling, batch)?;
            ids.extend(self.take_sampled(batch).await?);
        }
        Ok(ids)
    }

    /// Wait for the ids of the last `n` sampled tokens, which are copied to be read.
    pub(super) async fn take_sampled(&mut self, n: u32) -> Result<Vec<u32>, EngineError> {
        let take = |bytes: &[u8]| bytemuck::cast_slice::<u8, u32>(bytes).to_vec();
        let bytes = u64::from(n) * 4;
        let taken = self
            .context
            .read(&self.buffers.readback, bytes, take)
            .await?;
        if let Some(place) = taken.iter().position(|id| id & BAD_LOGIT != 0) {
            // The tokens before it stand in the cache; those after it are of no use, and neither are the logits.
            self.cursor.advance(&taken[..place], false);
            return Err(EngineError::BadLogits {
                index: (taken[place] & !BAD_LOGIT) as usize,
            });
        }
        self.cursor.advance(&taken, true);
        Ok(taken)
    }

    /// Submit one chunk of given tokens: `logits_rows` of the last ones' logits, and those copied to be read where `copy_bytes` is.
    fn submit_chunk(
        &mut self,
        ids: &[u32],
        logits_rows: u32,
        copy_bytes: Option<u64>,
    ) -> Result<(), EngineError> {
        let n_tokens = ids.len() as u32;
        let step = self.write_chunk(ids)?;
        let copy = copy_bytes.map(|bytes| (&self.buffers.logits, &self.buffers.readback, bytes));
        let config = self.model.config();
        let forward = |pass: &mut Pass<'_>| {
            self.plan
                .forward(pass, config, step.position, n_tokens, logits_rows)
        };
        self.context.submit(forward, copy);
        self.cursor.advance(ids, logits_rows > 0);
        Ok(())
    }

    /// Submit `n` times sample and forward, and the copy of the ids.
    fn submit_decode(&mut self, sampling: &Sampling, n: u32) -> Result<(), EngineError> {
        let config = self.model.config();
        let is_adjusted = self.write_sampling(sampling)?;
        let position = self.position();
        let record = |pass: &mut Pass<'_>| {
            for i in 0..n {
                self.plan.sample(pass, is_adjusted);
                self.plan.forward(pass, config, position + i, 1, 1);
            }
        };
        self.context.submit(
            record,
            Some((&self.buffers.ring, &self.buffers.readback, u64::from(n) * 4)),
        );
        // They are those of a token that the host has not read yet.
        self.cursor.advance(&[], false);
        Ok(())
    }

    /// Tell the kernels of given tokens, before they are submitted.
    pub(super) fn write_chunk(&self, ids: &[u32]) -> Result<Step, EngineError> {
        self.context.check("run")?;
        let step = Step {
            position: self.position(),
            n_tokens: ids.len() as u32,
            ..Step::default()
        };
        self.context
            .write(&self.buffers.step, 0, bytemuck::bytes_of(&step));
        self.context
            .write(&self.buffers.ids, 0, bytemuck::cast_slice(ids));
        Ok(step)
    }

    /// Tell them how to sample. Returns whether logits are adjusted before.
    pub(super) fn write_sampling(&self, sampling: &Sampling) -> Result<bool, EngineError> {
        self.context.check("run")?;
        // `sample` counts up to the position of the token it samples; there are logits, so at least one position is in use.
        let step = Step {
            position: self.position() - 1,
            n_tokens: 1,
            top_k: sampling.top_k,
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            logit_range: sampling.logit_range(),
            seed: sampling.seed,
            ..Step::default()
        };
        self.context
            .write(&self.buffers.step, 0, bytemuck::bytes_of(&step));
        let config = self.model.config();
        let adjustments = Adjustments::new(sampling, self.cursor.ids(), config.vocab_size);
        if let Some(adjustments) = &adjustments {
            let (buffer, penalties) = (&self.buffers.adjustments, adjustments.penalties());
            self.context
                .write(buffer, 0, bytemuck::bytes_of(&penalties));
            let list = bytemuck::cast_slice(adjustments.list());
            self.context
                .write(buffer, size_of::<Penalties>() as u64, list);
        }
        Ok(adjustments.is_some())
    }
}
