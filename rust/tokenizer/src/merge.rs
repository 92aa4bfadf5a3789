//! Merging the bytes of one piece into tokens.
//!
//! Merges apply by rank, the leftmost first among equals. Short pieces, nearly all of them, by repeatedly taking the
//! smallest rank of an array (quadratic, but on a few dozen bytes the fastest); long ones with a heap over a linked
//! list, O(n log n), so that a megabyte without a space is no attack. [`crate::naive`] is what both must agree with.

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::tokenizer::Tokenizer;

/// Pieces up to this many bytes are merged in arrays on the stack.
const SHORT: usize = 64;

/// The rank of a pair without a merge.
const NONE: u32 = u32::MAX;

impl Tokenizer {
    /// Append the ids of one piece of the split.
    #[inline]
    pub(crate) fn merge_piece(&self, piece: &[u8], ids: &mut Vec<u32>) {
        match piece {
            [byte] => ids.push(self.byte_ids[*byte as usize]),
            _ if piece.len() <= SHORT => self.merge_short(piece, ids),
            _ => self.merge_long(piece, ids),
        }
    }

    #[inline]
    fn rank(&self, left: u32, right: u32) -> u32 {
        self.ranks.get(left, right).unwrap_or(NONE)
    }

    /// Merge at most SHORT bytes in arrays.
    fn merge_short(&self, piece: &[u8], ids: &mut Vec<u32>) {
        let mut parts = [0; SHORT];
        // ranks[i] is that of the pair (parts[i], parts[i + 1])
        let mut ranks = [NONE; SHORT];
        let mut len = piece.len();
        for (part, &byte) in parts.iter_mut().zip(piece) {
            *part = self.byte_ids[byte as usize];
        }
        for (rank, pair) in ranks.iter_mut().zip(parts[..len].windows(2)) {
            *rank = self.rank(pair[0], pair[1]);
        }
        while len > 1 {
            let (mut best, mut at) = (NONE, 0);
            for (i, &rank) in ranks[..len - 1].iter().enumerate() {
                if rank < best {
                    (best, at) = (rank, i);
                }
            }
            if best == NONE {
                break;
            }
            parts[at] = self.merges[best as usize].result;
            for i in at + 1..len - 1 {
                parts[i] = parts[i + 1];
                ranks[i - 1] = ranks[i];
            }
            len -= 1;
            if at > 0 {
                ranks[at - 1] = self.rank(parts[at - 1], parts[at]);
            }
            if at + 1 < len {
                ranks[at] = self.rank(parts[at], parts[at + 1]);
            }
        }
        ids.extend_from_slice(&parts[..len]);
    }

    /// Merge any number of bytes with a heap of (rank, place) over a linked list of parts.
    fn merge_long(&self, piece: &[u8], ids: &mut Vec<u32>) {
        let len = piece.len();
        let mut parts: Vec<u32> = piece
            .iter()
            .map(|&byte| self.byte_ids[byte as usize])
            .collect();
        let mut next: Vec<usize> = (1..=len).collect();
        let mut previous: Vec<usize> = (0..len).map(|i| i.wrapping_sub(1)).collect();
        let mut ranks: Vec<u32> = parts
            .windows(2)
            .map(|pair| self.rank(pair[0], pair[1]))
            .collect();
        ranks.push(NONE);
        let mut heap: BinaryHeap<Reverse<(u32, usize)>> = ranks
            .iter()
            .enumerate()
            .filter(|&(_, &rank)| rank != NONE)
            .map(|(at, &rank)| Reverse((rank, at)))
            .collect();

        while let Some(Reverse((rank, at))) = heap.pop() {
            if ranks[at] != rank {
                continue; // the pair that this entry was for is gone
            }
            let removed = next[at];
            let after = next[removed];
            parts[at] = self.merges[rank as usize].result;
            next[at] = after;
            ranks[removed] = NONE;
            ranks[at] = NONE;
            if after < len {
                previous[after] = at;
                ranks[at] = self.rank(parts[at], parts[after]);
                if ranks[at] != NONE {
                    heap.push(Reverse((ranks[at], at)));
                }
            }
            if at > 0 {
                let before = previous[at];
                ranks[before] = self.rank(parts[before], parts[at]);
                if ranks[before] != NONE {
                    heap.push(Reverse((ranks[before], before)));
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
