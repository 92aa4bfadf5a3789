//! Any bytes as a `model.bin`. Every second mutation has its lengths and checksums repaired, so that it gets past them.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use pocketlm_fuzz::{bounded, hostile_model};

fuzz_target!(|data: &[u8]| {
    // The tensors that 1024 layers must have are listed before the file's are compared with them: 2 MiB whatever its length.
    let read = bounded(100 * data.len() + (4 << 20), || {
        hostile_model::read(data.to_vec())
    });
    if let Ok(model) = read {
        hostile_model::run(model);
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let size = fuzzer_mutate(data, size, max_size);
    if seed.is_multiple_of(2) {
        hostile_model::repair(&mut data[..size]);
    }
    size
});
