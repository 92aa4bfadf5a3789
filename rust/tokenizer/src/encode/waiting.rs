//! What a text's pieces became, and pieces that the cache does not know, until there are several of them.
//!
//! To merge a piece is to look up one pair after the other in tables that no near cache holds: nearly all of the time it waits for memory. So
//! the unknown pieces take turns, a merge each, and what one asks for comes while the others go on. Chosen by measurement: eight of them; with
//! one at a time a new piece takes 800 ns, in turns 500 (cl100k's vocabulary, plays, a busy machine).

use alloc::vec::Vec;

use super::cache::{Cache, Key, MAX_LONG_IDS, MAX_SHORT_IDS, NO_KEY};
use crate::merge::Short;
use crate::tokenizer::Tokenizer;

/// The number of pieces that take turns.
const LANES: usize = 8;
/// The longest piece that does, in bytes.
const LANE_NBYTES: usize = 32;
/// Ids that are gathered before they are appended to the list.
const FOUND: usize = 1024;

/// A piece that is not known.
#[derive(Clone, Copy)]
struct Piece {
    /// Where it is in the text.
    start: usize,
    end: usize,
    /// [`NO_KEY`] if it is too long for one.
    key: Key,
    /// The number of ids that were gathered before it.
    at: usize,
    /// Of its bytes, where it may be a token whatever the merges make of it.
    hash: u64,
}

/// Ids in the order of the text, with gaps where a piece waits.
#[derive(Clone)]
pub(super) struct Waiting {
    found: [u32; FOUND],
    found_count: usize,
    pieces: [Piece; LANES],
    count: usize,
    lanes: [Short<LANE_NBYTES>; LANES],
}

impl Waiting {
    /// Nothing yet.
    pub fn new() -> Self {
        let none = Piece {
            start: 0,
            end: 0,
            key: NO_KEY,
            at: 0,
            hash: 0,
        };
        Self {
            found: [0; FOUND],
            found_count: 0,
            pieces: [none; LANES],
            count: 0,
            lanes: [const { Short::empty() }; LANES],
        }
    }

    /// Make room for so many pieces that the cache knows.
    #[inline(always)]
    pub fn make_room(
        &mut self,
        pieces: usize,
        text: &[u8],
        tokenizer: &Tokenizer,
        cache: &mut Cache,
        ids: &mut Vec<u32>,
    ) {
        if self.found_count + pieces * MAX_SHORT_IDS > FOUND {
            self.flush(text, tokenizer, cache, ids);
        }
    }

    /// Add `count` ids, the first of `found`. There must be room.
    #[inline(always)]
    pub fn push_found(&mut self, found: &[u32; MAX_SHORT_IDS], count: usize) {
        // All four in one copy of fixed size: faster than a copy of `count`.
        self.found[self.found_count..self.found_count + MAX_SHORT_IDS].copy_from_slice(found);
        self.found_count += count;
    }

    /// Add a piece of the cache's second table. `room`: for so many pieces of the first there has to be room afterwards.
    #[inline(never)]
    pub fn push_long(
        &mut self,
        (start, end, key): (usize, usize, Key),
        room: usize,
        text: &[u8],
        tokenizer: &Tokenizer,
        cache: &mut Cache,
        ids: &mut Vec<u32>,
    ) {
        if self.found_count + MAX_LONG_IDS + room * MAX_SHORT_IDS > FOUND {
            self.flush(text, tokenizer, cache, ids);
        }
        match cache.get_long(&text[start..end]) {
            Some(found) => {
                self.found[self.found_count..][..found.len()].copy_from_slice(found);
                self.found_count += found.len();
            }
            None => self.push_unknown((start, end, key), text, tokenizer, cache, ids),
        }
    }

    /// Add a piece that the cache does not know.
    #[cold]
    #[inline(never)]
    pub fn push_unknown(
        &mut self,
        (start, end, key): (usize, usize, Key),
        text: &[u8],
        tokenizer: &Tokenizer,
        cache: &mut Cache,
        ids: &mut Vec<u32>,
    ) {
        let mut hash = 0;
        if tokenizer.parts.ignore_merges {
            hash = tokenizer.token_table.hash(&text[start..end]);
            tokenizer.token_table.prefetch(hash);
        }
        self.pieces[self.count] = Piece {
            start,
            end,
            key,
            at: self.found_count,
            hash,
        };
        self.count += 1;
        if self.count == LANES {
            self.flush(text, tokenizer, cache, ids);
        }
    }

    /// Append all to `ids`, and remember the pieces that were not known.
    pub fn flush(
        &mut self,
        text: &[u8],
        tokenizer: &Tokenizer,
        cache: &mut Cache,
        ids: &mut Vec<u32>,
    ) {
        let pieces = &self.pieces[..self.count];
        let whole = whole_tokens(text, tokenizer, pieces);
        let mut at_work = 0_u32;
        for (number, piece) in pieces.iter().enumerate() {
            if whole[number].is_none() && piece.end - piece.start <= LANE_NBYTES {
                self.lanes[number].begin(tokenizer, &text[piece.start..piece.end]);
                at_work |= 1 << number;
            }
        }
        while at_work != 0 {
            for number in bits(at_work) {
                if !self.lanes[number].apply(tokenizer) {
                    at_work &= !(1 << number);
                }
            }
            for number in bits(at_work) {
                self.lanes[number].look_up(tokenizer);
            }
        }
        let mut from = 0;
        for (number, piece) in pieces.iter().enumerate() {
            ids.extend_from_slice(&self.found[from..piece.at]);
            from = piece.at;
            let before = ids.len();
            if let Some(id) = whole[number] {
                ids.push(id);
            } else if piece.end - piece.start <= LANE_NBYTES {
                ids.extend_from_slice(self.lanes[number].finish());
            } else {
                tokenizer.merge_piece(&text[piece.start..piece.end], ids);
            }
            cache.put(piece.key, &text[piece.start..piece.end], &ids[before..]);
        }
        ids.extend_from_slice(&self.found[from..self.found_count]);
        (self.found_count, self.count) = (0, 0);
    }
}

/// For each of `pieces`, which are at most LANES, the token that it is, where that counts. In steps, for each waits for memory.
#[inline(always)]
fn whole_tokens(text: &[u8], tokenizer: &Tokenizer, pieces: &[Piece]) -> [Option<u32>; LANES] {
    let mut whole = [None; LANES];
    if tokenizer.parts.ignore_merges {
        let (table, vocabulary) = (&tokenizer.token_table, &tokenizer.parts.vocabulary);
        for (piece, id) in pieces.iter().zip(&mut whole) {
            *id = table.candidate(piece.hash);
            id.iter().for_each(|&id| vocabulary.prefetch_end(id));
        }
        for id in whole.iter().flatten() {
            vocabulary.prefetch_bytes(*id);
        }
        for (piece, id) in pieces.iter().zip(&mut whole) {
            *id = id.and_then(|_| table.get(vocabulary, &text[piece.start..piece.end], piece.hash));
        }
    }
    whole
}

/// The places of `mask`, from the lowest on.
#[inline(always)]
fn bits(mut mask: u32) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let place = (mask != 0).then(|| mask.trailing_zeros() as usize % LANES);
        mask &= mask.wrapping_sub(1);
        place
    })
}
