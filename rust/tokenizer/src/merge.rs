//! Merging the bytes of one piece into tokens.
//!
//! Merges apply by priority, the leftmost first among equals. Short pieces, nearly all of them, by repeatedly taking the
//! smallest of an array (quadratic, but on a few dozen bytes the fastest); long ones with a heap over a linked
//! list, O(n log n), so that a megabyte without a space is no attack. [`crate::naive`] is what both must agree with.

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::table::NO_MERGE;
use crate::tokenizer::{NO_TOKEN, Tokenizer};

/// Pieces up to this many bytes are merged in arrays on the stack.
const SHORT: usize = 64;
/// Nearly all of them are not longer than this; to clear arrays of the other length takes longer than to merge these.
const VERY_SHORT: usize = 16;

impl Tokenizer {
    /// Append the ids of one piece of the split.
    #[inline]
    pub(crate) fn merge_piece(&self, piece: &[u8], ids: &mut Vec<u32>) {
        if self.parts.ignore_merges
            && let Some(id) = self.token_id(piece)
        {
            return ids.push(id);
        }
        if piece.len() <= VERY_SHORT {
            self.merge_short::<VERY_SHORT>(piece, ids);
        } else if piece.len() <= SHORT {
            self.merge_short::<SHORT>(piece, ids);
        } else {
            self.merge_long(piece, ids);
        }
    }

    /// The tokens of single bytes. Bytes without one are left out, as Hugging Face does it.
    fn bytes_as_tokens(&self, piece: &[u8]) -> impl Iterator<Item = u32> {
        let ids = piece.iter().map(|&byte| self.byte_ids[byte as usize]);
        ids.filter(|&id| id != NO_TOKEN)
    }

    /// Merge at most MOST bytes in arrays.
    fn merge_short<const MOST: usize>(&self, piece: &[u8], ids: &mut Vec<u32>) {
        let mut parts = [0; MOST];
        // merges[i] is that of the pair (parts[i], parts[i + 1])
        let mut merges = [NO_MERGE; MOST];
        let mut len = 0;
        for id in self.bytes_as_tokens(piece) {
            parts[len] = id;
            len += 1;
        }
        // The table is larger than the nearest caches: all that is looked for is called for first.
        for pair in parts[..len].windows(2) {
            self.pairs.prefetch(pair[0], pair[1]);
        }
        for (merge, pair) in merges.iter_mut().zip(parts[..len].windows(2)) {
            *merge = self.pairs.get(pair[0], pair[1]);
        }
        while len > 1 {
            let (mut best, mut at) = (NO_MERGE, 0);
            for (i, &merge) in merges[..len - 1].iter().enumerate() {
                if merge < best {
                    (best, at) = (merge, i);
                }
            }
            if best == NO_MERGE {
                break;
            }
            parts[at] = best as u32; // the low half is the result
            if at + 2 < len {
                self.pairs.prefetch(parts[at], parts[at + 2]);
            }
            if at > 0 {
                self.pairs.prefetch(parts[at - 1], parts[at]);
            }
            for i in at + 1..len - 1 {
                parts[i] = parts[i + 1];
                merges[i - 1] = merges[i];
            }
            len -= 1;
            if at > 0 {
                merges[at - 1] = self.pairs.get(parts[at - 1], parts[at]);
            }
            if at + 1 < len {
                merges[at] = self.pairs.get(parts[at], parts[at + 1]);
            }
        }
        ids.extend_from_slice(&parts[..len]);
    }

    /// Merge any number of bytes with a heap of (merge, place) over a linked list of parts.
    fn merge_long(&self, piece: &[u8], ids: &mut Vec<u32>) {
        let mut parts: Vec<u32> = self.bytes_as_tokens(piece).collect();
        let len = parts.len();
        let mut next: Vec<usize> = (1..=len).collect();
        let mut previous: Vec<usize> = (0..len).map(|i| i.wrapping_sub(1)).collect();
        let mut merges: Vec<u64> = parts
            .windows(2)
            .map(|pair| self.pairs.get(pair[0], pair[1]))
            .collect();
        merges.push(NO_MERGE);
        let mut heap: BinaryHeap<Reverse<(u64, usize)>> = merges
            .iter()
            .enumerate()
            .filter(|&(_, &merge)| merge != NO_MERGE)
            .map(|(at, &merge)| Reverse((merge, at)))
            .collect();

        while let Some(Reverse((merge, at))) = heap.pop() {
            if merges[at] != merge {
                continue; // the pair that this entry was for is gone
            }
            let removed = next[at];
            let after = next[removed];
            parts[at] = merge as u32; // the low half is the result
            next[at] = after;
            merges[removed] = NO_MERGE;
            merges[at] = NO_MERGE;
            if after < len {
                previous[after] = at;
                merges[at] = self.pairs.get(parts[at], parts[after]);
                if merges[at] != NO_MERGE {
                    heap.push(Reverse((merges[at], at)));
                }
            }
            if at > 0 {
                let before = previous[at];
                merges[before] = self.pairs.get(parts[before], parts[at]);
                if merges[before] != NO_MERGE {
                    heap.push(Reverse((merges[before], before)));
                }
            }
        }
        let mut at = 0;
        while at < len {
            ids.push(parts[at]);
            at = next[at];
        }
    }
}
