//! [`CpuEngine`]: a model, its cache and its activations, and the order in which the operations run.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::isa::Isa;
use super::ops::{self, Heads, Norm};
use crate::adjustments::Adjustments;
use crate::cursor::Cursor;
use crate::error::EngineError;
use crate::limits::PREFILL_CHUNK;
use crate::memory::{product, zeros};
use crate::model::Model;
use crate::rope::RopeTable;
use crate::sampling::Sampling;
use crate::weights::{LayerWeights, Weights, gain};

/// A model, its cache and its activations, run by plain loops.
pub struct CpuEngine {
    model: Arc<Model>,
    isa: Isa,
    heads: Heads,
    rope: RopeTable,
    cursor: Cursor,
    /// (L, G, S, D)
    k_cache: Vec<f32>,
    /// (L, G, S, D)
    v_cache: Vec<f32>,
    /// (T, C), the residual stream.
    x: Vec<f32>,
    /// (T, C), x after RMSNorm.
    normed: Vec<f32>,
    /// (T, H·D)
    q: Vec<f32>,
    /// (T, H·D), what attention gives.
    attended: Vec<f32>,
    /// (S), attention scores of one query.
    scores: Vec<f32>,
    /// (T, F)
    hidden: Vec<f32>,
    /// (T, max(C, F, G·D)), products on their way to where they belong.
    scratch: Vec<f32>,
    /// (V), of the last position.
    logits: Vec<f32>,
    /// (V), scratch of sampling.
    sample_weights: Vec<f32>,
}

