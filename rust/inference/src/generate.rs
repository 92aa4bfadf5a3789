//! The generation loop that the command line and the browser share.
//!
//! It reads the prompt chunk by chunk, then samples K tokens at a time, stops at a token that ends the text or at the limit, and slides the
//! window when the cache is full: the last half of the context is read again at position 0.
//!
//! How much a step does is the caller's to say, who has the clock: [`set_batch`](Generator::set_batch) and [`set_layers`](Generator::set_layers)
//! change when control comes back, never which tokens come.

mod lookup;

use alloc::vec::Vec;

use crate::cursor::check_vocabulary;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::limits::PREFILL_CHUNK;
use crate::logprobs::Logprobs;
use crate::sampling::{Sampling, random_u32};

/// Why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// The model produced its end-of-text token, or another that ends a text; it is not part of the output.
    Eos,
    /// The limit was reached.
    MaxTokens,
}

/// What one call of [`Generator::step`] did.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// New tokens; none while the prompt is being read.
    pub ids: Vec<u32>,
    /// What the model said of each of them, where [`Generator::set_top_logprobs`] asks for it; else empty.
    pub logprobs: Vec<Logprobs>,
    /// Tokens of the prompt (or, after a slide, of the window) that were read in this step.
    pub prefilled: u32,
    /// Tokens that were guessed and read in one pass ([`Generator::set_guesses`]), of which the right ones are in `ids`; 0 where none were.
    pub guessed: u32,
    /// Set in the last step.
    pub done: Option<FinishReason>,
}

/// The state of one generation. It holds no engine: give the same one to each [`step`](Self::step).
#[derive(Debug, Clone)]
pub struct Generator {
    sampling: Sampling,
    /// Tokens that may still be produced.
    remaining: u32,
    /// Tokens sampled by one step.
    batch: u32,
    /// Layers of a prompt's chunk that one step computes.
    layers: u32,
    /// Tokens that are guessed at once; below 2 none are.
    guesses: u32,
    /// So many likeliest tokens are told with each one; `None` tells nothing.
    top_logprobs: Option<u32>,
    /// What stands in the cache, followed by what still has to be read.
    window: Vec<u32>,
    /// Windows begun; each has random numbers of its own, since positions repeat.
    slides: u32,
    /// So many tokens of the window were read, or will be, in chunks from position 0: whole chunks of them are rounded as in any other
    /// run that begins with them.
    in_chunks: usize,
    /// A step began and did not end well: what the cache holds is not known.
    is_broken: bool,
    done: Option<FinishReason>,
}

impl Generator {
    /// Tokens sampled by one step unless [`set_batch`](Self::set_batch) says otherwise.
    pub const BATCH: u32 = 8;

    /// Begin: forget what the engine holds; nothing is computed yet.
    ///
    /// A prompt longer than the context keeps its last `ctx_len / 2` tokens, as after a slide.
    ///
    /// # Errors
    /// [`EngineError::EmptyPrompt`], [`EngineError::TokenOutOfRange`], those of [`Sampling::check`], and [`EngineError::ContextFull`] for a context of a single position.
    pub fn start(
        engine: &mut Engine,
        prompt: &[u32],
        sampling: Sampling,
        max_tokens: u32,
    ) -> Result<Self, EngineError> {
        let new = Self::unread(engine, prompt, sampling, max_tokens)?;
        engine.rewind(0)?;
        Ok(new)
    }

