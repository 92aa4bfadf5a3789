//! [`CpuEngine`]: a model, its cache and its activations, and the order in which the operations run.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

mod guesses;
mod look;
mod profile;

use super::cache::Stored;
use super::isa::Isa;
use super::ops::{self, Heads, Norm};
use super::threads::{Cores, Threads};
use crate::adjustments::Adjustments;
use crate::cache::Cache;
use crate::cursor::Cursor;
use crate::error::EngineError;
use crate::limits::PREFILL_CHUNK;
use crate::memory::{product, zeros};
use crate::model::Model;
use crate::rope::RopeTable;
use crate::sampling::Sampling;
use crate::weights::{LayerWeights, Weights, gain};

/// A chunk of which some layers were computed.
struct Begun {
    ids: Vec<u32>,
    /// Where its first token will stand.
    position: u32,
    /// How many layers are done.
    layers: usize,
}

/// A model, its cache and its activations, run by plain loops.
pub struct CpuEngine {
    model: Arc<Model>,
    isa: Isa,
    threads: Arc<dyn Threads>,
    heads: Heads,
    rope: RopeTable,
    cursor: Cursor,
    /// What [`prefill_part`](Self::prefill_part) left unfinished; `None` once `x` holds anything else.
    begun: Option<Begun>,
    k_cache: Stored,
    v_cache: Stored,
    /// (T, C), the residual stream.
    x: Vec<f32>,
    /// (T, C), x after RMSNorm.
    normed: Vec<f32>,
    /// (T, H·D)
    q: Vec<f32>,
    /// (T, H·D), what attention gives.
    attended: Vec<f32>,
    /// (T, F)
    hidden: Vec<f32>,
    /// (T, max(C, F, 2·G·D)), products on their way to where they belong.
    scratch: Vec<f32>,
    /// (V), of the last position.
    logits: Vec<f32>,
    /// (T, V), of the tokens that were guessed; empty until the first are.
    guessed_logits: Vec<f32>,
    /// (V), scratch of sampling.
    sample_weights: Vec<f32>,
}

impl CpuEngine {
    /// Allocate the cache and the activations for a model that these instructions run on these threads. What is computed does not
    /// depend on the threads, not in a bit. `cache`: what it is kept in, [`Cache::of`] the model unless told.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`] with the buffer that did not fit; [`EngineError::NotWhole`] where the model was only opened.
    pub fn new(
        model: Arc<Model>,
        cache: Option<Cache>,
        isa: Isa,
        threads: Arc<dyn Threads>,
    ) -> Result<Self, EngineError> {
        model.check_whole()?;
        let cache = cache.unwrap_or_else(|| Cache::of(&model));
        let config = model.config();
        let [c, f, v, s] = [
            config.d_model,
            config.d_ff,
            config.vocab_size,
            config.ctx_len,
        ]
        .map(|n| n as usize);
        let (q_width, kv_width) = (config.q_width() as usize, config.kv_width() as usize);
        let tokens = PREFILL_CHUNK.min(s);
        let cache_len = product("KV cache", &[config.n_layer as usize, kv_width, s])?;
        Ok(Self {
            isa,
            threads,
            heads: Heads {
                n_head: config.n_head as usize,
                n_kv_head: config.n_kv_head as usize,
                d_head: config.d_head as usize,
                ctx_len: s,
            },
            cursor: Cursor::new(config),
            begun: None,
            k_cache: Stored::new(cache, cache_len)?,
            v_cache: Stored::new(cache, cache_len)?,
            rope: RopeTable::empty(config)?,
            x: zeros("activations", tokens * c)?,
            normed: zeros("activations", tokens * c)?,
            q: zeros("activations", tokens * q_width)?,
            attended: zeros("activations", tokens * q_width)?,
            hidden: zeros("activations", tokens * f)?,
            scratch: zeros("activations", tokens * c.max(f).max(2 * kv_width))?,
            logits: zeros("logits", v)?,
            guessed_logits: Vec::new(),
            sample_weights: zeros("logits", v)?,
            model,
        })
    }

