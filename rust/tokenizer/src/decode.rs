//! From ids to bytes, and to text as it streams in.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error::TokenizerError;
use crate::tokenizer::Tokenizer;

impl Tokenizer {
    /// The bytes that `ids` stand for. They are what was encoded, but a cut in the middle of a character shows.
    ///
    /// # Errors
    /// [`TokenizerError::UnknownId`] for an id that is not below [`Tokenizer::vocab_size`].
    pub fn decode(&self, ids: &[u32]) -> Result<Vec<u8>, TokenizerError> {
        let mut bytes = Vec::with_capacity(ids.len() * 4);
        for &id in ids {
            bytes.extend_from_slice(self.known_token(id)?);
        }
        Ok(bytes)
    }

    /// The bytes of `id`, or the error that names it.
    #[inline]
    pub(crate) fn known_token(&self, id: u32) -> Result<&[u8], TokenizerError> {
        self.token_bytes(id).ok_or(TokenizerError::UnknownId {
            id,
            vocab_size: self.vocab_size(),
        })
    }
}

/// Text from bytes that arrive in any portions: only whole characters come out.
///
/// All that comes out, joined, is `String::from_utf8_lossy` of all that went in: U+FFFD for each invalid sequence.
///
/// ```
/// use pocketlm_tokenizer::Utf8Stream;
/// let mut stream = Utf8Stream::default();
/// assert_eq!(stream.push(&[b'a', 0xE2, 0x82]), "a"); // the euro sign is not whole yet
/// assert_eq!(stream.push(&[0xAC, 0xF0]), "€");
/// assert_eq!(stream.finish(), "\u{FFFD}");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Utf8Stream {
    /// The beginning of a character: three bytes at most.
    pending: Vec<u8>,
}

impl Utf8Stream {
    /// Add `bytes`; the text that is now whole.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        let joined;
        let mut rest = if self.pending.is_empty() {
            bytes
        } else {
            self.pending.extend_from_slice(bytes);
            joined = core::mem::take(&mut self.pending);
            &joined
        };
        let mut text = String::with_capacity(rest.len());
        loop {
            match core::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    return text;
                }
                Err(error) => {
                    let (valid, invalid) = rest.split_at(error.valid_up_to());
                    text.push_str(core::str::from_utf8(valid).expect("valid up to here"));
                    let Some(len) = error.error_len() else {
                        self.pending = invalid.to_vec();
                        return text;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = &invalid[len..];
                }
            }
        }
    }

    /// What is left at the end: U+FFFD if a character was begun and never ended, else nothing. The stream is then empty.
    pub fn finish(&mut self) -> String {
        let cut_off = !core::mem::take(&mut self.pending).is_empty();
        if cut_off {
            String::from(char::REPLACEMENT_CHARACTER)
        } else {
            String::new()
        }
    }
}

/// Text from ids that arrive one at a time.
///
/// ```
/// # use pocketlm_tokenizer::{DecodeStream, train::{TrainConfig, train}};
/// # let config = TrainConfig { vocab_size: 257, ..TrainConfig::default() };
/// # let tokenizer = train(["to be"], &config)?;
/// let ids = tokenizer.encode("é"); // two bytes, two tokens in this small vocabulary
/// let mut stream = DecodeStream::new(&tokenizer);
/// assert_eq!(stream.push(ids[0])?, "");
/// assert_eq!(stream.push(ids[1])?, "é");
/// assert_eq!(stream.finish(), "");
/// # Ok::<(), pocketlm_tokenizer::TokenizerError>(())
/// ```
#[derive(Clone, Debug)]
pub struct DecodeStream<'t> {
    tokenizer: &'t Tokenizer,
    text: Utf8Stream,
}

impl<'t> DecodeStream<'t> {
    /// A stream that has seen nothing.
    pub fn new(tokenizer: &'t Tokenizer) -> Self {
        Self {
            tokenizer,
            text: Utf8Stream::default(),
        }
    }

    /// Add one id; the text that is now whole.
    ///
    /// # Errors
    /// [`TokenizerError::UnknownId`]; the stream is as it was.
    pub fn push(&mut self, id: u32) -> Result<String, TokenizerError> {
        Ok(self.text.push(self.tokenizer.known_token(id)?))
    }

    /// What is left at the end; see [`Utf8Stream::finish`].
    pub fn finish(&mut self) -> String {
        self.text.finish()
    }
}
