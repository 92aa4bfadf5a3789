//! Several tokens in one pass: they were guessed, and are kept as far as sampling brings the same.

use alloc::vec::Vec;

use super::{CpuEngine, unmarked};
use crate::adjustments::Adjustments;
use crate::cpu::ops;
use crate::error::EngineError;
use crate::limits::PREFILL_CHUNK;
use crate::memory::{product, zeros};
use crate::sampling::Sampling;

impl CpuEngine {
    /// Sample a token and, where `guesses` begin with it, those after it as far as they are right, all of which are read in one pass:
    /// 1 to `guesses.len()` tokens, the ones that [`decode`](Self::decode) would bring one by one. Where the first guess is wrong, this
    /// is a step of [`decode`](Self::decode), and nothing was lost. The number beside them is how many were read in the pass.
    ///
    /// A token's logits are those of a chunk here, which are rounded otherwise than a single token's: see `docs/ARCHITECTURE.md`.
    /// Source: Leviathan et al. 2023, arXiv:2211.17192, with random numbers that are fixed beforehand in place of its acceptance rule.
    ///
    /// # Errors
    /// As [`decode`](Self::decode); [`EngineError::TokenOutOfRange`] for a guess, and [`EngineError::OutOfMemory`].
    pub fn decode_guessed(
        &mut self,
        sampling: &Sampling,
        guesses: &[u32],
    ) -> Result<(Vec<u32>, u32), EngineError> {
        let vocab_size = self.model.config().vocab_size;
        let guesses = &guesses[..guesses.len().min(PREFILL_CHUNK)];
        sampling.check(vocab_size)?;
        self.cursor.check_logits()?;
        self.cursor.check_room(1)?;
        self.cursor.check_ids(guesses)?;
        let mut adjustments = Adjustments::new(sampling, self.cursor.ids(), vocab_size);
        let position = self.cursor.position();
        if let Some(adjustments) = &adjustments {
            self.cursor.advance(&[], false);
            ops::adjust_logits(&mut self.logits, adjustments);
        }
        let first = ops::sample(&self.logits, sampling, position, &mut self.sample_weights)?;
        if guesses.len() < 2 || guesses[0] != first {
            self.forward(&[first], &mut unmarked);
            self.last_row_logits(1);
            self.cursor.advance(&[first], true);
            return Ok(([first].to_vec(), 1));
        }
        let v = vocab_size as usize;
        let mut rows = core::mem::take(&mut self.guessed_logits);
        if rows.len() < guesses.len() * v {
            rows = zeros(
                "logits of guesses",
                product("logits of guesses", &[guesses.len(), v])?,
            )?;
        }
        self.forward(guesses, &mut unmarked);
        self.rows_logits(guesses.len(), &mut rows[..guesses.len() * v]);
        self.cursor.advance(&[], false);
        let mut right = 1;
        while right < guesses.len() {
            self.logits
                .copy_from_slice(&rows[(right - 1) * v..right * v]);
            if let Some(adjustments) = &mut adjustments {
                adjustments.count(guesses[right - 1]);
                ops::adjust_logits(&mut self.logits, adjustments);
            }
            let place = position + right as u32;
            let id = ops::sample(&self.logits, sampling, place, &mut self.sample_weights)?;
            if id != guesses[right] {
                break;
            }
            right += 1;
        }
        // What was sampled last and not guessed is sampled again by the next call, from the same logits.
        self.logits
            .copy_from_slice(&rows[(right - 1) * v..right * v]);
        self.guessed_logits = rows;
        self.cursor.advance(&guesses[..right], true);
        Ok((guesses[..right].to_vec(), guesses.len() as u32))
    }
}