    /// An engine of the same weights with an empty cache; what it takes is the cache and the activations.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`].
    pub fn another(&self) -> Result<Self, EngineError> {
        let cache = Some(self.cache());
        Self::new(self.model.clone(), cache, self.isa, self.threads.clone())
    }

    /// An engine of the same weights that stands where this one does; from here on neither knows of the other.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`].
    pub fn fork(&self) -> Result<Self, EngineError> {
        let mut fork = self.another()?;
        // Only positions in use are copied: the rest stays untouched zeros, which take no memory yet.
        let used = self.cursor.position() as usize * self.heads.d_head;
        let of_a_head = self.heads.ctx_len * self.heads.d_head;
        for (to, from) in [
            (&mut fork.k_cache, &self.k_cache),
            (&mut fork.v_cache, &self.v_cache),
        ] {
            to.copy_used(from, of_a_head, used);
        }
        fork.logits.copy_from_slice(&self.logits);
        fork.cursor = self.cursor.clone();
        Ok(fork)
    }

    /// The model that runs.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// In what keys and values are kept.
    pub fn cache(&self) -> Cache {
        self.k_cache.cache()
    }

    /// The instructions of the matrix loop.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// How many threads share an operation.
    pub fn threads(&self) -> usize {
        self.threads.count()
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

    /// Read tokens into the cache and compute the logits of the last one. All or nothing: a bad id is found before any is read.
    ///
    /// # Errors
    /// [`EngineError::TokenOutOfRange`], [`EngineError::ContextFull`].
    pub fn prefill(&mut self, ids: &[u32]) -> Result<(), EngineError> {
        self.prefill_marked(ids, &mut unmarked)
    }

    /// [`prefill`](Self::prefill), and `mark` is called with the name of each operation when it has ended: a profile's clock.
    fn prefill_marked(
        &mut self,
        ids: &[u32],
        mark: &mut dyn FnMut(&'static str),
    ) -> Result<(), EngineError> {
        self.cursor.check_ids(ids)?;
        let mut chunks = ids.chunks(PREFILL_CHUNK).peekable();
        while let Some(chunk) = chunks.next() {
            self.forward(chunk, mark);
            let is_last = chunks.peek().is_none();
            if is_last {
                self.last_row_logits(chunk.len());
                mark("norm_logits");
            }
            self.cursor.advance(chunk, is_last);
        }
        Ok(())
    }

    /// Compute at most `layers` more layers of a chunk, and read it into the cache as [`prefill`](Self::prefill) does with the last of
    /// them. Returns whether the chunk is read now; else call it again with the same ids. Any other call in between, and other ids,
    /// begin anew; the cache never holds a part of a chunk.
    ///
    /// The operations are those of a whole chunk, one after another, so the numbers are the same bit for bit.
    ///
    /// # Errors
    /// As [`prefill`](Self::prefill).
    ///
    /// # Panics
    /// Where there are more ids than [`PREFILL_CHUNK`], or none.
    pub fn prefill_part(&mut self, ids: &[u32], layers: u32) -> Result<bool, EngineError> {
        assert!(!ids.is_empty() && ids.len() <= PREFILL_CHUNK);
        self.cursor.check_ids(ids)?;
        let position = self.cursor.position();
        let begun = self
            .begun
            .take()
            .filter(|begun| begun.ids == ids && begun.position == position)
            .unwrap_or_else(|| Begun {
                ids: ids.to_vec(),
                position,
                layers: 0,
            });
        let n_layer = self.model.config().n_layer as usize;
        let end = n_layer.min(begun.layers + layers.max(1) as usize);
        self.layers(ids, begun.layers..end, &mut unmarked);
        if end == n_layer {
            self.last_row_logits(ids.len());
            self.cursor.advance(ids, true);
            return Ok(true);
        }
        self.begun = Some(Begun {
            layers: end,
            ..begun
        });
        Ok(false)
    }

    /// Read tokens like [`prefill`](Self::prefill) and return the logits of each: (T, V).
    ///
    /// # Errors
    /// [`EngineError::TokenOutOfRange`], [`EngineError::ContextFull`], [`EngineError::OutOfMemory`].
    pub fn logits(&mut self, ids: &[u32]) -> Result<Vec<f32>, EngineError> {
        self.cursor.check_ids(ids)?;
        let v = self.logits.len();
        let mut all = zeros(
            "logits of all positions",
            product("logits of all positions", &[ids.len(), v])?,
        )?;
        for (chunk, rows) in ids
            .chunks(PREFILL_CHUNK)
            .zip(all.chunks_mut(PREFILL_CHUNK * v))
        {
            self.forward(chunk, &mut unmarked);
            self.rows_logits(chunk.len(), rows);
            self.logits.copy_from_slice(&rows[rows.len() - v..]);
            self.cursor.advance(chunk, true);
        }
        Ok(all)
    }

    /// The logits of the last position: (V).
    ///
    /// # Errors
    /// [`EngineError::NoLogits`] before the first token and right after a rewind.
    pub fn last_logits(&self) -> Result<&[f32], EngineError> {
        self.cursor.check_logits()?;
        Ok(&self.logits)
    }

    /// Sample `n` tokens; each is read into the cache, so that the next call goes on from there.
    ///
    /// # Errors
    /// [`EngineError::NoLogits`], those of [`Sampling::check`], [`EngineError::BadLogits`], [`EngineError::ContextFull`].
    pub fn decode(&mut self, sampling: &Sampling, n: u32) -> Result<Vec<u32>, EngineError> {
        self.decode_marked(sampling, n, &mut unmarked)
    }

    /// [`decode`](Self::decode), and `mark` is called with the name of each operation when it has ended.
    fn decode_marked(
        &mut self,
        sampling: &Sampling,
        n: u32,
        mark: &mut dyn FnMut(&'static str),
    ) -> Result<Vec<u32>, EngineError> {
        let vocab_size = self.model.config().vocab_size;
        sampling.check(vocab_size)?;
        self.cursor.check_logits()?;
        self.cursor.check_room(n as usize)?;
        let mut adjustments = Adjustments::new(sampling, self.cursor.ids(), vocab_size);
        let mut ids = Vec::with_capacity(n as usize);
        for _ in 0..n {
            if let Some(adjustments) = &adjustments {
                // From here on the logits are not the model's.
                self.cursor.advance(&[], false);
                ops::adjust_logits(&mut self.logits, adjustments);
            }
            let id = ops::sample(
                &self.logits,
                sampling,
                self.cursor.position(),
                &mut self.sample_weights,
            )?;
            mark("sample");
            self.forward(&[id], mark);
            self.last_row_logits(1);
            mark("norm_logits");
            self.cursor.advance(&[id], true);
            if let Some(adjustments) = &mut adjustments {
                adjustments.count(id);
            }
            ids.push(id);
        }
        Ok(ids)
    }

    /// Run all layers over at most [`PREFILL_CHUNK`] tokens: writes `x` and the cache. The caller moves the cursor.
    fn forward(&mut self, ids: &[u32], mark: &mut dyn FnMut(&'static str)) {
        self.layers(ids, 0..self.model.config().n_layer as usize, mark);
    }

    /// Run some layers; what the layers before them left of the same tokens stands in `x`.
    fn layers(&mut self, ids: &[u32], layers: Range<usize>, mark: &mut dyn FnMut(&'static str)) {
        self.begun = None;
        let config = self.model.config();
        let eps = config.norm_eps as f32;
        let tokens = ids.len();
        let width = config.d_model as usize;
        let q_len = tokens * config.q_width() as usize;
        let cache_len = config.kv_width() as usize * config.ctx_len as usize;
        self.rope.grow(self.cursor.position() + tokens as u32);
        let position = self.cursor.position() as usize;
        let cores = cores(self.isa, &self.threads);
        let x = &mut self.x[..tokens * width];
        let normed = &mut self.normed[..tokens * width];
        let (q, attended) = (&mut self.q[..q_len], &mut self.attended[..q_len]);
        let hidden = &mut self.hidden[..tokens * config.d_ff as usize];
        let keys = tokens * config.kv_width() as usize;

        if layers.start == 0 {
            ops::embed(ids, Weights::of(self.model.embedding()), x);
            mark("embed");
        }
        for layer in layers {
            let weights = LayerWeights::of(&self.model, layer);
            let cache = layer * cache_len..(layer + 1) * cache_len;
            let norm = Norm {
                weight: weights.input_layernorm,
                eps,
            };
            let rope = weights.qk_norm.is_none().then_some(&self.rope);
            ops::norm_qkv_rope(
                cores,
                self.heads,
                x,
                norm,
                weights.qkv,
                rope,
                position,
                normed,
                q,
                &mut self.scratch[..2 * keys],
                self.k_cache.part_mut(cache.clone()),
                self.v_cache.part_mut(cache.clone()),
            );
            mark("norm_qkv_rope");
            if let Some(gains) = weights.qk_norm {
                ops::qk_norm_rope(
                    self.heads,
                    gains,
                    eps,
                    &self.rope,
                    position,
                    q,
                    &mut self.scratch[..keys],
                    self.k_cache.part_mut(cache.clone()),
                );
                mark("qk_norm_rope");
            }
            let (k_cache, v_cache) = (self.k_cache.part(cache.clone()), self.v_cache.part(cache));
            ops::attention(cores, self.heads, q, k_cache, v_cache, position, attended);
            mark("attention");
            ops::matmul_residual(
                cores,
                attended,
                weights.o_proj,
                width,
                &mut self.scratch[..tokens * width],
                x,
            );
            mark("matmul_residual (attention)");
            let norm = Norm {
                weight: weights.post_attention_layernorm,
                eps,
            };
            if let Some(gate_proj) = weights.gate_proj {
                ops::norm_gate_up_silu(
                    cores,
                    x,
                    norm,
                    gate_proj,
                    weights.up_proj,
                    normed,
                    &mut self.scratch[..hidden.len()],
                    hidden,
                );
                mark("norm_gate_up_silu");
            } else {
                ops::norm_up_relu2(cores, x, norm, weights.up_proj, normed, hidden);
                mark("norm_up_relu2");
            }
            ops::matmul_residual(
                cores,
                hidden,
                weights.down_proj,
                width,
                &mut self.scratch[..tokens * width],
                x,
            );
            mark("matmul_residual (down)");
        }
    }

    /// Logits of each of the `tokens` rows that [`forward`](Self::forward) left in `x`: (T, V), written.
    fn rows_logits(&mut self, tokens: usize, logits: &mut [f32]) {
        let len = tokens * self.model.config().d_model as usize;
        let (norm, output, cap) = output(&self.model);
        let (x, normed) = (&self.x[..len], &mut self.normed[..len]);
        let cores = cores(self.isa, &self.threads);
        ops::norm_logits(cores, x, norm, output, cap, normed, logits);
    }

    /// Logits of the last of the `tokens` rows that [`forward`](Self::forward) left in `x`.
    fn last_row_logits(&mut self, tokens: usize) {
        let width = self.model.config().d_model as usize;
        let (norm, output, cap) = output(&self.model);
        let row = &self.x[(tokens - 1) * width..tokens * width];
        let normed = &mut self.normed[..width];
        let cores = cores(self.isa, &self.threads);
        ops::norm_logits(cores, row, norm, output, cap, normed, &mut self.logits);
    }
}

/// The mark of who measures nothing.
fn unmarked(_: &'static str) {}

/// What an operation computes with.
fn cores(isa: Isa, threads: &Arc<dyn Threads>) -> Cores<'_> {
    Cores {
        isa,
        threads: &**threads,
    }
}

/// The last norm, the output projection, and what caps the logits.
fn output(model: &Model) -> (Norm<'_>, Weights<'_>, Option<f32>) {
    let norm = Norm {
        weight: gain(model.output_norm()),
        eps: model.config().norm_eps as f32,
    };
    let cap = model.config().logit_cap.map(|cap| cap as f32);
    (norm, Weights::of(model.output()), cap)
}
