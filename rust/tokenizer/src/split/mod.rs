//! Cutting text into pieces, within which tokens are merged: by hand-written scanners for the splits that have names, without a regular
//! expression engine, and with one for any other pattern (feature `regex`).
//!
//! A split's pieces cover the text without gaps, so splitting is a walk from one piece's end to the next, in linear time and, by the scanners,
//! without allocation.

mod block;
mod chars;
#[cfg(feature = "regex")]
mod dialect;
mod gpt2;
mod modern;
#[cfg(feature = "regex")]
mod regex;
mod starts;

use alloc::string::ToString;

use crate::error::TokenizerError;
use crate::unicode::{Kind, Kinds, LETTERS, only};
pub(crate) use block::{BLOCK, Block};
use chars::{char_at, holds};
#[cfg(feature = "regex")]
pub use regex::RegexSplit;
#[cfg(feature = "regex")]
pub(crate) use regex::{Searches, account};

/// What cuts text by one split; the encoder is compiled for each.
pub(crate) trait Scanner {
    /// Where the piece that starts at `start` ends; `start` is the place of a character of `text`, before its end.
    fn piece_end(&self, text: &str, start: usize) -> usize;

    /// The places in a block of text where pieces begin: a bit a byte, and bit 0, where one begins, among them. What depends on bytes beyond
    /// ASCII, or on those that the block does not show, is left out: the pieces up to the last of the places are right, and
    /// [`Scanner::piece_end`] knows more.
    fn starts(&self, block: &Block, bytes: &[u8; BLOCK]) -> u64;
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
/// assert_eq!(Split::named("llama3"), Ok(Split::Llama3));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// `"regex:"` and a pattern: [`Split::regex`].
    #[cfg(feature = "regex")]
    Regex(RegexSplit),
}

/// How the name of a split by a regular expression begins; the pattern follows.
const REGEX_PREFIX: &str = "regex:";

impl Split {
    /// Every split that has a scanner.
    pub const ALL: [Self; 6] = [
        Self::Gpt2,
        Self::Cl100k,
        Self::O200k,
        Self::Llama3,
        Self::Qwen2,
        Self::Smollm2,
    ];

    /// The split by a regular expression, in Oniguruma's syntax: its matches, and what lies between two, are the pieces, as Hugging Face's
    /// `Split` has it with the behaviour `isolated`. No piece is longer than 16 KiB, and a match sees no more than another 16 KiB behind it.
    ///
    /// Slower than those with names, 7 to 11 times. A text takes time in proportion to its length, whatever the pattern; where a search would
    /// take too many steps, the next 16 KiB are one piece.
    ///
    /// ```
    /// use pocketlm_tokenizer::split::Split;
    /// let split = Split::regex(r"\w+|[^\w\s]+(?!\S)")?;
    /// assert_eq!(split.pieces("to be, or!").collect::<Vec<_>>(), ["to", " ", "be", ",", " ", "or", "!"]);
    /// # Ok::<(), pocketlm_tokenizer::TokenizerError>(())
    /// ```
    ///
    /// # Errors
    /// [`TokenizerError::BadPattern`] for what is no pattern, is too large, or means other things in other engines.
    #[cfg(feature = "regex")]
    pub fn regex(pattern: &str) -> Result<Self, TokenizerError> {
        RegexSplit::new(pattern).map(Self::Regex)
    }

    /// Its name in files and configurations.
    pub fn name(&self) -> &str {
        match self {
            Self::Gpt2 => "gpt2",
            Self::Cl100k => "cl100k",
            Self::O200k => "o200k",
            Self::Llama3 => "llama3",
            Self::Qwen2 => "qwen2",
            Self::Smollm2 => "smollm2",
            #[cfg(feature = "regex")]
            Self::Regex(split) => split.name(),
        }
    }

