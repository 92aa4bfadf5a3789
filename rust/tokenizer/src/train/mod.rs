//! Training, with merges and ids identical to Hugging Face's `BpeTrainer`.
//!
//! The reference is `tokenizers` 0.23.3: a ByteLevel pre-tokenizer with `add_prefix_space=False` (after a Split for other splits),
//! `initial_alphabet=ByteLevel.alphabet()`, `train_from_iterator` over the documents. Ids are the special tokens, the
//! 256 bytes in the order of their spellings, then what the merges make. Counts are `u64` (theirs wrap at 2^31). The
//! result depends on the documents alone, not on their order or on the number of threads.
//!
//! Counting words is one pass over the text ([`WordCounts`]); after it only distinct words matter (`merges`).

mod config;
mod hash;
mod merges;
mod watch;
mod words;

use alloc::vec;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use crate::added::AddedToken;
use crate::byte_level;
use crate::error::TokenizerError;
use crate::normalize::Normalizer;
use crate::parts::{Merge, MergeOrder, Parts};
use crate::tokenizer::Tokenizer;
use crate::vocabulary::Vocabulary;
use watch::Watch;

pub use config::TrainConfig;
pub use watch::Progress;
pub use words::WordCounts;

/// Train on `documents`.
///
/// ```
/// use pocketlm_tokenizer::train::{TrainConfig, train};
/// let config = TrainConfig { vocab_size: 259, ..TrainConfig::default() };
/// let tokenizer = train(["hell hell hell"], &config)?;
/// assert_eq!(tokenizer.token_bytes(257), Some(&b"el"[..])); // after one special token and 256 bytes
/// assert_eq!(tokenizer.token_bytes(258), Some(&b"hel"[..]));
/// # Ok::<(), pocketlm_tokenizer::TokenizerError>(())
/// ```
///
/// # Errors
/// Those of [`TrainConfig::validate`]; [`TokenizerError::NoText`] where no document holds a character;
/// [`TokenizerError::BadSpecial`] where a special token's text turns out to be a token of its own.
pub fn train<D>(documents: D, config: &TrainConfig) -> Result<Tokenizer, TokenizerError>
where
    D: IntoIterator,
    D::Item: AsRef<str>,
{
    config.validate()?;
    let mut words = WordCounts::new(config.split.clone());
    for document in documents {
        words.add(document.as_ref())?;
    }
    train_from_words(&words, config)
}

/// Train on words that were counted before; see [`train`].
///
/// # Errors
/// As [`train`]; [`TokenizerError::SplitsDiffer`] where they were counted by another split than `config`'s.
pub fn train_from_words(
    words: &WordCounts,
    config: &TrainConfig,
) -> Result<Tokenizer, TokenizerError> {
    train_watched(words, config, &mut |_| ControlFlow::Continue(()))
}

/// As [`train_from_words`], with a `watch` that is told every few milliseconds how far the merging is, and can stop it.
///
/// ```
/// # use core::ops::ControlFlow;
/// # use pocketlm_tokenizer::{TokenizerError, train::{TrainConfig, WordCounts, train_watched}};
/// let mut words = WordCounts::default();
/// words.add("to be or not to be")?;
/// let stopped = train_watched(&words, &TrainConfig::default(), &mut |_| ControlFlow::Break(()));
/// assert_eq!(stopped.unwrap_err(), TokenizerError::Stopped);
/// # Ok::<(), TokenizerError>(())
/// ```
///
/// # Errors
/// As [`train_from_words`]; [`TokenizerError::Stopped`] where `watch` breaks off.
pub fn train_watched(
    words: &WordCounts,
    config: &TrainConfig,
    watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Tokenizer, TokenizerError> {
    config.validate()?;
    words.check_split(&config.split)?;
    if words.is_empty() {
        return Err(TokenizerError::NoText);
    }
    let mut tokens: Vec<Vec<u8>> = config
        .special_tokens
        .iter()
        .map(|token| token.as_bytes().to_vec())
        .collect();
    let special_count = tokens.len() as u32;
    tokens.extend(byte_level::alphabet().map(|byte| vec![byte]));

    let mut watch = Watch::new(config.vocab_size, watch);
    let pairs = merges::learn(words, &mut tokens, special_count, config, &mut watch)?;
    watch.look(tokens.len())?;
    let first_result = special_count + 256;
    let merges = pairs.iter().zip(first_result..);
    let special = |id| AddedToken {
        id,
        special: true,
        ..AddedToken::default()
    };
    let parts = Parts {
        vocabulary: joined(&tokens)?,
        added: (0..special_count).map(special).collect(),
        merges: merges
            .map(|(&(left, right), result)| Merge {
                left,
                right,
                result,
            })
            .collect(),
        order: MergeOrder::ByList,
        split: config.split.clone(),
        normalizer: Normalizer::None,
        ignore_merges: false,
    };
    // Nothing is normalised, so this is never called; the tables of form C would be a third of a wasm module that trains.
    Tokenizer::new(parts, None, |text| text.into())
}

/// The tokens one after the other.
fn joined(tokens: &[Vec<u8>]) -> Result<Vocabulary, TokenizerError> {
    let bytes = tokens.concat();
    let limit = u64::from(u32::MAX);
    if bytes.len() as u64 > limit {
        return Err(TokenizerError::TooLarge {
            what: "the tokens, in bytes",
            got: bytes.len() as u64,
            limit,
        });
    }
    let mut end = 0;
    let ends = tokens.iter().map(|token| {
        end += token.len() as u32;
        end
    });
    Ok(Vocabulary {
        ends: ends.collect(),
        bytes,
    })
}
