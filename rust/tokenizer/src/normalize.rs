//! What is done to text before it is split.

use alloc::borrow::Cow;
use alloc::string::String;

#[cfg(not(all(feature = "js", target_arch = "wasm32")))]
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// What is done to text before it is split.
///
/// ```
/// use pocketlm_tokenizer::Normalizer;
/// assert_eq!(Normalizer::Nfc.apply("e\u{301}"), "é");
/// assert_eq!(Normalizer::None.apply("e\u{301}"), "e\u{301}");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Normalizer {
    /// Nothing.
    #[default]
    None,
    /// Unicode's normalisation form C.
    Nfc,
}

impl Normalizer {
    /// The normalised text; `text` itself where it is normalised already.
    pub fn apply(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::None => Cow::Borrowed(text),
            // Nothing below U+0300 composes or is composed.
            Self::Nfc if text.bytes().all(|byte| byte < 0xCC) => Cow::Borrowed(text),
            Self::Nfc => nfc(text),
        }
    }
}

#[cfg(not(all(feature = "js", target_arch = "wasm32")))]
fn nfc(text: &str) -> Cow<'_, str> {
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => Cow::Borrowed(text),
        IsNormalized::No | IsNormalized::Maybe => Cow::Owned(text.nfc().collect::<String>()),
    }
}

/// The browser's own: the tables that this takes would be a seventh of the wasm module.
#[cfg(all(feature = "js", target_arch = "wasm32"))]
fn nfc(text: &str) -> Cow<'_, str> {
    let normalized: String = js_sys::JsString::from(text).normalize("NFC").into();
    Cow::Owned(normalized)
}
