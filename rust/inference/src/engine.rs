//! One face for both backends.
//!
//! All methods that may wait are async; the CPU's complete at once. State: `position` tokens stand in the cache, and the logits
//! of the last one are kept where they were computed until a token is sampled from them.

#[cfg(feature = "gpu")]
use alloc::boxed::Box;
#[cfg(feature = "gpu")]
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use crate::cache::Cache;
use crate::cpu::{CpuEngine, Isa, OneThread, Threads};
use crate::error::EngineError;
#[cfg(feature = "gpu")]
use crate::format::ReadAt;
#[cfg(feature = "gpu")]
use crate::gpu::{GpuEngine, Phase};
use crate::limits::PREFILL_CHUNK;
use crate::model::Model;
use crate::profile::KernelTime;
use crate::sampling::Sampling;

/// A loaded model, ready to run on one backend.
#[allow(
    clippy::large_enum_variant,
    reason = "a program has one engine and does not move it about"
)]
pub enum Engine {
    /// Plain loops, natively or in wasm.
    Cpu(CpuEngine),
    /// The kernels of `shaders/`, through wgpu.
    #[cfg(feature = "gpu")]
    Gpu(Box<GpuEngine>),
}

impl Engine {
    /// Tokens of a prompt that are read at once. A caller that wants to be able to stop gives prompts in pieces of this size.
    pub const PREFILL_CHUNK: usize = PREFILL_CHUNK;

    /// Run `model` on the CPU, with what every processor has, on the calling thread.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`].
    pub fn cpu(model: Arc<Model>) -> Result<Self, EngineError> {
        Self::cpu_with(model, None, Isa::BASELINE, Arc::new(OneThread))
    }

    /// Run `model` on the CPU, with these instructions and threads. The threads make it faster and change no bit of what it computes.
    /// `cache`: in what keys and values are kept, [`Cache::of`] the model unless told.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`].
    pub fn cpu_with(
        model: Arc<Model>,
        cache: Option<Cache>,
        isa: Isa,
        threads: Arc<dyn Threads>,
    ) -> Result<Self, EngineError> {
        CpuEngine::new(model, cache, isa, threads).map(Self::Cpu)
    }

    /// Run `model` on a GPU device, as [`crate::gpu::request`] gives it; `progress` is told the phase and its done fraction. `cache` as
    /// [`cpu_with`](Self::cpu_with)'s.
    ///
    /// # Errors
    /// Those of [`GpuEngine::new`].
    #[cfg(feature = "gpu")]
    pub async fn gpu(
        model: Arc<Model>,
        cache: Option<Cache>,
        device: wgpu::Device,
        queue: wgpu::Queue,
        progress: impl FnMut(Phase, f32),
    ) -> Result<Self, EngineError> {
        GpuEngine::new(model, cache, device, queue, progress)
            .await
            .map(|engine| Self::Gpu(Box::new(engine)))
    }

    /// As [`gpu`](Self::gpu), of a model that was [opened](Model::open): its weights go from `source` to the device, a part at a time.
    ///
    /// # Errors
    /// Those of [`GpuEngine::from_source`].
    #[cfg(feature = "gpu")]
    pub async fn gpu_from(
        model: Arc<Model>,
        source: &dyn ReadAt,
        cache: Option<Cache>,
        device: wgpu::Device,
        queue: wgpu::Queue,
        progress: impl FnMut(Phase, f32),
    ) -> Result<Self, EngineError> {
        GpuEngine::from_source(model, source, cache, device, queue, progress)
            .await
            .map(|engine| Self::Gpu(Box::new(engine)))
    }

    /// Choose how a GPU's kernels are cut by measurement, right after loading: [`GpuEngine::tune`]. The CPU has nothing to choose.
    ///
    /// # Errors
    /// Those of [`GpuEngine::tune`].
    #[cfg(feature = "gpu")]
    pub async fn tune(
        &mut self,
        adapter: &str,
        known: &str,
    ) -> Result<Option<String>, EngineError> {
        match self {
            Self::Cpu(_) => Ok(None),
            Self::Gpu(engine) => engine.tune(adapter, known).await,
        }
    }

    /// An engine of the same weights, which are held once, with a cache of its own that is empty. Both may run by turns; on a GPU they
    /// share the device, and lose it together.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`]; the GPU's errors.
    pub async fn another(&self) -> Result<Self, EngineError> {
        match self {
            Self::Cpu(engine) => engine.another().map(Self::Cpu),
            #[cfg(feature = "gpu")]
            Self::Gpu(engine) => engine.another().await.map(|new| Self::Gpu(Box::new(new))),
        }
    }