impl CpuEngine {
    /// Allocate the cache and the activations for a model that these instructions run.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`] with the buffer that did not fit; [`EngineError::NotWhole`] where the model was only opened.
    pub fn new(model: Arc<Model>, isa: Isa) -> Result<Self, EngineError> {
        model.check_whole()?;
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
            heads: Heads {
                n_head: config.n_head as usize,
                n_kv_head: config.n_kv_head as usize,
                d_head: config.d_head as usize,
                ctx_len: s,
            },
            cursor: Cursor::new(config),
            k_cache: zeros("KV cache", cache_len)?,
            v_cache: zeros("KV cache", cache_len)?,
            rope: RopeTable::empty(config)?,
            x: zeros("activations", tokens * c)?,
            normed: zeros("activations", tokens * c)?,
            q: zeros("activations", tokens * q_width)?,
            attended: zeros("activations", tokens * q_width)?,
            scores: zeros("activations", s)?,
            hidden: zeros("activations", tokens * f)?,
            scratch: zeros("activations", tokens * c.max(f).max(kv_width))?,
            logits: zeros("logits", v)?,
            sample_weights: zeros("logits", v)?,
            model,
        })
    }

    /// An engine of the same weights with an empty cache; what it takes is the cache and the activations.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`].
    pub fn another(&self) -> Result<Self, EngineError> {
        Self::new(self.model.clone(), self.isa)
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
            for (to, from) in to
                .chunks_exact_mut(of_a_head)
                .zip(from.chunks_exact(of_a_head))
            {
                to[..used].copy_from_slice(&from[..used]);
            }
        }
        fork.logits.copy_from_slice(&self.logits);
        fork.cursor = self.cursor.clone();
        Ok(fork)
    }

    /// The model that runs.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The instructions of the matrix loop.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Positions of the cache in use.
    pub fn position(&self) -> u32 {
        self.cursor.position()
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
        self.cursor.check_ids(ids)?;
        let mut chunks = ids.chunks(PREFILL_CHUNK).peekable();
        while let Some(chunk) = chunks.next() {
            self.forward(chunk);
            let is_last = chunks.peek().is_none();
            if is_last {
                self.last_row_logits(chunk.len());
            }
            self.cursor.advance(chunk, is_last);
        }
        Ok(())
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
        let width = self.model.config().d_model as usize;
        for (chunk, rows) in ids
            .chunks(PREFILL_CHUNK)
            .zip(all.chunks_mut(PREFILL_CHUNK * v))
        {
            self.forward(chunk);
            let len = chunk.len() * width;
            let (norm, output, cap) = output(&self.model);
            ops::norm_logits(
                self.isa,
                &self.x[..len],
                norm,
                output,
                cap,
                &mut self.normed[..len],
                rows,
            );
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
            self.forward(&[id]);
            self.last_row_logits(1);
            self.cursor.advance(&[id], true);
            if let Some(adjustments) = &mut adjustments {
                adjustments.count(id);
            }
            ids.push(id);
        }
        Ok(ids)
    }

    /// Run all layers over at most [`PREFILL_CHUNK`] tokens: writes `x` and the cache. The caller moves the cursor.
    fn forward(&mut self, ids: &[u32]) {
        let config = self.model.config();
        let eps = config.norm_eps as f32;
        let tokens = ids.len();
        let width = config.d_model as usize;
        let q_len = tokens * config.q_width() as usize;
        let cache_len = self.k_cache.len() / config.n_layer as usize;
        self.rope.grow(self.cursor.position() + tokens as u32);
        let position = self.cursor.position() as usize;
        let x = &mut self.x[..tokens * width];
        let normed = &mut self.normed[..tokens * width];
        let (q, attended) = (&mut self.q[..q_len], &mut self.attended[..q_len]);
        let hidden = &mut self.hidden[..tokens * config.d_ff as usize];
        let keys = tokens * config.kv_width() as usize;

        ops::embed(ids, Weights::of(self.model.embedding()), x);
        for layer in 0..config.n_layer as usize {
            let weights = LayerWeights::of(&self.model, layer);
            let cache = layer * cache_len..(layer + 1) * cache_len;
            let (k_cache, v_cache) = (&mut self.k_cache[cache.clone()], &mut self.v_cache[cache]);
            let norm = Norm {
                weight: weights.input_layernorm,
                eps,
            };
            let rope = weights.qk_norm.is_none().then_some(&self.rope);
            ops::norm_qkv_rope(
                self.isa,
                self.heads,
                x,
                norm,
                weights.qkv,
                rope,
                position,
                normed,
                q,
                &mut self.scratch[..keys],
                k_cache,
                v_cache,
            );
            if let Some(gains) = weights.qk_norm {
                ops::qk_norm_rope(self.heads, gains, eps, &self.rope, position, q, k_cache);
            }
            ops::attention(
                self.isa,
                self.heads,
                q,
                k_cache,
                v_cache,
                position,
                &mut self.scores,
                attended,
            );
            ops::matmul_residual(
                self.isa,
                attended,
                weights.o_proj,
                width,
                &mut self.scratch[..tokens * width],
                x,
            );
            let norm = Norm {
                weight: weights.post_attention_layernorm,
                eps,
            };
            if let Some(gate_proj) = weights.gate_proj {
                ops::norm_gate_up_silu(
                    self.isa,
                    x,
                    norm,
                    gate_proj,
                    weights.up_proj,
                    normed,
                    &mut self.scratch[..hidden.len()],
                    hidden,
                );
            } else {
                ops::norm_up_relu2(self.isa, x, norm, weights.up_proj, normed, hidden);
            }
            ops::matmul_residual(
                self.isa,
                hidden,
                weights.down_proj,
                width,
                &mut self.scratch[..tokens * width],
                x,
            );
        }
    }

    /// Logits of the last of the `tokens` rows that [`forward`](Self::forward) left in `x`.
    fn last_row_logits(&mut self, tokens: usize) {
        let width = self.model.config().d_model as usize;
        let (norm, output, cap) = output(&self.model);
        let row = &self.x[(tokens - 1) * width..tokens * width];
        ops::norm_logits(
            self.isa,
            row,
            norm,
            output,
            cap,
            &mut self.normed[..width],
            &mut self.logits,
        );
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
