//! The model's hyperparameters and their bounds (`training/FORMAT.md` §2).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::architecture::Architecture;
use crate::error::FormatError;

/// Everything that fixes the shape of a model's tensors and of its cache.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The family.
    pub architecture: Architecture,
    /// Decoder layers.
    pub n_layer: u32,
    /// Query heads.
    pub n_head: u32,
    /// Key/value heads (GQA); divides `n_head`.
    pub n_kv_head: u32,
    /// Width of the residual stream.
    pub d_model: u32,
    /// Width of a head; even.
    pub d_head: u32,
    /// Width of the SwiGLU or ReLU² layer.
    pub d_ff: u32,
    /// Rows of the embedding.
    pub vocab_size: u32,
    /// Positions of the KV cache, prompt included.
    pub ctx_len: u32,
    /// Base of RoPE's frequencies.
    pub rope_theta: f64,
    /// RMSNorm's epsilon.
    pub norm_eps: f64,
    /// What no logit exceeds, up or down, where the architecture caps them: cap · tanh(logit / cap).
    pub logit_cap: Option<f64>,
    /// The output projection is the embedding.
    pub tie_embeddings: bool,
    /// The token that begins a document; optional in the file.
    pub bos_token_id: Option<u32>,
    /// The token that ends a document; optional in the file.
    pub eos_token_id: Option<u32>,
    /// Further tokens at which a generation ends, in increasing order; optional in the file.
    pub stop_token_ids: Option<Vec<u32>>,
}

const MAX_STOPS: usize = 16;

impl Config {
    /// Width of all query heads together, `n_head · d_head`; it need not be `d_model`.
    pub fn q_width(&self) -> u32 {
        self.n_head * self.d_head
    }

    /// Width of all key (or value) heads together, `n_kv_head · d_head`.
    pub fn kv_width(&self) -> u32 {
        self.n_kv_head * self.d_head
    }

    /// Whether a generation ends at this token.
    pub fn is_end(&self, id: u32) -> bool {
        let is_stop = |stops: &Vec<u32>| stops.contains(&id);
        self.eos_token_id == Some(id) || self.stop_token_ids.as_ref().is_some_and(is_stop)
    }

    /// Check every bound of `training/FORMAT.md` §2, in the order of its table.
    ///
    /// # Errors
    /// [`FormatError::BadConfig`] with the first field that is out of bounds.
    pub fn check(&self) -> Result<(), FormatError> {
        within("n_layer", self.n_layer, 1, 1024)?;
        within("n_head", self.n_head, 1, 1024)?;
        within("n_kv_head", self.n_kv_head, 1, 1024)?;
        if !self.n_head.is_multiple_of(self.n_kv_head) {
            return Err(bad(
                "n_kv_head",
                format!("a divisor of n_head = {}", self.n_head),
                self.n_kv_head,
            ));
        }
        within("d_model", self.d_model, 1, 65_536)?;
        within("d_head", self.d_head, 2, 1024)?;
        if !self.d_head.is_multiple_of(2) {
            return Err(bad("d_head", "an even number", self.d_head));
        }
        within("d_ff", self.d_ff, 1, 262_144)?;
        within("vocab_size", self.vocab_size, 1, 1_048_576)?;
        within("ctx_len", self.ctx_len, 1, 1_048_576)?;
        if !(self.rope_theta.is_finite() && self.rope_theta > 0.0) {
            return Err(bad("rope_theta", "a finite number > 0", self.rope_theta));
        }
        if !(self.norm_eps > 0.0 && self.norm_eps < 1.0) {
            return Err(bad("norm_eps", "a number > 0 and < 1", self.norm_eps));
        }
        if let Some(cap) = self.logit_cap
            && !(1.0..=1000.0).contains(&cap)
        {
            return Err(bad("logit_cap", "1 to 1000", cap));
        }
        for (field, id) in [
            ("bos_token_id", self.bos_token_id),
            ("eos_token_id", self.eos_token_id),
        ] {
            if let Some(id) = id.filter(|id| *id >= self.vocab_size) {
                return Err(bad(
                    field,
                    format!("an id < vocab_size = {}", self.vocab_size),
                    id,
                ));
            }
        }
        let Some(stops) = &self.stop_token_ids else {
            return Ok(());
        };
        if !(1..=MAX_STOPS).contains(&stops.len()) || !stops.is_sorted_by(|a, b| a < b) {
            return Err(bad(
                "stop_token_ids",
                format!("1 to {MAX_STOPS} ids in increasing order, each once"),
                format!("{stops:?}"),
            ));
        }
        let last = stops[stops.len() - 1];
        if last >= self.vocab_size {
            return Err(bad(
                "stop_token_ids",
                format!("ids < vocab_size = {}", self.vocab_size),
                last,
            ));
        }
        Ok(())
    }
}

fn within(field: &str, value: u32, low: u32, high: u32) -> Result<(), FormatError> {
    if (low..=high).contains(&value) {
        Ok(())
    } else {
        Err(bad(field, format!("{low} to {high}"), value))
    }
}

fn bad(field: &str, expected: impl Into<String>, got: impl ToString) -> FormatError {
    FormatError::BadConfig {
        path: format!("config.{field}"),
        expected: expected.into(),
        got: got.to_string(),
    }
}
