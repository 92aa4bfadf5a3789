//! Finding special tokens in a text: at each place the longest, from left to right, as Hugging Face does it.

use alloc::string::String;
use alloc::vec::Vec;

/// The special tokens, and the bytes that one can begin with.
#[derive(Clone, Debug)]
pub(crate) struct SpecialMatcher {
    /// Longest first, so that the first that fits is the longest.
    tokens: Vec<(String, u32)>,
    begins_one: [bool; 256],
}

impl SpecialMatcher {
    /// A matcher of these texts and ids.
    pub(crate) fn new(tokens: impl IntoIterator<Item = (String, u32)>) -> Self {
        let mut tokens: Vec<_> = tokens.into_iter().collect();
        tokens.sort_by_key(|(text, _)| core::cmp::Reverse(text.len()));
        let mut begins_one = [false; 256];
        for (text, _) in &tokens {
            begins_one[text.as_bytes()[0] as usize] = true;
        }
        Self { tokens, begins_one }
    }

    /// The first special token in `text` from byte `from` on: where it begins and ends, and its id.
    pub(crate) fn find(&self, text: &str, from: usize) -> Option<(usize, usize, u32)> {
        if self.tokens.is_empty() {
            return None;
        }
        let bytes = text.as_bytes();
        (from..bytes.len())
            .filter(|&at| self.begins_one[bytes[at] as usize])
            .find_map(|at| {
                let (found, id) = self
                    .tokens
                    .iter()
                    .find(|(token, _)| bytes[at..].starts_with(token.as_bytes()))?;
                Some((at, at + found.len(), *id))
            })
    }
}
