//! What must hold for any bytes given as a tokenizer and for any text given to one. Shared by the tests and by the fuzz targets of
//! `rust/fuzz`.
#![allow(dead_code, reason = "each user takes a part of it")]

use pocketlm_tokenizer::{DecodeStream, Encoder, Tokenizer, TokenizerError, Utf8Stream, naive};

/// Longest message: a special token that is quoted in it must not fill a terminal.
const MAX_MESSAGE_BYTES: usize = 1000;

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
    assert_eq!(
        tokenizer.decode(&[vocab_size]),
        Err(TokenizerError::UnknownId {
            id: vocab_size,
            vocab_size
        })
    );
    for (id, text) in tokenizer.special_tokens() {
        assert_eq!(
            tokenizer.encode_with_special(text).last(),
            Some(&id),
            "{text:?}"
        );
    }
    // Texts that these merges apply to: the vocabulary's own bytes.
    let all: Vec<u8> = (0..vocab_size)
        .flat_map(|id| tokenizer.token_bytes(id).unwrap_or_default())
        .copied()
        .take(600)
        .collect();
    encode_and_decode(&tokenizer, &String::from_utf8_lossy(&all));
    let learned: Vec<u32> = (256..vocab_size).take(40).collect();
    let bytes = tokenizer.decode(&learned)?;
    encode_and_decode(
        &tokenizer,
        &String::from_utf8_lossy(&bytes[..bytes.len().min(400)]),
    );
    Ok(tokenizer)
}

/// The fast encoder is the naive one, and decoding gives the text back, at once and id by id.
pub fn encode_and_decode(tokenizer: &Tokenizer, text: &str) {
    let expected = naive::encode(tokenizer, text);
    assert_eq!(tokenizer.encode(text), expected, "{text:?}");
    let mut encoder = Encoder::new(tokenizer);
    for _ in 0..2 {
        let mut ids = Vec::new();
        encoder.encode(text, &mut ids); // the second time from its cache
        assert_eq!(ids, expected, "{text:?}");
    }
    for ids in [expected, tokenizer.encode_with_special(text)] {
        assert_eq!(
            tokenizer.decode(&ids).as_deref(),
            Ok(text.as_bytes()),
            "{text:?}"
        );
        let mut stream = DecodeStream::new(tokenizer);
        let mut streamed: String = ids
            .iter()
            .map(|id| stream.push(*id).expect("its own id"))
            .collect();
        streamed += &stream.finish();
        assert_eq!(streamed, text);
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

/// Make the flat form's length field right: what then refuses the data is a check of its meaning.
pub fn repair(bytes: &mut [u8]) {
    if bytes.len() >= 40 {
        let total = bytes.len() as u64;
        let field = |at: usize| {
            u64::from(u32::from_le_bytes([
                bytes[at],
                bytes[at + 1],
                bytes[at + 2],
                bytes[at + 3],
            ]))
        };
        let words = field(16) + field(20) + 2 * field(24);
        let token_bytes = total.saturating_sub(40 + 4 * words) as u32;
        bytes[28..32].copy_from_slice(&token_bytes.to_le_bytes());
        bytes[32..40].copy_from_slice(&total.to_le_bytes());
    }
}
