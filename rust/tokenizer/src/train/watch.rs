//! Telling the caller how far the merging is, and stopping where it says so.

use core::ops::ControlFlow;

use crate::error::TokenizerError;

/// How far the merging is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Tokens so far, the special ones and the bytes included; 0 while pairs are counted.
    pub tokens: u32,
    /// Tokens asked for; fewer come out where the pairs run out.
    pub wanted: u32,
}

/// The caller's ear, and the work since it was last told.
pub(super) struct Watch<'w> {
    wanted: u32,
    tell: &'w mut dyn FnMut(Progress) -> ControlFlow<()>,
    words: usize,
}

/// Words looked at between two calls: a few milliseconds.
pub(super) const WORDS_BETWEEN_LOOKS: usize = 1 << 16;

impl<'w> Watch<'w> {
    pub fn new(wanted: u32, tell: &'w mut dyn FnMut(Progress) -> ControlFlow<()>) -> Self {
        Self {
            wanted,
            tell,
            words: 0,
        }
    }

    /// So many more words were looked at, and there are so many tokens.
    #[inline]
    pub fn worked(&mut self, words: usize, tokens: usize) -> Result<(), TokenizerError> {
        self.words += words;
        if self.words < WORDS_BETWEEN_LOOKS {
            return Ok(());
        }
        self.look(tokens)
    }

    /// Tell the caller.
    #[cold]
    pub fn look(&mut self, tokens: usize) -> Result<(), TokenizerError> {
        self.words = 0;
        let progress = Progress {
            tokens: tokens as u32,
            wanted: self.wanted,
        };
        match (self.tell)(progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(TokenizerError::Stopped),
        }
    }
}
