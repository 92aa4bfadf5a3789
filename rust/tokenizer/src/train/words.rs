//! Counting distinct words: the one pass over the text.
//!
//! A word is a piece of the split. Words lie one after the other in an arena; an open-addressing table of (part of
//! the hash, index) finds them. Nothing is allocated for a word that was seen before.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use crate::error::TokenizerError;
use crate::split::Split;
use crate::table::hash_bytes;

/// Who watches is asked again after so much text: a few milliseconds.
const NBYTES_BETWEEN_LOOKS: usize = 1 << 20;

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
        let hash = hash_bytes(word, 0);
        let tag = (hash >> 32) as u32;
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
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
        let size = (self.slots.len() * 2).max(1024);
        let mut slots = vec![(0, 0); size];
        for index in 0..self.ends.len() {
            let hash = hash_bytes(self.word(index), 0);
            let mut slot = hash as usize & (size - 1);
            while slots[slot].1 != 0 {
                slot = (slot + 1) & (size - 1);
            }
            slots[slot] = ((hash >> 32) as u32, index as u32 + 1);
        }
        self.slots = slots;
    }
}