    /// As [`another`](Self::another), with a copy of this one's cache: it stands where this one does, and from here on neither changes
    /// the other.
    ///
    /// # Errors
    /// As [`another`](Self::another).
    pub async fn fork(&self) -> Result<Self, EngineError> {
        match self {
            Self::Cpu(engine) => engine.fork().map(Self::Cpu),
            #[cfg(feature = "gpu")]
            Self::Gpu(engine) => engine.fork().await.map(|new| Self::Gpu(Box::new(new))),
        }
    }

    /// "cpu" or "gpu".
    pub fn backend(&self) -> &'static str {
        match self {
            Self::Cpu(_) => "cpu",
            #[cfg(feature = "gpu")]
            Self::Gpu(_) => "gpu",
        }
    }

    /// In what keys and values are kept.
    pub fn cache(&self) -> Cache {
        match self {
            Self::Cpu(engine) => engine.cache(),
            #[cfg(feature = "gpu")]
            Self::Gpu(engine) => engine.cache(),
        }
    }

    /// The model that runs.
    pub fn model(&self) -> &Arc<Model> {
        match self {
            Self::Cpu(engine) => engine.model(),
            #[cfg(feature = "gpu")]
            Self::Gpu(engine) => engine.model(),
        }
    }

    /// Positions of the cache in use.
    pub fn position(&self) -> u32 {
        match self {
            Self::Cpu(engine) => engine.position(),
            #[cfg(feature = "gpu")]
            Self::Gpu(engine) => engine.position(),
        }
    }

    /// The tokens in the cache, one a position in use.
    pub fn ids(&self) -> &[u32] {
        match self {
            Self::Cpu(engine) => engine.ids(),
            #[cfg(feature = "gpu")]
            Self::Gpu(engine) => engine.ids(),
        }
    }

    /// Forget all positions from `position` on.
    ///
    /// # Errors
    /// [`EngineError::BadRewind`] when fewer positions are in use.
    pub fn rewind(&mut self, position: u32) -> Result<(), EngineError> {
        match self {
            Self::Cpu(engine) => engine.rewind(position),
            #[cfg(feature = "gpu")]
            Self::Gpu(engine) => engine.rewind(position),
        }
    }

    /// Read tokens into the cache and compute the logits of the last one, in chunks of [`PREFILL_CHUNK`](Self::PREFILL_CHUNK).
    ///
    /// # Errors
    /// [`EngineError::TokenOutOfRange`] and [`EngineError::ContextFull`] before anything is read; the GPU's errors.
    pub async fn prefill(&mut self, ids: &[u32]) -> Result<(), EngineError> {
        match self {
            Self::Cpu(engine) => engine.prefill(ids),
            #[cfg(feature = "gpu")]
            Self::Gpu(engine) => engine.prefill(ids).await,
        }
    }

    /// Read one chunk as [`prefill`](Self::prefill) does, at most `layers` layers of it a call; returns whether it is read now. See
    /// [`CpuEngine::prefill_part`]; a GPU reads the whole chunk at once.
    ///
    /// # Errors
    /// As [`prefill`](Self::prefill).
    ///
    /// # Panics
    /// Where there are more ids than [`PREFILL_CHUNK`](Self::PREFILL_CHUNK), or none.
    pub async fn prefill_part(&mut self, ids: &[u32], layers: u32) -> Result<bool, EngineError> {
        match self {
            Self::Cpu(engine) => engine.prefill_part(ids, layers),
            #[cfg(feature = "gpu")]
            Self::Gpu(engine) => engine.prefill(ids).await.map(|()| true),
        }
    }

    /// Read tokens like [`prefill`](Self::prefill) and return the logits of each: (T, V).
    ///
    /// # Errors
    /// As [`prefill`](Self::prefill), and [`EngineError::OutOfMemory`].
    pub async fn logits(&mut self, ids: &[u32]) -> Result<Vec<f32>, EngineError> {
        match self {
            Self::Cpu(engine) => engine.logits(ids),
            #[cfg(feature = "gpu")]
            Self::Gpu(engine) => engine.logits(ids).await,
        }
    }

    /// The logits of the last position: (V).
    ///
    /// # Errors
    /// [`EngineError::NoLogits`] before the first token and right after a rewind.
    pub async fn last_logits(&mut self) -> Result<Vec<f32>, EngineError> {
        match self {
            Self::Cpu(engine) => engine.last_logits().map(<[f32]>::to_vec),
            #[cfg(feature = "gpu")]
            Self::Gpu(engine) => engine.last_logits().await,
        }
    }

    /// Sample `n` tokens, each of which is read into the cache; the token that will stand at position p uses the random number
    /// of (seed, p).
    ///
    /// # Errors
    /// [`EngineError::NoLogits`], those of [`Sampling::check`], [`EngineError::ContextFull`] where `position + n > ctx_len`,
    /// [`EngineError::BadLogits`]; the GPU's errors.
    pub async fn decode(&mut self, sampling: &Sampling, n: u32) -> Result<Vec<u32>, EngineError> {
        match self {
            Self::Cpu(engine) => engine.decode(sampling, n),
            #[cfg(feature = "gpu")]
            Self::Gpu(engine) => engine.decode(sampling, n).await,
        }
    }

    /// See [`look::lens`](crate::look::lens): (V), of a token that would stand next, after the last of these layers; the call before this
    /// ran those before them.
    pub(crate) async fn logits_after(
        &mut self,
        id: u32,
        layers: Range<usize>,
    ) -> Result<Vec<f32>, EngineError> {
        match self {
            Self::Cpu(engine) => engine.logits_after(id, layers),
            #[cfg(feature = "gpu")]
            Self::Gpu(engine) => engine.logits_after(id, layers).await,
        }
    }

    /// See [`look::attention`](crate::look::attention): (H, position + 1), of a token that would stand next.
    pub(crate) async fn attention_weights(
        &mut self,
        id: u32,
        layer: usize,
    ) -> Result<Vec<f32>, EngineError> {
        match self {
            Self::Cpu(engine) => engine.attention_weights(id, layer),
            #[cfg(feature = "gpu")]
            Self::Gpu(engine) => engine.attention_weights(id, layer).await,
        }
    }

    /// Whether [`decode_guessed`](Self::decode_guessed) reads guesses: the CPU alone does.
    pub fn can_guess(&self) -> bool {
        matches!(self, Self::Cpu(_))
    }

    /// Sample as [`decode`](Self::decode) does, and read `guesses` of what comes in one pass where the first is right. Returns the tokens
    /// sampled, at least one, and how many were read in the pass. See [`CpuEngine::decode_guessed`].
    ///
    /// # Errors
    /// As [`decode`](Self::decode), and [`EngineError::TokenOutOfRange`] for a guess.
    pub async fn decode_guessed(
        &mut self,
        sampling: &Sampling,
        guesses: &[u32],
    ) -> Result<(Vec<u32>, u32), EngineError> {
        match self {
            Self::Cpu(engine) => engine.decode_guessed(sampling, guesses),
            #[cfg(feature = "gpu")]
            Self::Gpu(engine) => engine.decode(sampling, 1).await.map(|ids| (ids, 1)),
        }
    }

    /// Read `ids`, then sample `tokens` tokens, and tell what each kernel took: see [`CpuEngine::profile`]; a GPU takes each one by itself. `now`,
    /// nanoseconds since any moment, is the CPU's clock; a GPU has its own.
    ///
    /// # Errors
    /// Those of [`prefill`](Self::prefill) and [`decode`](Self::decode); [`EngineError::NoTimestamps`] on a GPU that has no clock.
    pub async fn profile(
        &mut self,
        ids: &[u32],
        sampling: &Sampling,
        tokens: u32,
        now: &mut dyn FnMut() -> f64,
    ) -> Result<Vec<KernelTime>, EngineError> {
        match self {
            Self::Cpu(engine) => engine.profile(ids, sampling, tokens, now),
            #[cfg(feature = "gpu")]
            Self::Gpu(engine) => engine.profile(ids, sampling, tokens).await,
        }
    }

    /// Refuse a backend that does not give the file's [golden answer](Self::golden_check).
    ///
    /// # Errors
    /// [`EngineError::SelfCheck`] with the largest difference, [`EngineError::SelfCheckSample`], and those of running the model.
    pub async fn self_check(&mut self) -> Result<(), EngineError> {
        let check = self.golden_check().await?;
        let backend = self.backend();
        if check.largest_difference > check.tolerance {
            return Err(EngineError::SelfCheck {
                backend,
                index: check.index,
                expected: check.expected,
                got: check.got,
                tolerance: check.tolerance,
            });
        }
        match check.sampled {
            Some(got) if got != check.likeliest => Err(EngineError::SelfCheckSample {
                backend,
                expected: check.likeliest,
                got,
            }),
            _ => Ok(()),
        }
    }

    /// Run the golden prompt of the file and compare its last logits with torch's, then sample the likeliest token; leaves the cache empty.
    ///
    /// The last id is read by itself: a GPU has other kernels for one token than for many, and a driver may get either wrong. Every
    /// |difference| should be ≤ 1e-3 · max(standard deviation of the golden logits, 0.1), or with a cache in f16 ≤ 50 times that
    /// (`training/FORMAT.md` §2).
    ///
    /// # Errors
    /// Those of running the model; numbers that are wrong are none.
    pub async fn golden_check(&mut self) -> Result<GoldenCheck, EngineError> {
        let model = self.model().clone();
        self.rewind(0)?;
        let checked = self.run_golden(&model).await;
        self.rewind(0)?;
        checked
    }

    async fn run_golden(&mut self, model: &Model) -> Result<GoldenCheck, EngineError> {
        let golden = model.golden();
        let alone = golden.ids.len().saturating_sub(1);
        self.prefill(&golden.ids[..alone]).await?;
        self.prefill(&golden.ids[alone..]).await?;
        let logits = self.last_logits().await?;
        let tolerance = tolerance(golden.logits)
            * match self.cache() {
                Cache::F32 => 1.0,
                Cache::F16 => SLACK_OF_F16,
            };
        // A NaN compares false with everything, so it is taken for an infinite difference.
        let difference = |index: &usize| {
            let difference = (logits[*index] - golden.logits[*index]).abs();
            if difference.is_nan() {
                f32::INFINITY
            } else {
                difference
            }
        };
        let worst = (0..logits.len()).max_by(|a, b| difference(a).total_cmp(&difference(b)));
        let index = worst.unwrap_or(0);
        // Logits that are no numbers are refused by whoever samples: what stands here is told all the same.
        let is_sampled =
            difference(&index) <= tolerance && self.position() < model.config().ctx_len;
        let sampled = if is_sampled {
            Some(self.decode(&Sampling::GREEDY, 1).await?[0])
        } else {
            None
        };
        Ok(GoldenCheck {
            largest_difference: difference(&index),
            tolerance,
            index,
            expected: golden.logits[index],
            got: logits[index],
            golden_likeliest: likeliest(golden.logits),
            likeliest: likeliest(&logits),
            sampled,
        })
    }
}

