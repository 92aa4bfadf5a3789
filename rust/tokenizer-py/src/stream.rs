//! Decoding ids that arrive one at a time.

use std::sync::Arc;

use pocketlm_tokenizer::{TokenizerError as CoreError, Utf8Stream};
use pyo3::prelude::*;

use crate::errors::to_py;

/// Text from ids that arrive one at a time: only whole characters come out.
#[pyclass(module = "pocketlm_tokenizer")]
pub(crate) struct DecodeStream {
    core: Arc<pocketlm_tokenizer::Tokenizer>,
    text: Utf8Stream,
}

impl DecodeStream {
    pub(crate) fn new(core: Arc<pocketlm_tokenizer::Tokenizer>) -> Self {
        Self {
            core,
            text: Utf8Stream::default(),
        }
    }
}

#[pymethods]
impl DecodeStream {
    /// Add one id; the text that is now whole.
    fn push(&mut self, id: u32) -> PyResult<String> {
        let vocab_size = self.core.vocab_size();
        let bytes = self
            .core
            .token_bytes(id)
            .ok_or_else(|| to_py(CoreError::UnknownId { id, vocab_size }))?;
        Ok(self.text.push(bytes))
    }

    /// What is left at the end: U+FFFD if a character was begun and never ended, else nothing.
    fn finish(&mut self) -> String {
        self.text.finish()
    }
}
