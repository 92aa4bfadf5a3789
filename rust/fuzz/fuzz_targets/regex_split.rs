//! Any pattern and any text, with a zero byte between: the pieces cover the text, none is longer than the window, and the encoder and its
//! naive twin agree where the pattern is one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pocketlm_fuzz::{bounded, hostile_tokenizer};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (pattern, text) = text.split_once('\0').unwrap_or((&text, "to be, or not"));
    bounded(hostile_tokenizer::MAX_PROGRAM_NBYTES, || {
        hostile_tokenizer::split_by_pattern(pattern, text);
    });
});