/// How a backend's answer to the golden prompt compares with torch's, whose logits the file has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GoldenCheck {
    /// Over the vocabulary, infinite where a logit is no number.
    pub largest_difference: f32,
    /// Largest difference that counts as rounding.
    pub tolerance: f32,
    /// Token id of the largest difference.
    pub index: usize,
    /// torch's logit there.
    pub expected: f32,
    /// The backend's.
    pub got: f32,
    /// Token id of torch's largest logit.
    pub golden_likeliest: u32,
    /// Token id of the backend's.
    pub likeliest: u32,
    /// The token that the backend takes at temperature 0; none where the logits are wrong, or the context is full.
    pub sampled: Option<u32>,
}

/// The id of the largest logit, the first of those that are as large; 0 where none is a number.
fn likeliest(logits: &[f32]) -> u32 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let found = logits.iter().position(|logit| *logit == largest);
    found.map_or(0, |id| id as u32)
}

/// How many times as much a cache in f16 may differ. Chosen by measurement: over 256 positions the largest difference from a cache in f32
/// is 4 times [`tolerance`] in a random model of 15 M weights, and 17 times in SmolLM2-135M; one that computes something else is further off.
const SLACK_OF_F16: f32 = 50.0;

/// The largest difference between two computations of the same logits that counts as rounding: 1e-3 · max(standard deviation, 0.1).
///
/// Chosen by measurement: f32 against f64 on random Llamas differs by 8e-7 where the logits' standard deviation is 0.28, and by
/// 1.8e-3 where it is 4.2, so the bound must grow with the logits.
///
/// ```
/// assert!((pocketlm_inference::engine::tolerance(&[0.0, 2.0]) - 1e-3).abs() < 1e-9);
/// ```
pub fn tolerance(logits: &[f32]) -> f32 {
    let n = logits.len() as f64;
    let mean = logits.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
    let variance = logits
        .iter()
        .map(|x| (f64::from(*x) - mean) * (f64::from(*x) - mean))
        .sum::<f64>()
        / n;
    (1e-3 * libm::sqrt(variance).max(0.1)) as f32
}
