//! Other people's files: Hugging Face's `tokenizer.json` (read and written) and tiktoken's rank files (read and written).

#[cfg(feature = "formats")]
mod hf_read;
mod hf_write;
#[cfg(feature = "formats")]
mod tiktoken;

#[cfg(feature = "formats")]
use alloc::vec::Vec;

#[cfg(feature = "formats")]
use crate::error::TokenizerError;
#[cfg(feature = "formats")]
use crate::tokenizer::MAX_VOCAB_SIZE;
#[cfg(feature = "formats")]
use crate::vocabulary::Vocabulary;

/// The vocabulary of tokens with their ids, in any order; ids may have gaps.
#[cfg(feature = "formats")]
fn vocabulary(tokens: Vec<(u32, Vec<u8>)>) -> Result<Vocabulary, TokenizerError> {
    let mut tokens = tokens;
    tokens.sort_by_key(|&(id, _)| id);
    if let Some(pair) = tokens.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(TokenizerError::BadFile {
            problem: alloc::format!("the id {} is given to two tokens", pair[0].0),
        });
    }
    let count = tokens.last().map_or(0, |&(id, _)| u64::from(id) + 1);
    let nbytes: u64 = tokens.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    for (what, got, limit) in [
        ("the ids", count, u64::from(MAX_VOCAB_SIZE)),
        ("the tokens, in bytes", nbytes, u64::from(u32::MAX)),
    ] {
        if got > limit {
            return Err(TokenizerError::TooLarge { what, got, limit });
        }
    }
    let mut vocabulary = Vocabulary::default();
    for (id, bytes) in tokens {
        let end = vocabulary.bytes.len() as u32;
        vocabulary.ends.resize(id as usize, end);
        vocabulary.bytes.extend(bytes);
        vocabulary.ends.push(vocabulary.bytes.len() as u32);
    }
    Ok(vocabulary)
}