    /// Begin another generation on the engine that `self` ran on and nobody used since: what both prompts begin with stays in the
    /// cache, and so does what was generated, where the new prompt goes on from there, as the next turn of a conversation does.
    ///
    /// Where no more than the old prompt is shared, whole chunks of it are kept: then the text is bit for bit the one that
    /// [`start`](Self::start) gives. After that it is the same up to rounding, since tokens were read one by one.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn follow(
        self,
        engine: &mut Engine,
        prompt: &[u32],
        sampling: Sampling,
        max_tokens: u32,
    ) -> Result<Self, EngineError> {
        let mut new = Self::unread(engine, prompt, sampling, max_tokens)?;
        let cached = if self.is_broken {
            0
        } else {
            self.window.len().min(engine.position() as usize)
        };
        let same = self.window[..cached]
            .iter()
            .zip(&new.window)
            .take_while(|(old, new)| old == new)
            .count()
            .min(new.window.len() - 1); // the logits are those of a token that is read
        let kept = if same <= self.in_chunks {
            same / PREFILL_CHUNK * PREFILL_CHUNK
        } else {
            new.in_chunks = self.in_chunks;
            same
        };
        engine.rewind(kept as u32)?;
        Ok(new)
    }

    /// A generation whose prompt is still to be read, all of it.
    fn unread(
        engine: &Engine,
        prompt: &[u32],
        mut sampling: Sampling,
        max_tokens: u32,
    ) -> Result<Self, EngineError> {
        let config = engine.model().config();
        sampling.check(config.vocab_size)?;
        if prompt.is_empty() {
            return Err(EngineError::EmptyPrompt);
        }
        check_vocabulary(prompt, config.vocab_size)?;
        if config.ctx_len < 2 {
            // A window of one token has no room for a second.
            return Err(EngineError::ContextFull {
                position: 1,
                tokens: 1,
                ctx_len: config.ctx_len,
            });
        }
        let ctx_len = config.ctx_len as usize;
        let mut window = Vec::with_capacity(ctx_len);
        window.extend_from_slice(if prompt.len() > ctx_len {
            tail(prompt, ctx_len)
        } else {
            prompt
        });
        sampling.answer_from = window.len() as u32;
        Ok(Self {
            sampling,
            remaining: max_tokens,
            batch: Self::BATCH,
            layers: u32::MAX,
            guesses: 0,
            top_logprobs: None,
            in_chunks: window.len(),
            window,
            slides: 0,
            is_broken: false,
            done: None,
        })
    }

    /// Take `written` for tokens that this run has brought already, on an engine that is gone: they are read again, not sampled, and the
    /// tokens after them are those that would have come. Call it once, right after [`start`](Self::start).
    ///
    /// # Errors
    /// [`EngineError::TokenOutOfRange`].
    pub fn resume(&mut self, engine: &mut Engine, written: &[u32]) -> Result<(), EngineError> {
        let config = engine.model().config();
        check_vocabulary(written, config.vocab_size)?;
        let ctx_len = config.ctx_len as usize;
        for id in written {
            if self.window.len() == ctx_len {
                self.slide(engine)?;
            }
            self.window.push(*id);
        }
        self.remaining = self.remaining.saturating_sub(written.len() as u32);
        Ok(())
    }

    /// Sample up to `batch` tokens a step: fewer calls, but less often a chance to show text or to stop.
    pub fn set_batch(&mut self, batch: u32) {
        self.batch = batch.max(1);
    }

    /// Compute up to `layers` layers of a prompt's chunk a step, all of them unless told: a step that ends before the last one has read
    /// nothing yet, and the numbers are the same bit for bit. A GPU reads whole chunks all the same.
    pub fn set_layers(&mut self, layers: u32) {
        self.layers = layers.max(1);
    }

    /// Guess up to `guesses` tokens from what followed the last ones where they stood before, and read them in one pass; a step brings a
    /// single token where there is nothing to guess. 0, as unless told, does not guess. The CPU alone does it. The tokens are those that would have come, but for the rounding of
    /// [`CpuEngine::decode_guessed`](crate::cpu::CpuEngine::decode_guessed).
    ///
    /// Whether it pays depends on the text and on the machine: a step tells how many it guessed, and how long it took the caller knows.
    pub fn set_guesses(&mut self, guesses: u32) {
        self.guesses = guesses;
    }

    /// Tell with each token its log-probability and that of the `count` likeliest ones, or nothing, as unless told. Where they are told, the
    /// logits are read back for each token and nothing is guessed; where not, it costs nothing. The tokens are the same.
    pub fn set_top_logprobs(&mut self, count: Option<u32>) {
        self.top_logprobs = count;
    }

    /// Read one chunk of the prompt, or a part of it, or sample up to K tokens. After `done` it does nothing more.
    ///
    /// # Errors
    /// Those of [`Engine::prefill`] and [`Engine::decode`].
    pub async fn step(&mut self, engine: &mut Engine) -> Result<Step, EngineError> {
        if self.done.is_none() && self.remaining == 0 {
            self.done = Some(FinishReason::MaxTokens);
        }
        if self.done.is_some() {
            return Ok(self.brought(Vec::new(), Vec::new(), 0, 0));
        }
        let ctx_len = engine.model().config().ctx_len;
        if engine.position() == ctx_len {
            self.slide(engine)?;
        }
        let position = engine.position() as usize;
        if position < self.window.len() {
            let chunk = &self.window[position..self.window.len().min(position + PREFILL_CHUNK)];
            self.is_broken = true;
            let is_read = engine.prefill_part(chunk, self.layers).await?;
            let prefilled = if is_read { chunk.len() as u32 } else { 0 };
            self.is_broken = false;
            return Ok(self.brought(Vec::new(), Vec::new(), prefilled, 0));
        }
        let n = self
            .batch
            .min(self.remaining)
            .min(ctx_len - engine.position());
        self.is_broken = true;
        let mut logprobs = Vec::new();
        let (mut ids, read) = if let Some(count) = self.top_logprobs {
            let ids = self.decode_told(engine, n, count, &mut logprobs).await?;
            (ids, 1)
        } else if self.guesses > 1 && engine.can_guess() {
            let room = self.remaining.min(ctx_len - engine.position());
            let guesses = lookup::guess(&self.window, self.guesses.min(room) as usize);
            engine.decode_guessed(&self.sampling, guesses).await?
        } else {
            (engine.decode(&self.sampling, n).await?, 1)
        };
        self.is_broken = false;
        let config = engine.model().config();
        if let Some(end) = ids.iter().position(|id| config.is_end(*id)) {
            ids.truncate(end);
            logprobs.truncate(end);
            self.done = Some(FinishReason::Eos);
        }
        self.window.extend_from_slice(&ids);
        self.remaining -= ids.len() as u32;
        if self.done.is_none() && self.remaining == 0 {
            self.done = Some(FinishReason::MaxTokens);
        }
        Ok(self.brought(ids, logprobs, 0, if read > 1 { read } else { 0 }))
    }

    /// Sample up to `n` tokens one by one, each with what the model said of it; one that ends the text is the last.
    async fn decode_told(
        &self,
        engine: &mut Engine,
        n: u32,
        count: u32,
        logprobs: &mut Vec<Logprobs>,
    ) -> Result<Vec<u32>, EngineError> {
        let mut ids = Vec::with_capacity(n as usize);
        for _ in 0..n {
            // Sampling adjusts them in their place.
            let logits = engine.last_logits().await?;
            let id = engine.decode(&self.sampling, 1).await?[0];
            logprobs.push(Logprobs::of(&logits, id, count as usize));
            ids.push(id);
            if engine.model().config().is_end(id) {
                break;
            }
        }
        Ok(ids)
    }

    fn brought(
        &self,
        ids: Vec<u32>,
        logprobs: Vec<Logprobs>,
        prefilled: u32,
        guessed: u32,
    ) -> Step {
        Step {
            ids,
            logprobs,
            prefilled,
            guessed,
            done: self.done,
        }
    }

    /// Keep the last half of a full window; the next steps read it again from position 0.
    fn slide(&mut self, engine: &mut Engine) -> Result<(), EngineError> {
        let ctx_len = engine.model().config().ctx_len as usize;
        let kept = tail(&self.window, ctx_len).len();
        let dropped = self.window.len() - kept;
        self.window.drain(..dropped);
        self.sampling.answer_from = self.sampling.answer_from.saturating_sub(dropped as u32);
        self.in_chunks = kept;
        self.slides += 1;
        self.sampling.seed = random_u32(self.sampling.seed, self.slides.wrapping_neg());
        engine.rewind(0)
    }
}

/// The last `ctx_len / 2` tokens, or all where there are fewer.
fn tail(ids: &[u32], ctx_len: usize) -> &[u32] {
    &ids[ids.len() - ids.len().min(ctx_len / 2)..]
}
