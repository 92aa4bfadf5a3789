//! What to sample with, and the random numbers: both are the same on the CPU and on the GPU.

use alloc::vec::Vec;

use crate::cursor::check_vocabulary;
use crate::error::EngineError;

/// Sampling options, in the order in which they take effect: on the raw logits `repetition_penalty`, then `frequency_penalty` and
/// `presence_penalty`, then `logit_bias`; then `temperature`; then `top_k`, `top_p` and `min_p`.
///
/// What has occurred is what stands in the context: tokens that a full context was rid of no longer count.
///
/// ```
/// use pocketlm_inference::Sampling;
/// let sampling = Sampling { temperature: 0.8, min_p: 0.05, ..Sampling::GREEDY };
/// assert!(sampling.check(512).is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the likeliest token.
    pub temperature: f32,
    /// Keep the k likeliest tokens; 0 keeps all.
    pub top_k: u32,
    /// Keep the smallest set of likeliest tokens whose probability is at least this; 1 keeps all.
    pub top_p: f32,
    /// Keep the tokens that are at least this times as likely as the likeliest one; 0 keeps all.
    ///
    /// Source: Nguyen et al. 2024, arXiv:2407.01082.
    pub min_p: f32,
    /// Divides the positive logits of tokens that have occurred, in the prompt or in the answer, and multiplies their negative ones; 1 does
    /// nothing, less than 1 favours them.
    ///
    /// Source: Keskar et al. 2019, arXiv:1909.05858; for negative logits as transformers does it.
    pub repetition_penalty: f32,
    /// Taken off the logits of tokens that have occurred in the answer; 0 does nothing. As OpenAI's API documents it.
    pub presence_penalty: f32,
    /// Taken off a token's logit for each time that it has occurred in the answer; 0 does nothing. As OpenAI's API documents it.
    pub frequency_penalty: f32,
    /// Where in the context the answer begins, for the two penalties before; 0 counts the prompt as well.
    /// [`Generator`](crate::Generator) sets it.
    pub answer_from: u32,
    /// Added to the logits of these tokens, (id, bias); −infinity forbids a token. What is said twice adds up.
    pub logit_bias: Vec<(u32, f32)>,
    /// The same seed gives the same text.
    pub seed: u32,
}

impl Sampling {
    /// Always the likeliest token, and nothing else: what options are made from.
    pub const GREEDY: Self = Self {
        temperature: 0.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        repetition_penalty: 1.0,
        presence_penalty: 0.0,
        frequency_penalty: 0.0,
        answer_from: 0,
        logit_bias: Vec::new(),
        seed: 0,
    };

    /// Check all bounds: `temperature` finite and ≥ 0, `top_p` in (0, 1], `min_p` in [0, 1], `repetition_penalty` in [0.01, 100],
    /// `presence_penalty` and `frequency_penalty` in [−100, 100]; biases of ids below `vocab_size`, −infinity or finite, that do not
    /// forbid every token.
    ///
    /// # Errors
    /// [`EngineError::BadSampling`], [`EngineError::TokenOutOfRange`], [`EngineError::BadLogitBias`], [`EngineError::NothingToSample`].
    ///
    /// ```
    /// use pocketlm_inference::Sampling;
    /// assert!(Sampling::GREEDY.check(512).is_ok());
    /// assert!(Sampling { temperature: -1.0, ..Sampling::GREEDY }.check(512).is_err());
    /// assert!(Sampling { logit_bias: vec![(512, 1.0)], ..Sampling::GREEDY }.check(512).is_err());
    /// ```
    pub fn check(&self, vocab_size: u32) -> Result<(), EngineError> {
        self.check_numbers()?;
        let ids: Vec<u32> = self.logit_bias.iter().map(|(id, _)| *id).collect();
        check_vocabulary(&ids, vocab_size)?;
        let is_bias = |bias: f32| bias.is_finite() || bias == f32::NEG_INFINITY;
        if let Some((id, got)) = self.logit_bias.iter().find(|(_, bias)| !is_bias(*bias)) {
            return Err(EngineError::BadLogitBias { id: *id, got: *got });
        }
        if ids.len() < vocab_size as usize {
            return Ok(());
        }
        let mut is_allowed = alloc::vec![true; vocab_size as usize];
        for (id, bias) in &self.logit_bias {
            is_allowed[*id as usize] &= *bias != f32::NEG_INFINITY;
        }
        if is_allowed.contains(&true) {
            Ok(())
        } else {
            Err(EngineError::NothingToSample { vocab_size })
        }
    }

    /// The part of [`check`](Self::check) that needs no model: all but the biases.
    ///
    /// # Errors
    /// [`EngineError::BadSampling`].
    ///
    /// ```
    /// use pocketlm_inference::Sampling;
    /// assert!(Sampling { min_p: 1.5, ..Sampling::GREEDY }.check_numbers().is_err());
    /// ```
    pub fn check_numbers(&self) -> Result<(), EngineError> {
        let penalty = |number: f32| (-100.0..=100.0).contains(&number);
        // A NaN is in no range.
        let checks = [
            (
                "temperature",
                self.temperature,
                self.temperature.is_finite() && self.temperature >= 0.0,
                "a finite number ≥ 0",
            ),
            (
                "top_p",
                self.top_p,
                self.top_p > 0.0 && self.top_p <= 1.0,
                "a number > 0 and ≤ 1",
            ),
            (
                "min_p",
                self.min_p,
                (0.0..=1.0).contains(&self.min_p),
                "a number from 0 to 1",
            ),
            (
                "repetition_penalty",
                self.repetition_penalty,
                (0.01..=100.0).contains(&self.repetition_penalty),
                "a number from 0.01 to 100",
            ),
            (
                "presence_penalty",
                self.presence_penalty,
                penalty(self.presence_penalty),
                "a number from -100 to 100",
            ),
            (
                "frequency_penalty",
                self.frequency_penalty,
                penalty(self.frequency_penalty),
                "a number from -100 to 100",
            ),
        ];
        match checks.into_iter().find(|(_, _, is_good, _)| !is_good) {
            Some((field, got, _, expected)) => Err(EngineError::BadSampling {
                field,
                expected,
                got,
            }),
            None => Ok(()),
        }
    }

    /// How far below the largest logit a kept one may lie, which is what `min_p` says: −temperature · ln(min_p), or [`f32::MAX`] where it
    /// says nothing.
    ///
    /// ```
    /// use pocketlm_inference::Sampling;
    /// let sampling = Sampling { temperature: 2.0, min_p: 0.5, ..Sampling::GREEDY };
    /// assert!((sampling.logit_range() - 2.0 * 2f32.ln()).abs() < 1e-6);
    /// ```
    pub fn logit_range(&self) -> f32 {
        if self.min_p > 0.0 {
            -(self.temperature * libm::logf(self.min_p))
        } else {
            f32::MAX
        }
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
