//! What to sample with, and the random numbers: both are the same on the CPU and on the GPU.

use crate::error::EngineError;

/// Sampling options. The order is temperature, then top-k, then top-p.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the likeliest token.
    pub temperature: f32,
    /// Keep the k likeliest tokens; 0 keeps all.
    pub top_k: u32,
    /// Keep the smallest set of likeliest tokens whose probability is at least this; 1 keeps all.
    pub top_p: f32,
    /// The same seed gives the same text.
    pub seed: u32,
}

impl Sampling {
    /// Always the likeliest token.
    pub const GREEDY: Self = Self {
        temperature: 0.0,
        top_k: 0,
        top_p: 1.0,
        seed: 0,
    };

    /// Check the bounds: `temperature` finite and ≥ 0, `top_p` in (0, 1].
    ///
    /// # Errors
    /// [`EngineError::BadSampling`].
    ///
    /// ```
    /// use pocketlm_inference::Sampling;
    /// assert!(Sampling::GREEDY.check().is_ok());
    /// assert!(Sampling { temperature: -1.0, ..Sampling::GREEDY }.check().is_err());
    /// ```
    pub fn check(&self) -> Result<(), EngineError> {
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            let (field, expected) = ("temperature", "a finite number ≥ 0");
            return Err(EngineError::BadSampling {
                field,
                expected,
                got: self.temperature,
            });
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            let (field, expected) = ("top_p", "a number > 0 and ≤ 1");
            return Err(EngineError::BadSampling {
                field,
                expected,
                got: self.top_p,
            });
        }
        Ok(())
    }
}

/// A permutation of the 32-bit integers that looks random: the PCG-RXS-M-XS-32 hash.
///
/// Source: Jarzynski & Olano 2020, "Hash Functions for GPU Rendering", JCGT 9(3), listing of `pcg`.
///
/// ```
/// assert_eq!(pocketlm_inference::sampling::pcg(0), 129_708_002);
/// ```
pub fn pcg(input: u32) -> u32 {
    let state = input.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    let word = ((state >> ((state >> 28) + 4)) ^ state).wrapping_mul(277_803_737);
    (word >> 22) ^ word
}

/// The random number for the token that will stand at `position`: a hash of (seed, position), without state.
///
/// The inner hash is xored, not added, so that two seeds never give the same sequence shifted.
///
/// ```
/// use pocketlm_inference::sampling::{pcg, random_u32};
/// assert_eq!(random_u32(7, 3), pcg(7 ^ pcg(3)));
/// ```
pub fn random_u32(seed: u32, position: u32) -> u32 {
    pcg(seed ^ pcg(position))
}

/// [`random_u32`] as a float in [0, 1): its upper 24 bits, each of which an f32 holds exactly.
///
/// ```
/// let u = pocketlm_inference::sampling::random_unit(1, 2);
/// assert!((0.0..1.0).contains(&u));
/// ```
pub fn random_unit(seed: u32, position: u32) -> f32 {
    (random_u32(seed, position) >> 8) as f32 * (1.0 / 16_777_216.0)
}
