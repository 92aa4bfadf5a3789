//! Finding special tokens in a text: at each place the longest, from left to right, as Hugging Face does it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// The special tokens by text, their lengths, and the bytes that one can begin with.
///
/// At a byte that begins one, each length is looked up: O(lengths · log tokens) there, nothing elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct SpecialMatcher {
    ids: BTreeMap<Vec<u8>, u32>,
    /// All different, the longest first.
    lengths: Vec<usize>,
    begins_one: [bool; 256],
}

impl SpecialMatcher {
    /// A matcher of these texts, none of them empty, and their ids.
    pub(crate) fn new(tokens: impl IntoIterator<Item = (Vec<u8>, u32)>) -> Self {
        let ids: BTreeMap<Vec<u8>, u32> = tokens.into_iter().collect();
        let mut lengths: Vec<usize> = ids.keys().map(Vec::len).collect();
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        lengths.dedup();
        let mut begins_one = [false; 256];
        for text in ids.keys() {
            begins_one[text[0] as usize] = true;
        }
        Self {
            ids,
            lengths,
            begins_one,
        }
    }

    /// The id of the special token with this text.
    pub(crate) fn get(&self, text: &[u8]) -> Option<u32> {
        self.ids.get(text).copied()
    }

    /// The first special token in `text` from byte `from` on: where it begins and ends, and its id.
    pub(crate) fn find(&self, text: &str, from: usize) -> Option<(usize, usize, u32)> {
        if self.ids.is_empty() {
            return None;
        }
        let text = text.as_bytes();
        (from..text.len())
            .filter(|&at| self.begins_one[text[at] as usize])
            .find_map(|at| {
                self.lengths.iter().find_map(|len| {
                    let end = at.checked_add(*len)?;
                    Some((at, end, self.get(text.get(at..end)?)?))
                })
            })
    }
}
