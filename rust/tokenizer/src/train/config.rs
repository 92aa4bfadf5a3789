//! What a training is told, and what can be checked of it before any text is read.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use crate::added::check_text;
use crate::error::TokenizerError;
use crate::split::Split;
use crate::tokenizer::MAX_VOCAB_SIZE;

/// What to train.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainConfig {
    /// The number of tokens to aim for; fewer come out where the documents run out of pairs.
    pub vocab_size: u32,
    /// How documents are split into words, and texts into pieces.
    pub split: Split,
    /// The least number of times that a pair must occur to be merged (Hugging Face's default: 0).
    pub min_frequency: u64,
    /// The longest result that a merge of more than two bytes may have is one byte shorter than this, as Hugging Face counts it; a merge of
    /// two bytes is always allowed. None: no limit.
    pub max_token_length: Option<u32>,
    /// The special tokens; they get the first ids, in this order.
    pub special_tokens: Vec<String>,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            vocab_size: 1024,
            split: Split::Gpt2,
            min_frequency: 0,
            max_token_length: None,
            special_tokens: vec!["<|endoftext|>".to_string()],
        }
    }
}

impl TrainConfig {
    /// Whether `max_token_length` allows a merge that makes `nbytes` bytes.
    ///
    /// Their trainer counts the pairs of the bytes without a look at the limit, and later ones where the result is shorter than it.
    pub(super) fn allows(&self, nbytes: usize) -> bool {
        nbytes <= 2
            || self
                .max_token_length
                .is_none_or(|limit| nbytes < limit as usize)
    }

    /// Check what can be checked before any text is read.
    ///
    /// # Errors
    /// [`TokenizerError::VocabTooSmall`], [`TokenizerError::TooLarge`], [`TokenizerError::ZeroLength`], [`TokenizerError::BadSpecial`].
    pub fn validate(&self) -> Result<(), TokenizerError> {
        if self.vocab_size > MAX_VOCAB_SIZE {
            let (got, limit) = (self.vocab_size.into(), MAX_VOCAB_SIZE.into());
            return Err(TokenizerError::TooLarge {
                what: "vocab_size",
                got,
                limit,
            });
        }
        if self.max_token_length == Some(0) {
            return Err(TokenizerError::ZeroLength);
        }
        let expected = self.special_tokens.len() as u64 + 256;
        if u64::from(self.vocab_size) < expected {
            let expected = u32::try_from(expected).unwrap_or(u32::MAX);
            return Err(TokenizerError::VocabTooSmall {
                got: self.vocab_size,
                expected,
            });
        }
        let mut seen = BTreeSet::new();
        for token in &self.special_tokens {
            check_text(token.as_bytes())?;
            let bad = |problem| {
                Err(TokenizerError::BadSpecial {
                    token: token.clone(),
                    problem,
                })
            };
            if !seen.insert(token) {
                return bad("it is listed twice");
            }
            if token.len() == 1 {
                return bad("it is the token of its one byte already");
            }
        }
        Ok(())
    }
}
