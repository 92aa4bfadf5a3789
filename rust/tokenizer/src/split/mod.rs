//! Cutting text into pieces, within which tokens are merged: by hand-written scanners, without a regular expression engine.
//!
//! A split's pieces cover the text without gaps, so splitting is a walk from one piece's end to the next, in linear time and without
//! allocation.

mod chars;
mod gpt2;

/// How text is cut into pieces before tokens are merged within each.
///
/// ```
/// use pocketlm_tokenizer::split::Split;
/// let pieces: Vec<&str> = Split::Gpt2.pieces("It's  42!").collect();
/// assert_eq!(pieces, ["It", "'s", " ", " 42", "!"]);
/// assert_eq!(Split::named("gpt2"), Some(Split::Gpt2));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Split {
    /// `"gpt2"`: GPT-2's pattern.
    Gpt2,
}

impl Split {
    /// Every split there is.
    pub const ALL: [Self; 1] = [Self::Gpt2];

    /// Its name in files and configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gpt2 => "gpt2",
        }
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

    /// Where the piece that starts at `start` ends. `text` is UTF-8 and `start` the place of a character in it.
    #[inline]
    pub(crate) fn piece_end(self, text: &[u8], start: usize) -> usize {
        match self {
            Self::Gpt2 => gpt2::piece_end(text, start),
        }
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
