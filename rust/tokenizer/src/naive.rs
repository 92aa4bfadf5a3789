//! The slow twin of encoding: what BPE is, said as plainly as possible. Property tests compare the fast one with it.

use alloc::vec::Vec;

use crate::parts::{MergeOrder, NO_TOKEN};
use crate::tokenizer::Tokenizer;

/// The ids of `text`, added tokens being ordinary text: O(n² m) for a piece of n bytes and m merges.
///
/// ```
/// # use pocketlm_tokenizer::{naive, train::{TrainConfig, train}};
/// # let config = TrainConfig { vocab_size: 270, ..TrainConfig::default() };
/// let tokenizer = train(["to be or not to be"], &config)?;
/// assert_eq!(naive::encode(&tokenizer, "not to be"), tokenizer.encode("not to be"));
/// # Ok::<(), pocketlm_tokenizer::TokenizerError>(())
/// ```
pub fn encode(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    let text = tokenizer.normalizer().apply(text, tokenizer.nfc);
    let pieces = tokenizer.split().pieces(&text);
    pieces
        .flat_map(|piece| encode_piece(tokenizer, piece.as_bytes()))
        .collect()
}

/// Apply the first merge that fits anywhere, at the leftmost place where it or an equal one fits, until none does.
fn encode_piece(tokenizer: &Tokenizer, piece: &[u8]) -> Vec<u32> {
    if tokenizer.ignores_merges()
        && let Some(id) = tokenizer.token_id(piece)
    {
        return [id].into();
    }
    let mut parts: Vec<u32> = piece
        .iter()
        .map(|&byte| tokenizer.byte_ids[byte as usize])
        .filter(|&id| id != NO_TOKEN)
        .collect();
    loop {
        let fits = tokenizer
            .merges()
            .enumerate()
            .filter_map(|(place, (left, right, result))| {
                let at = parts.windows(2).position(|pair| pair == [left, right])?;
                let priority = match tokenizer.merge_order() {
                    MergeOrder::ByList => place as u32,
                    MergeOrder::ByResult => result,
                };
                Some((priority, at, result))
            });
        let Some((_, at, result)) = fits.min() else {
            return parts;
        };
        parts.splice(at..at + 2, [result]);
    }
}
