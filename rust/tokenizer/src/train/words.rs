//! Counting distinct words: the one pass over the text.
//!
//! A word is a piece of the split. Words lie one after the other in an arena; an open-addressing table of (part of
//! the hash, index) finds them. Nothing is allocated for a word that was seen before. Words that were chosen to collide are hashed again in a
//! way that nobody can foresee, at most once for each size of the table: so counting stays linear.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use core::hash::BuildHasher;
use core::ops::ControlFlow;
use std::collections::hash_map::RandomState;

use crate::error::TokenizerError;
use crate::split::Split;
use crate::table::hash_bytes;

/// Who watches is asked again after so much text: a few milliseconds.
const NBYTES_BETWEEN_LOOKS: usize = 1 << 20;

/// A search for a word that takes so many steps finds words that were made to collide: half full, a table of 2^32 chance words needs some 200.
const MAX_STEPS: usize = 1024;

/// How often each distinct piece of the split occurs.
///
/// ```
/// use pocketlm_tokenizer::train::WordCounts;
/// let mut words = WordCounts::default();
/// words.add("to be or not to be")?;
/// let be = words.iter().find(|(word, _)| *word == b" be");
/// assert_eq!(be, Some((&b" be"[..], 2)));
/// # Ok::<(), pocketlm_tokenizer::TokenizerError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct WordCounts {
    split: Split,
    arena: Vec<u8>,
    /// Where each word ends in the arena.
    ends: Vec<u32>,
    counts: Vec<u64>,
    /// (high bits of the hash, index + 1); an index of 0 marks an empty slot. At most half full.
    slots: Vec<(u32, u32)>,
    /// Which hash it is: 0 as long as no words were made to collide. No result depends on it.
    attempt: u32,
    /// Whether this size of the table has been hashed anew.
    is_rehashed: bool,
}

impl WordCounts {
    /// No words yet; those to come are the pieces of `split`. The default is GPT-2's.
    pub fn new(split: Split) -> Self {
        Self {
            split,
            ..Self::default()
        }
    }

    /// What the words are pieces of.
    pub fn split(&self) -> &Split {
        &self.split
    }

    /// Count the words of a document.
    ///
    /// # Errors
    /// [`TokenizerError::TooLarge`] where the distinct words pass 4 GiB.
    pub fn add(&mut self, document: &str) -> Result<(), TokenizerError> {
        self.add_weighted(document, 1)
    }

    /// Count the words of a document as if it came `weight` times.
    ///
    /// # Errors
    /// As [`WordCounts::add`].
    pub fn add_weighted(&mut self, document: &str, weight: u64) -> Result<(), TokenizerError> {
        self.add_watched(document, weight, &mut || ControlFlow::Continue(()))
    }

    /// As [`WordCounts::add_weighted`], with a `watch` that is asked about once a MiB whether to go on.
    ///
    /// # Errors
    /// As [`WordCounts::add`]; [`TokenizerError::Stopped`] where `watch` breaks off. The words before that stay counted.
    pub fn add_watched(
        &mut self,
        document: &str,
        weight: u64,
        watch: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<(), TokenizerError> {
        if weight == 0 {
            return Ok(());
        }
        let mut since_look = 0;
        for piece in self.split.pieces(document) {
            since_look += piece.len();
            if since_look >= NBYTES_BETWEEN_LOOKS {
                since_look = 0;
                if watch().is_break() {
                    return Err(TokenizerError::Stopped);
                }
            }
            self.add_word(piece.as_bytes(), weight)?;
        }
        Ok(())
    }

    /// Add a word that was counted elsewhere; [`WordCounts::iter`] gives them. Words of a count of 0 are left out.
    ///
    /// # Errors
    /// As [`WordCounts::add`].
    pub fn add_counted(&mut self, word: &[u8], count: u64) -> Result<(), TokenizerError> {
        if word.is_empty() || count == 0 {
            return Ok(());
        }
        self.add_word(word, count)
    }

    /// Add all that `other` counted: text can be counted in portions, on as many threads or machines as one likes.
    ///
    /// # Errors
    /// As [`WordCounts::add`]; [`TokenizerError::SplitsDiffer`] where `other` was split in another way.
    pub fn merge(&mut self, other: &Self) -> Result<(), TokenizerError> {
        self.check_split(&other.split)?;
        other
            .iter()
            .try_for_each(|(word, count)| self.add_word(word, count))
    }

    /// The words and their counts, in the order they were first seen.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        (0..self.ends.len()).map(|index| (self.word(index), self.counts[index]))
    }

