//! Merging a short piece in arrays, one merge at a time, so that several pieces can take turns: while one waits for memory the next goes on.

use super::{Found, NO_PRIORITY, Tokenizer};

/// As large as any rank of [`super::NO_MERGE`].
const NONE: u64 = NO_PRIORITY << 8;

/// A piece of at most MOST bytes, partly merged. Parts stay at the place where they begin.
#[derive(Clone)]
pub(crate) struct Short<const MOST: usize> {
    parts: [u32; MOST],
    /// By the place of its left part, each possible merge: priority and place, so that the smallest is the one to apply, and says where.
    ranks: [u64; MOST],
    /// What each makes.
    results: [u32; MOST],
    /// A bit a place: those where a part begins.
    live: u64,
    /// How many times eight places there are.
    chunks: usize,
    /// The part that the last merge made, and those before and after it.
    made: [usize; 3],
}

/// No part.
const NOWHERE: usize = usize::MAX;

impl<const MOST: usize> Short<MOST> {
    /// No piece.
    pub(crate) const fn empty() -> Self {
        const { assert!(MOST <= 64 && MOST.is_multiple_of(8)) };
        Self {
            parts: [0; MOST],
            ranks: [NONE; MOST],
            results: [0; MOST],
            live: 0,
            chunks: 0,
            made: [NOWHERE; 3],
        }
    }

    /// Begin with the bytes of `piece`, and the merges of all that stand side by side.
    #[inline]
    pub(crate) fn begin(&mut self, tokenizer: &Tokenizer, piece: &[u8]) {
        let (ranks, results) = (&mut self.ranks, &mut self.results);
        let len = tokenizer.begin(piece, &mut self.parts, |at, merge| {
            ranks[at % MOST] = rank(merge, at);
            results[at % MOST] = merge as u32;
        });
        self.live = u64::MAX.checked_shr(64 - len as u32).unwrap_or(0);
        self.chunks = len.div_ceil(8);
        ranks[len.saturating_sub(1)..8 * self.chunks].fill(NONE);
    }

    /// Apply the merge that comes first; whether there was one. Then [`Short::look_up`] has to be called, the later the better: what it looks
    /// at is called for here.
    #[inline(always)]
    pub(crate) fn apply(&mut self, tokenizer: &Tokenizer) -> bool {
        let chunks = self.ranks.as_chunks::<8>().0.iter().take(self.chunks);
        let best = chunks.map(least_of).min().unwrap_or(NONE);
        if best >= NONE {
            return false;
        }
        let at = (best & 0xFF) as usize % MOST;
        self.parts[at] = self.results[at];
        let after = self.live & (!1 << at);
        let removed = after.trailing_zeros() as usize % MOST;
        self.live &= !(1 << removed);
        self.ranks[removed] = NONE;
        self.ranks[at] = NONE;
        self.made = [NOWHERE, at, NOWHERE];
        let after = after & after.wrapping_sub(1);
        if after != 0 {
            let next = after.trailing_zeros() as usize % MOST;
            tokenizer.pairs.prefetch(self.parts[at], self.parts[next]);
            self.made[2] = next;
        }
        let before = self.live & !(u64::MAX << at);
        if before != 0 {
            let previous = (63 - before.leading_zeros()) as usize % MOST;
            tokenizer
                .pairs
                .prefetch(self.parts[previous], self.parts[at]);
            self.made[0] = previous;
        }
        true
    }

    /// Find the merges of the part that was made last.
    #[inline(always)]
    pub(crate) fn look_up(&mut self, tokenizer: &Tokenizer) {
        let [previous, at, next] = self.made;
        for (left, right) in [(previous, at), (at, next)] {
            if left != NOWHERE && right != NOWHERE {
                let (left, right) = (left % MOST, right % MOST);
                let merge = tokenizer.merge_of(self.parts[left], self.parts[right]);
                self.ranks[left] = rank(merge, left);
                self.results[left] = merge as u32;
            }
        }
    }

    /// The tokens, when there is nothing more to merge.
    #[inline(always)]
    pub(crate) fn finish(&mut self) -> &[u32] {
        let (mut count, mut live) = (0, self.live);
        while live != 0 {
            self.parts[count % MOST] = self.parts[live.trailing_zeros() as usize % MOST];
            count += 1;
            live &= live - 1;
        }
        &self.parts[..count]
    }
}

/// The priority of a merge and its place.
#[inline(always)]
fn rank(merge: Found, at: usize) -> u64 {
    merge >> 32 << 8 | at as u64
}

/// The smallest of eight, by three steps of which each waits for the one before.
#[inline(always)]
fn least_of(&[a, b, c, d, e, f, g, h]: &[u64; 8]) -> u64 {
    (a.min(b).min(c.min(d))).min(e.min(f).min(g.min(h)))
}
