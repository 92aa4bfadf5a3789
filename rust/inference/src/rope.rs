//! Rotary position embedding: the tables of cosines and sines that the CPU and the GPU backend read.
//!
//! Tables, not sin and cos in the kernels: WGSL bounds their error only on [−π, π], and an angle grows with the position.
//! Source: Su et al. 2021, arXiv:2104.09864; half-split layout as in Hugging Face's `rotate_half`.

use alloc::vec::Vec;

use crate::error::EngineError;
use crate::format::Config;
use crate::memory::with_capacity;

/// Cosines and sines of p · rope_theta^(−2j/D) for every position p and pair j, computed in f64 and rounded to f32 once.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeTable {
    /// (positions, D/2), row-major.
    pub cos: Vec<f32>,
    /// (positions, D/2), row-major.
    pub sin: Vec<f32>,
    /// (D/2), radians a position.
    frequencies: Vec<f64>,
}

impl RopeTable {
    /// Compute both tables for `config.ctx_len` positions.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`].
    pub fn new(config: &Config) -> Result<Self, EngineError> {
        let mut table = Self::empty(config)?;
        table.grow(config.ctx_len);
        Ok(table)
    }

    /// Tables with room for `config.ctx_len` positions, and no row yet: a file of a few kilobytes can ask for a million positions, which
    /// take 4 GiB and half a minute to compute.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`].
    pub fn empty(config: &Config) -> Result<Self, EngineError> {
        let half = config.d_head as usize / 2;
        let len = config.ctx_len as usize * half;
        let d_head = f64::from(config.d_head);
        let frequency = |j| libm::pow(config.rope_theta, -2.0 * j as f64 / d_head);
        Ok(Self {
            cos: with_capacity("RoPE cosines", len)?,
            sin: with_capacity("RoPE sines", len)?,
            frequencies: (0..half).map(frequency).collect(),
        })
    }

    /// Compute the rows that are missing of the first `positions`, which are at most `ctx_len`.
    pub fn grow(&mut self, positions: u32) {
        let computed = (self.cos.len() / self.frequencies.len()) as u32;
        for position in computed..positions {
            for frequency in &self.frequencies {
                let angle = f64::from(position) * frequency;
                self.cos.push(libm::cos(angle) as f32);
                self.sin.push(libm::sin(angle) as f32);
            }
        }
    }
}
