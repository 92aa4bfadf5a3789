//! How a token comes about: the merges of its bytes, one after another, for whoever wants to see it.

use alloc::vec::Vec;

use pocketlm_tokenizer::{MergeOrder, Tokenizer};

/// Of a longer token nothing is told: the way is quadratic.
const LONGEST: usize = 256;

/// A merge: two ids that become one.
pub type Merge = (u32, u32, u32);

/// The merges that make token `id` of its bytes, in the order in which they apply. None for a byte's token, one that merges do not make
/// (added ones, and some where merges are ignored), one of more than 256 bytes, and an unknown id.
pub fn merges_into(tokenizer: &Tokenizer, id: u32) -> Vec<Merge> {
    let mut steps = Vec::new();
    let bytes = tokenizer.token_bytes(id).unwrap_or_default();
    if bytes.len() > LONGEST {
        return steps;
    }
    let single = bytes.iter().map(|byte| tokenizer.token_id(&[*byte]));
    let mut parts: Vec<u32> = single.flatten().collect();
    // Those that can be of use, the earliest first.
    let is_within = |&(_, _, result): &Merge| {
        let made = tokenizer.token_bytes(result).unwrap_or_default();
        bytes.windows(made.len().max(1)).any(|part| part == made)
    };
    let mut merges: Vec<Merge> = tokenizer.merges().filter(is_within).collect();
    if tokenizer.merge_order() == MergeOrder::ByResult {
        merges.sort_by_key(|&(_, _, result)| result);
    }
    let place = |parts: &[u32], &(left, right, _): &Merge| {
        parts.windows(2).position(|pair| pair == [left, right])
    };
    while let Some((merge, at)) = merges
        .iter()
        .find_map(|merge| Some((*merge, place(&parts, merge)?)))
    {
        steps.push(merge);
        parts.splice(at..at + 2, [merge.2]);
    }
    if parts != [id] {
        steps.clear();
    }
    steps
}