    /// The number of distinct words.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether no document held a character.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Check that the words are pieces of `split`.
    pub(super) fn check_split(&self, split: &Split) -> Result<(), TokenizerError> {
        if self.split == *split {
            return Ok(());
        }
        Err(TokenizerError::SplitsDiffer {
            expected: split.name().to_string(),
            got: self.split.name().to_string(),
        })
    }

    /// The total length of the distinct words.
    pub(super) fn arena_len(&self) -> usize {
        self.arena.len()
    }

    #[inline]
    fn word(&self, index: usize) -> &[u8] {
        let start = if index == 0 {
            0
        } else {
            self.ends[index - 1] as usize
        };
        &self.arena[start..self.ends[index] as usize]
    }

    #[inline]
    fn add_word(&mut self, word: &[u8], count: u64) -> Result<(), TokenizerError> {
        if self.ends.len() * 2 >= self.slots.len() {
            self.grow();
        }
        let hash = hash_bytes(word, self.attempt);
        let tag = (hash >> 32) as u32;
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        for steps in 0.. {
            if steps == MAX_STEPS && !self.is_rehashed {
                self.attempt = RandomState::new().hash_one(0) as u32;
                self.is_rehashed = true;
                self.place(self.slots.len());
                return self.add_word(word, count);
            }
            let (found, number) = self.slots[slot];
            if number == 0 {
                break;
            }
            let index = number as usize - 1;
            if found == tag && self.word(index) == word {
                self.counts[index] = self.counts[index].saturating_add(count);
                return Ok(());
            }
            slot = (slot + 1) & mask;
        }
        let end = self.arena.len() as u64 + word.len() as u64;
        let limit = u64::from(u32::MAX);
        let end = u32::try_from(end).map_err(|_| TokenizerError::TooLarge {
            what: "the distinct words, in bytes",
            got: end,
            limit,
        })?;
        self.arena.extend_from_slice(word);
        self.ends.push(end);
        self.counts.push(count);
        self.slots[slot] = (tag, self.ends.len() as u32);
        Ok(())
    }

    /// Make the table twice as large.
    #[cold]
    fn grow(&mut self) {
        self.is_rehashed = false;
        self.place((self.slots.len() * 2).max(1024));
    }

    /// Find places for all words in a table of `size`.
    #[cold]
    fn place(&mut self, size: usize) {
        let mut slots = vec![(0, 0); size];
        for index in 0..self.ends.len() {
            let hash = hash_bytes(self.word(index), self.attempt);
            let mut slot = hash as usize & (size - 1);
            while slots[slot].1 != 0 {
                slot = (slot + 1) & (size - 1);
            }
            slots[slot] = ((hash >> 32) as u32, index as u32 + 1);
        }
        self.slots = slots;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::mix;

    /// The most steps that a search for one of the words takes.
    fn most_steps(words: &WordCounts) -> usize {
        let mask = words.slots.len() - 1;
        let steps = words
            .slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.1 != 0);
        let steps = steps.map(|(at, &(_, number))| {
            let hash = hash_bytes(words.word(number as usize - 1), words.attempt);
            at.wrapping_sub(hash as usize) & mask
        });
        steps.max().unwrap_or(0)
    }

    #[test]
    fn words_made_to_collide_are_found_in_as_few_steps_as_others() {
        // Sixteen bytes whose second half undoes what the hash made of the first.
        let colliding = |first: u64| {
            let second = mix(16u64.rotate_left(5) ^ first).rotate_left(5);
            [first.to_le_bytes(), second.to_le_bytes()].concat()
        };
        let mut words = WordCounts::default();
        for first in 0..100_000 {
            words.add_counted(&colliding(first), 1 + first % 3).unwrap();
        }
        assert_ne!(words.attempt, 0);
        assert!(most_steps(&words) < MAX_STEPS, "{}", most_steps(&words));
        for (first, (word, count)) in (0..).zip(words.iter()) {
            assert_eq!((word, count), (&colliding(first)[..], 1 + first % 3));
        }
        words.add_counted(&colliding(7), 10).unwrap();
        assert_eq!((words.len(), words.counts[7]), (100_000, 12));
    }

    #[test]
    fn other_words_keep_their_hash() {
        let mut words = WordCounts::default();
        for number in 0..100_000 {
            words.add(&number.to_string()).unwrap();
        }
        assert_eq!(words.attempt, 0);
        assert!(most_steps(&words) < MAX_STEPS / 4, "{}", most_steps(&words));
    }
}
