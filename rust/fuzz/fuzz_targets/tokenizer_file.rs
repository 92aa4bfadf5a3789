//! Any bytes as a tokenizer's flat form. Every second mutation has its lengths and tables repaired, so that it gets past them.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use pocketlm_fuzz::{bounded, hostile_tokenizer};

fuzz_target!(|data: &[u8]| {
    let program = if hostile_tokenizer::holds_pattern(data) {
        hostile_tokenizer::MAX_PROGRAM_NBYTES
    } else {
        0
    };
    let _ = bounded(program + 100 * data.len() + (1 << 20), || {
        hostile_tokenizer::read(data)
    });
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let size = fuzzer_mutate(data, size, max_size);
    let repaired = hostile_tokenizer::repaired(&data[..size]);
    if seed.is_multiple_of(2) && repaired.len() <= max_size {
        data[..repaired.len()].copy_from_slice(&repaired);
        return repaired.len();
    }
    size
});
