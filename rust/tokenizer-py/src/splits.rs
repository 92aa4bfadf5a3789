//! Splits by their names, and what they do to a text.

use pocketlm_tokenizer::split::Split;
use pyo3::prelude::*;

use crate::errors::to_py;

/// The split of a name.
pub(crate) fn named_split(name: &str) -> PyResult<Split> {
    Split::named(name).map_err(to_py)
}

/// The pieces of a split.
#[pyfunction]
#[pyo3(signature = (text, split="gpt2"))]
pub(crate) fn split<'t>(text: &'t str, split: &str) -> PyResult<Vec<&'t str>> {
    Ok(named_split(split)?.pieces(text).collect())
}

/// The last place, in characters, where a text can be cut without changing its pieces.
#[pyfunction]
#[pyo3(signature = (text, split="gpt2"))]
pub(crate) fn safe_cut(text: &str, split: &str) -> PyResult<usize> {
    Ok(safe_cut_in_characters(&named_split(split)?, text))
}

pub(crate) fn safe_cut_in_characters(split: &Split, text: &str) -> usize {
    text[..split.safe_cut(text)].chars().count()
}
