//! The core's errors as Python's.

use pocketlm_tokenizer::TokenizerError as CoreError;
use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

create_exception!(
    pocketlm_tokenizer,
    TokenizerError,
    PyValueError,
    "Input that cannot be used; the message says what, where, and what was expected."
);

/// An error of the core as a [`TokenizerError`].
pub(crate) fn to_py(error: CoreError) -> PyErr {
    TokenizerError::new_err(error.to_string())
}
