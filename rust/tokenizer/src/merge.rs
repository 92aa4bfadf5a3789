//! Merging the bytes of one piece into tokens.
//!
//! Merges apply by priority, the leftmost first among equals. Short pieces, nearly all of them, by repeatedly taking the
//! smallest of an array (quadratic, but on a few dozen bytes the fastest); long ones with a heap over a linked
//! list, O(n log n), so that a megabyte without a space is no attack. [`crate::naive`] is what both must agree with.

use alloc::vec::Vec;

use crate::byte_pairs::{BytePairs, Found, NO_MERGE, NO_PRIORITY};
use crate::parts::NO_TOKEN;
use crate::tokenizer::Tokenizer;
pub(crate) use short::Short;

mod long;
mod short;

/// Pieces up to this many bytes are merged in arrays on the stack.
const SHORT: usize = 64;

impl Tokenizer {
    /// Append the ids that merging makes of one piece of the split.
    pub(crate) fn merge_piece(&self, piece: &[u8], ids: &mut Vec<u32>) {
        if piece.len() > SHORT {
            return self.merge_long(piece, ids);
        }
        let mut short = Short::<SHORT>::empty();
        short.begin(self, piece);
        while short.apply(self) {
            short.look_up(self);
        }
        ids.extend_from_slice(short.finish());
    }

    /// The tokens of single bytes. Bytes without one are left out, as Hugging Face does it.
    fn bytes_as_tokens(&self, piece: &[u8]) -> impl Iterator<Item = u32> {
        let ids = piece.iter().map(|&byte| self.byte_ids[byte as usize]);
        ids.filter(|&id| id != NO_TOKEN)
    }

    /// The merge of two tokens, if they have one, else [`NO_MERGE`].
    #[inline(always)]
    pub(super) fn merge_of(&self, left: u32, right: u32) -> Found {
        match self.pairs.get(&self.parts.merges, left, right) {
            Some(place) => {
                let result = self.parts.merges[place as usize].result;
                u64::from(self.parts.priority(place as usize)) << 32 | u64::from(result)
            }
            None => NO_MERGE,
        }
    }

    /// Set the first of `parts` to the tokens of single bytes, and the first of `merges` to those of each and the one after it; the number of
    /// parts.
    #[inline(always)]
    pub(super) fn begin(
        &self,
        piece: &[u8],
        parts: &mut [u32],
        mut set: impl FnMut(usize, Found),
    ) -> usize {
        if let Some(found) = self.byte_pairs.all() {
            for (part, &byte) in parts.iter_mut().zip(piece) {
                *part = self.byte_ids[usize::from(byte)];
            }
            for (at, pair) in piece.windows(2).enumerate() {
                set(at, BytePairs::get(found, pair[0], pair[1]));
            }
            return piece.len();
        }
        let mut len = 0;
        for (part, id) in parts.iter_mut().zip(self.bytes_as_tokens(piece)) {
            *part = id;
            len += 1;
        }
        for (at, pair) in parts[..len].windows(2).enumerate() {
            set(at, self.merge_of(pair[0], pair[1]));
        }
        len
    }
}