    /// The regular expression that cuts as it does, in the syntax of Oniguruma, PCRE and JavaScript alike; none for
    /// [`Split::Smollm2`], which is GPT-2's after every number was split off.
    pub fn pattern(&self) -> Option<&str> {
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
            #[cfg(feature = "regex")]
            Self::Regex(split) => Some(split.pattern()),
        }
    }

    /// The split whose pattern this is.
    ///
    /// # Errors
    /// As [`Split::named`] for the pattern as a name.
    #[cfg(feature = "formats")]
    pub(crate) fn of_pattern(pattern: &str) -> Result<Self, TokenizerError> {
        let mut all = Self::ALL.into_iter();
        let known = all.find(|split| split.pattern() == Some(pattern));
        known.map_or_else(
            || Self::named(&alloc::format!("{REGEX_PREFIX}{pattern}")),
            Ok,
        )
    }

    /// The split of this name.
    ///
    /// # Errors
    /// [`TokenizerError::UnknownSplit`]; for a regular expression [`TokenizerError::BadPattern`] or, in a build without the feature `regex`,
    /// [`TokenizerError::NoRegex`].
    pub fn named(name: &str) -> Result<Self, TokenizerError> {
        if let Some(split) = Self::ALL.into_iter().find(|split| split.name() == name) {
            return Ok(split);
        }
        match name.strip_prefix(REGEX_PREFIX) {
            #[cfg(feature = "regex")]
            Some(pattern) => Self::regex(pattern),
            #[cfg(not(feature = "regex"))]
            Some(_) => Err(TokenizerError::NoRegex {
                name: name.to_string(),
            }),
            None => Err(TokenizerError::UnknownSplit {
                name: name.to_string(),
            }),
        }
    }

    /// The pieces of a text; joined, they are the text again.
    pub fn pieces<'t>(&self, text: &'t str) -> Pieces<'t> {
        Pieces {
            split: self.clone(),
            text,
            at: 0,
            #[cfg(feature = "regex")]
            account: account(text.len()),
        }
    }

    /// The last place where `text` can be cut such that the pieces of both parts are those of the whole, whatever comes after it; 0 if there
    /// is none.
    ///
    /// A letter ends a piece, in every split that has a scanner, where neither a letter nor a mark nor an apostrophe (a contraction) follows.
    /// Of a regular expression nothing is known: there is no such place.
    ///
    /// ```
    /// use pocketlm_tokenizer::split::Split;
    /// assert_eq!(Split::Cl100k.safe_cut("one two\n\nthr"), 7); // the line ends may be followed by others
    /// assert_eq!(Split::Gpt2.safe_cut("123 456"), 0);
    /// ```
    pub fn safe_cut(&self, text: &str) -> usize {
        const NOT_AFTER: Kinds = LETTERS | only(Kind::Mark);
        #[cfg(feature = "regex")]
        if matches!(self, Self::Regex(_)) {
            return 0;
        }
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
    /// What searches may still spend.
    #[cfg(feature = "regex")]
    account: usize,
}

impl<'t> Iterator for Pieces<'t> {
    type Item = &'t str;

    #[inline]
    fn next(&mut self) -> Option<&'t str> {
        if self.at == self.text.len() {
            return None;
        }
        let (text, start) = (self.text, self.at);
        self.at = match &self.split {
            Split::Gpt2 => scanners::Gpt2.piece_end(text, start),
            Split::Cl100k => scanners::Cl100k.piece_end(text, start),
            Split::O200k => scanners::O200k.piece_end(text, start),
            Split::Llama3 => scanners::Llama3.piece_end(text, start),
            Split::Qwen2 => scanners::Qwen2.piece_end(text, start),
            Split::Smollm2 => scanners::Smollm2.piece_end(text, start),
            #[cfg(feature = "regex")]
            Split::Regex(split) => {
                let searches = Searches::new(split, self.account);
                let end = searches.piece_end(text, start);
                self.account = searches.left();
                end
            }
        };
        Some(&text[start..self.at])
    }
}
