//! Any text: the fast encoder against its naive twin, decoding at once and in pieces; any bytes as UTF-8 that streams in.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pocketlm_fuzz::{bounded, hostile_tokenizer, seeds};
use pocketlm_tokenizer::Tokenizer;

static TOKENIZERS: LazyLock<Vec<Tokenizer>> = LazyLock::new(|| {
    let flat = seeds("tokenizer_file");
    flat.iter()
        .map(|bytes| Tokenizer::from_bytes(bytes).expect("a sound tokenizer"))
        .collect()
});

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    // An engine keeps what it works with: a few MiB.
    bounded(200 * data.len() + (16 << 20), || {
        for tokenizer in TOKENIZERS.iter() {
            hostile_tokenizer::encode_and_decode(tokenizer, &text);
        }
        hostile_tokenizer::stream_utf8(data, data.first().map_or(1, |byte| usize::from(*byte % 8)));
    });
});
