//! The slow twin of encoding: what BPE is, said as plainly as possible. Property tests compare the fast one with it.

use alloc::vec::Vec;

use crate::split::Pieces;
use crate::tokenizer::Tokenizer;

/// The ids of `text`, special tokens being ordinary text: O(n² m) for a piece of n bytes and m merges.
///
/// ```
/// # use pocketlm_tokenizer::{naive, train::{TrainConfig, train}};
/// # let config = TrainConfig { vocab_size: 270, ..TrainConfig::default() };
/// let tokenizer = train(["to be or not to be"], &config)?;
/// assert_eq!(naive::encode(&tokenizer, "not to be"), tokenizer.encode("not to be"));
/// # Ok::<(), pocketlm_tokenizer::TokenizerError>(())
/// ```
pub fn encode(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    Pieces::new(text)
        .flat_map(|piece| encode_piece(tokenizer, piece.as_bytes()))
        .collect()
}

/// Apply the first merge of the list that fits anywhere, at the leftmost place it fits, until none does.
fn encode_piece(tokenizer: &Tokenizer, piece: &[u8]) -> Vec<u32> {
    let mut parts: Vec<u32> = piece
        .iter()
        .map(|&byte| tokenizer.byte_ids[byte as usize])
        .collect();
    while let Some((at, result)) = tokenizer.merges().find_map(|(left, right, result)| {
        let at = parts.windows(2).position(|pair| pair == [left, right])?;
        Some((at, result))
    }) {
        parts.splice(at..at + 2, [result]);
    }
    parts
}
