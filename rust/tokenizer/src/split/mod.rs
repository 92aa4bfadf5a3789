//! Cutting text into pieces, within which tokens are merged: by hand-written scanners, without a regular expression engine.
//!
//! A split's pieces cover the text without gaps, so splitting is a walk from one piece's end to the next, in linear time and without
//! allocation.

mod block;
mod chars;
mod gpt2;
mod modern;
mod starts;

use crate::unicode::{Kind, Kinds, LETTERS, only};
pub(crate) use block::{BLOCK, Block};
use chars::{char_at, holds};

/// What cuts text by one split; the encoder is compiled for each.
pub(crate) trait Scanner {
    /// Where the piece that starts at `start` ends. `text` is UTF-8 and `start` the place of a character in it, before its end.
    fn piece_end(text: &[u8], start: usize) -> usize;

    /// The places in a block of text where pieces begin: a bit a byte, and bit 0, where one begins, among them. What depends on bytes beyond
    /// ASCII, or on those that the block does not show, is left out: the pieces up to the last of the places are right, and
    /// [`Scanner::piece_end`] knows more.
    fn starts(block: &Block, bytes: &[u8; BLOCK]) -> u64;
}

/// The scanner of each split.
pub(crate) mod scanners {
    pub(crate) use super::gpt2::{Gpt2, Smollm2};
    pub(crate) use super::modern::{Cl100k, Llama3, O200k, Qwen2};
}

/// How text is cut into pieces before tokens are merged within each.
///
/// ```
/// use pocketlm_tokenizer::split::Split;
/// let pieces: Vec<&str> = Split::Gpt2.pieces("It's  42!").collect();
/// assert_eq!(pieces, ["It", "'s", " ", " 42", "!"]);
/// assert_eq!(Split::named("llama3"), Some(Split::Llama3));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Split {
    /// `"gpt2"`: GPT-2's pattern.
    #[default]
    Gpt2,
    /// `"cl100k"`: that of GPT-3.5 and GPT-4, as tiktoken has it.
    Cl100k,
    /// `"o200k"`: that of GPT-4o and later.
    O200k,
    /// `"llama3"`: Llama 3's, which many share.
    Llama3,
    /// `"qwen2"`: that of Qwen 2, 2.5 and 3.
    Qwen2,
    /// `"smollm2"`: numbers one by one, then GPT-2's.
    Smollm2,
}

impl Split {
    /// Every split there is.
    pub const ALL: [Self; 6] = [
        Self::Gpt2,
        Self::Cl100k,
        Self::O200k,
        Self::Llama3,
        Self::Qwen2,
        Self::Smollm2,
    ];

    /// Its name in files and configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gpt2 => "gpt2",
            Self::Cl100k => "cl100k",
            Self::O200k => "o200k",
            Self::Llama3 => "llama3",
            Self::Qwen2 => "qwen2",
            Self::Smollm2 => "smollm2",
        }
    }

    /// The regular expression that cuts as it does, in the syntax of Oniguruma, PCRE and JavaScript alike; none for
    /// [`Split::Smollm2`], which is GPT-2's after every number was split off.
    pub const fn pattern(self) -> Option<&'static str> {
        match self {
            Self::Gpt2 => {
                Some(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
            }
            Self::Cl100k => Some(
                r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+(?![\s\S])|\s*[\r\n]+|\s+(?!\S)|\s+",
            ),
            Self::O200k => Some(
                r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
            ),
            Self::Llama3 => Some(
                r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
            ),
            Self::Qwen2 => Some(
                r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
            ),
            Self::Smollm2 => None,
        }
    }

    /// The split whose pattern this is.
    #[cfg(feature = "formats")]
    pub(crate) fn of_pattern(pattern: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|split| split.pattern() == Some(pattern))
    }

    /// The split of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|split| split.name() == name)
    }

    /// The pieces of a text; joined, they are the text again.
    pub fn pieces(self, text: &str) -> Pieces<'_> {
        Pieces {
            split: self,
            text,
            at: 0,
        }
    }

    /// Where the piece that starts at `start` ends. `text` is UTF-8 and `start` the place of a character in it, before its end.
    ///
    /// O(length of the piece, and of the run of equal characters that it ends in).
    #[inline]
    pub fn piece_end(self, text: &[u8], start: usize) -> usize {
        match self {
            Self::Gpt2 => scanners::Gpt2::piece_end(text, start),
            Self::Cl100k => scanners::Cl100k::piece_end(text, start),
            Self::O200k => scanners::O200k::piece_end(text, start),
            Self::Llama3 => scanners::Llama3::piece_end(text, start),
            Self::Qwen2 => scanners::Qwen2::piece_end(text, start),
            Self::Smollm2 => scanners::Smollm2::piece_end(text, start),
        }
    }

    /// The last place where `text` can be cut such that the pieces of both parts are those of the whole, whatever comes after it; 0 if there
    /// is none.
    ///
    /// A letter ends a piece, in every split, where neither a letter nor a mark nor an apostrophe (a contraction) follows.
    ///
    /// ```
    /// use pocketlm_tokenizer::split::Split;
    /// assert_eq!(Split::Cl100k.safe_cut("one two\n\nthr"), 7); // the line ends may be followed by others
    /// assert_eq!(Split::Gpt2.safe_cut("123 456"), 0);
    /// ```
    pub fn safe_cut(self, text: &str) -> usize {
        const NOT_AFTER: Kinds = LETTERS | only(Kind::Mark);
        let bytes = text.as_bytes();
        let mut starts = text.char_indices().rev().map(|(start, _)| start);
        let Some(mut at) = starts.next() else {
            return 0;
        };
        for before in starts {
            if holds(LETTERS, char_at(bytes, before).0)
                && !holds(NOT_AFTER, char_at(bytes, at).0)
                && bytes[at] != b'\''
            {
                return at;
            }
            at = before;
        }
        0
    }
}

/// The pieces of a text, in order: [`Split::pieces`].
#[derive(Clone, Debug)]
pub struct Pieces<'t> {
    split: Split,
    text: &'t str,
    at: usize,
}

impl<'t> Iterator for Pieces<'t> {
    type Item = &'t str;

    #[inline]
    fn next(&mut self) -> Option<&'t str> {
        if self.at == self.text.len() {
            return None;
        }
        let start = self.at;
        self.at = self.split.piece_end(self.text.as_bytes(), start);
        Some(&self.text[start..self.at])
    }
}
