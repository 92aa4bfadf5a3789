//! Every error of this crate as the three things that the page shows: kind, message, hint.

use pocketlm_inference::{EngineError, FormatError};
use pocketlm_tokenizer::TokenizerError;

/// A failure as data; it becomes a JavaScript `Error` with the properties `kind` and `hint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// One of the kinds of [`EngineError::kind`].
    pub kind: &'static str,
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub hint: &'static str,
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self {
            kind: error.kind(),
            message: error.to_string(),
            hint: error.hint(),
        }
    }
}

impl From<FormatError> for Failure {
    fn from(error: FormatError) -> Self {
        EngineError::from(error).into()
    }
}

/// Ids come from the engine and the tokenizer from the same file, so what the tokenizer refuses is the file's fault.
impl From<TokenizerError> for Failure {
    fn from(error: TokenizerError) -> Self {
        Self {
            kind: "bad-model",
            message: error.to_string(),
            hint: "The tokenizer in the file does not fit the model: export it again.",
        }
    }
}
