//! Rotary position embedding: the tables of cosines and sines that the CPU and the GPU backend read.
//!
//! Tables, not sin and cos in the kernels: WGSL bounds their error only on [−π, π], and an angle grows with the position.
//! Source: Su et al. 2021, arXiv:2104.09864; half-split layout as in Hugging Face's `rotate_half`.

use alloc::vec::Vec;

use crate::error::EngineError;
use crate::format::Config;

/// Cosines and sines of p · rope_theta^(−2j/D) for every position p and pair j, computed in f64 and rounded to f32 once.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeTable {
    /// (`ctx_len`, D/2), row-major.
    pub cos: Vec<f32>,
    /// (`ctx_len`, D/2), row-major.
    pub sin: Vec<f32>,
}

impl RopeTable {
    /// Compute both tables for `config.ctx_len` positions.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`].
    pub fn new(config: &Config) -> Result<Self, EngineError> {
        let half = config.d_head as usize / 2;
        let len = config.ctx_len as usize * half;
        let mut table = Self {
            cos: with_capacity("RoPE cosines", len)?,
            sin: with_capacity("RoPE sines", len)?,
        };
        let frequencies: Vec<f64> = (0..half)
            .map(|j| {
                libm::pow(
                    config.rope_theta,
                    -2.0 * j as f64 / f64::from(config.d_head),
                )
            })
            .collect();
        for position in 0..config.ctx_len {
            for frequency in &frequencies {
                let angle = f64::from(position) * frequency;
                table.cos.push(libm::cos(angle) as f32);
                table.sin.push(libm::sin(angle) as f32);
            }
        }
        Ok(table)
    }
}

/// An empty vector with room for `len` floats, or an error instead of an abort.
pub(crate) fn with_capacity(what: &'static str, len: usize) -> Result<Vec<f32>, EngineError> {
    let mut vec = Vec::new();
    vec.try_reserve_exact(len)
        .map_err(|_| EngineError::OutOfMemory {
            what,
            needed_bytes: len as u64 * size_of::<f32>() as u64,
        })?;
    Ok(vec)
}

/// A vector of `len` zeros, or an error instead of an abort. The zeros are the allocator's: a cache costs memory only where it is used.
pub(crate) fn zeros(what: &'static str, len: usize) -> Result<Vec<f32>, EngineError> {
    bytemuck::allocation::try_zeroed_vec(len).map_err(|()| EngineError::OutOfMemory {
        what,
        needed_bytes: len as u64 * size_of::<f32>() as u64,
    })
}
