//! What is done to text before it is split.

use alloc::borrow::Cow;
use alloc::string::String;

/// What is done to text before it is split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Normalizer {
    /// Nothing.
    #[default]
    None,
    /// Unicode's normalisation form C.
    Nfc,
}

/// A text's normalisation form C. The tables that this takes are large, and a browser has them: see [`Tokenizer::from_bytes_with`].
///
/// [`Tokenizer::from_bytes_with`]: crate::Tokenizer::from_bytes_with
pub type Nfc = fn(&str) -> String;

impl Normalizer {
    /// The normalised text; `text` itself where nothing in it can change.
    pub(crate) fn apply(self, text: &str, nfc: Nfc) -> Cow<'_, str> {
        match self {
            Self::None => Cow::Borrowed(text),
            // Nothing below U+0300 composes or is composed.
            Self::Nfc if text.bytes().all(|byte| byte < 0xCC) => Cow::Borrowed(text),
            Self::Nfc => Cow::Owned(nfc(text)),
        }
    }
}

/// Normalisation form C by the crate's own tables.
///
/// ```
/// assert_eq!(pocketlm_tokenizer::nfc("e\u{301}"), "é");
/// ```
#[cfg(feature = "nfc")]
pub fn nfc(text: &str) -> String {
    use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => String::from(text),
        IsNormalized::No | IsNormalized::Maybe => text.nfc().collect(),
    }
}
