//! What must hold for any bytes given as a tokenizer and for any text given to one. Shared by the tests and by the fuzz targets of
//! `rust/fuzz`.
#![allow(dead_code, reason = "each user takes a part of it")]

mod flat;

#[allow(unused_imports, reason = "each user takes a part of it")]
pub use flat::{Flat, repaired};
#[cfg(feature = "regex")]
use pocketlm_tokenizer::split::Split;
#[cfg(feature = "regex")]
use pocketlm_tokenizer::train::{TrainConfig, train};
use pocketlm_tokenizer::{
    DecodeStream, Encoder, Normalizer, Tokenizer, TokenizerError, Utf8Stream, naive,
};

/// Longest message: a special token that is quoted in it must not fill a terminal.
const MAX_MESSAGE_BYTES: usize = 1000;

/// The most that a pattern's program takes, in bytes, with what it works with.
pub const MAX_PROGRAM_NBYTES: usize = 512 << 20;

/// Whether a tokenizer may split by a pattern.
pub fn holds_pattern(bytes: &[u8]) -> bool {
    bytes.windows(6).any(|bytes| bytes == b"regex:")
}

/// Split a text by a pattern, if it is one.
#[cfg(feature = "regex")]
pub fn split_by_pattern(pattern: &str, text: &str) {
    const WINDOW: usize = 16 << 10;
    let split = match Split::regex(pattern) {
        Ok(split) => split,
        Err(error) => {
            let message = error.to_string();
            assert!(message.len() <= MAX_MESSAGE_BYTES, "{message}");
            assert!(!message.chars().any(char::is_control), "{message:?}");
            return;
        }
    };
    let pieces: Vec<&str> = split.pieces(text).collect();
    assert_eq!(pieces.concat(), text);
    assert!(
        pieces
            .iter()
            .all(|piece| !piece.is_empty() && piece.len() <= WINDOW)
    );
    assert_eq!(split.safe_cut(text), 0);
    let config = TrainConfig {
        vocab_size: 270,
        split,
        special_tokens: vec![],
        ..TrainConfig::default()
    };
    if let Ok(tokenizer) = train([text], &config) {
        encode_and_decode(&tokenizer, text);
    }
}

/// Read the flat form and use all of what was read.
pub fn read(bytes: &[u8]) -> Result<Tokenizer, TokenizerError> {
    let tokenizer = Tokenizer::from_bytes(bytes).inspect_err(|error| {
        let message = error.to_string();
        assert!(
            !message.is_empty() && message.len() <= MAX_MESSAGE_BYTES,
            "{message}"
        );
        assert!(!message.chars().any(char::is_control), "{message:?}");
    })?;
    assert_eq!(
        tokenizer.to_bytes(),
        bytes,
        "reading and writing is not the identity"
    );
    let vocab_size = tokenizer.vocab_size();
    assert!(
        tokenizer
            .merges()
            .all(|(left, right, result)| left.max(right).max(result) < vocab_size)
    );
    assert_eq!(tokenizer.token_bytes(vocab_size), None);
    assert!(
        (0..vocab_size).all(|id| tokenizer.token_bytes(id).is_none_or(|bytes| {
            let found = tokenizer.token_id(bytes);
            found == Some(id) || tokenizer.added_tokens().any(|(token, _)| token.id == id)
        }))
    );
    assert_eq!(
        tokenizer.decode(&[vocab_size]),
        Err(TokenizerError::UnknownId {
            id: vocab_size,
            vocab_size
        })
    );
    for (token, text) in tokenizer.added_tokens() {
        // Others may begin before it in its own text, or reach beyond; a word of its own it is there.
        let ids = tokenizer.encode_with_special(text);
        assert!(
            !ids.is_empty() || text.chars().all(char::is_whitespace),
            "{text:?}"
        );
        if tokenizer.added_tokens().count() == 1 {
            assert_eq!(ids, [token.id], "{text:?}");
        }
    }
    // Texts that these merges apply to: the vocabulary's own bytes.
    let all: Vec<u8> = (0..vocab_size)
        .flat_map(|id| tokenizer.token_bytes(id).unwrap_or_default())
        .copied()
        .take(600)
        .collect();
    encode_and_decode(&tokenizer, &String::from_utf8_lossy(&all));
    let there = |id: &u32| tokenizer.token_bytes(*id).is_some();
    let learned: Vec<u32> = (256..vocab_size).filter(there).take(40).collect();
    let bytes = tokenizer.decode(&learned)?;
    encode_and_decode(
        &tokenizer,
        &String::from_utf8_lossy(&bytes[..bytes.len().min(400)]),
    );
    Ok(tokenizer)
}

/// The fast encoder is the naive one where no added token is found, and decoding gives the text back, at once and id by id.
pub fn encode_and_decode(tokenizer: &Tokenizer, text: &str) {
    let ordinary = tokenizer.added_tokens().any(|(token, _)| !token.special);
    let ids = tokenizer.encode(text);
    if !ordinary {
        assert_eq!(ids, naive::encode(tokenizer, text), "{text:?}");
    }
    let mut encoder = Encoder::new(tokenizer);
    for _ in 0..2 {
        let mut again = Vec::new();
        encoder.encode(text, &mut again); // the second time from its cache
        assert_eq!(again, ids, "{text:?}");
    }
    // What is left out: bytes without a token, and white space that an added token takes in.
    let all_bytes = (0..=255).all(|byte| tokenizer.token_id(&[byte]).is_some());
    let strips = tokenizer
        .added_tokens()
        .any(|(token, _)| token.lstrip || token.rstrip);
    for ids in [ids, tokenizer.encode_with_special(text)] {
        let bytes = tokenizer.decode(&ids).expect("its own ids");
        // Text is normalised between the added tokens, which the whole text may not show.
        if all_bytes && !strips && tokenizer.normalizer() == Normalizer::None {
            assert_eq!(bytes, text.as_bytes(), "{text:?}");
        }
        let mut stream = DecodeStream::new(tokenizer);
        let mut streamed: String = ids
            .iter()
            .map(|id| stream.push(*id).expect("its own id"))
            .collect();
        streamed += &stream.finish();
        assert_eq!(streamed, String::from_utf8_lossy(&bytes));
    }
}

/// Bytes in portions of `portion` come out as the standard library reads them at once.
pub fn stream_utf8(bytes: &[u8], portion: usize) {
    let mut stream = Utf8Stream::default();
    let mut text: String = bytes
        .chunks(portion.max(1))
        .map(|part| stream.push(part))
        .collect();
    text += &stream.finish();
    assert_eq!(text, String::from_utf8_lossy(bytes));
}
