//! Where a backend stands in its cache: what both must answer alike before they read a token.

use alloc::vec::Vec;

use crate::error::EngineError;
use crate::format::Config;

/// The tokens in the cache, and whether the logits of the last one are at hand.
#[derive(Debug, Clone)]
pub(crate) struct Cursor {
    /// One a position in use.
    ids: Vec<u32>,
    has_logits: bool,
    ctx_len: u32,
    vocab_size: u32,
}

impl Cursor {
    /// At the beginning of an empty cache.
    pub fn new(config: &Config) -> Self {
        Self {
            ids: Vec::new(),
            has_logits: false,
            ctx_len: config.ctx_len,
            vocab_size: config.vocab_size,
        }
    }

    /// Positions in use.
    pub fn position(&self) -> u32 {
        self.ids.len() as u32
    }

    /// The tokens in the cache, one a position in use.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// `ids` stand in the cache too; `has_logits` says whether the logits of the last position are at hand.
    pub fn advance(&mut self, ids: &[u32], has_logits: bool) {
        self.ids.extend_from_slice(ids);
        self.has_logits = has_logits;
    }

    /// Forget all positions from `position` on.
    ///
    /// # Errors
    /// [`EngineError::BadRewind`] when fewer positions are in use.
    pub fn rewind(&mut self, position: u32) -> Result<(), EngineError> {
        if position > self.position() {
            return Err(EngineError::BadRewind {
                to: position,
                position: self.position(),
            });
        }
        self.has_logits &= position == self.position();
        self.ids.truncate(position as usize);
        Ok(())
    }

    /// Check that every id is in the vocabulary and that all fit after the position.
    ///
    /// # Errors
    /// [`EngineError::TokenOutOfRange`], [`EngineError::ContextFull`].
    pub fn check_ids(&self, ids: &[u32]) -> Result<(), EngineError> {
        check_vocabulary(ids, self.vocab_size)?;
        self.check_room(ids.len())
    }

    /// Check that `tokens` more tokens fit after the position.
    ///
    /// # Errors
    /// [`EngineError::ContextFull`].
    pub fn check_room(&self, tokens: usize) -> Result<(), EngineError> {
        if tokens > (self.ctx_len - self.position()) as usize {
            return Err(EngineError::ContextFull {
                position: self.position(),
                tokens,
                ctx_len: self.ctx_len,
            });
        }
        Ok(())
    }

    /// Check that there are logits to show or to sample from.
    ///
    /// # Errors
    /// [`EngineError::NoLogits`] before the first token and right after a rewind.
    pub fn check_logits(&self) -> Result<(), EngineError> {
        if self.has_logits {
            Ok(())
        } else {
            Err(EngineError::NoLogits)
        }
    }
}

/// Check that every id is in the vocabulary.
///
/// # Errors
/// [`EngineError::TokenOutOfRange`] with the first one that is not.
pub(crate) fn check_vocabulary(ids: &[u32], vocab_size: u32) -> Result<(), EngineError> {
    match ids.iter().enumerate().find(|(_, id)| **id >= vocab_size) {
        Some((index, id)) => Err(EngineError::TokenOutOfRange {
            index,
            id: *id,
            vocab_size,
        }),
        None => Ok(()),
    }
}
