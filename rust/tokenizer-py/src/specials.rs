//! Special tokens that must not stand in a text.

use std::collections::BTreeSet;

use pyo3::PyResult;

use crate::errors::TokenizerError;

/// An error where `text` holds one of the `forbidden` special tokens; without a list of them, one that is not `allowed`.
pub(crate) fn refuse(
    tokenizer: &pocketlm_tokenizer::Tokenizer,
    text: &str,
    allowed: &BTreeSet<u32>,
    forbidden: Option<&BTreeSet<u32>>,
) -> PyResult<()> {
    let is_forbidden = |id: &u32| match forbidden {
        Some(forbidden) => forbidden.contains(id),
        None => !allowed.contains(id),
    };
    let specials = tokenizer
        .special_tokens()
        .filter(|(id, _)| is_forbidden(id));
    let found = specials.filter_map(|(_, name)| Some((text.find(name)?, name)));
    let Some((at, name)) = found.min() else {
        return Ok(());
    };
    let at = text[..at].chars().count();
    Err(TokenizerError::new_err(format!(
        "the text holds the special token {name:?} at character {at}; name it in `allowed` to encode it as that token, or leave it out of \
         `forbidden` to encode it as ordinary text"
    )))
}
