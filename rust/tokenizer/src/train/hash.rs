//! The hasher of the trainer's maps, whose keys are pairs of ids.

use crate::table::{hash_bytes, mix};

/// Makes hashers of keys that are already numbers: one multiplication or two.
#[derive(Clone, Copy, Default)]
pub(super) struct PairHasher;

impl core::hash::BuildHasher for PairHasher {
    type Hasher = PairHash;

    fn build_hasher(&self) -> PairHash {
        PairHash(0)
    }
}

/// The state of [`PairHasher`]: the mixed key.
pub(super) struct PairHash(u64);

impl core::hash::Hasher for PairHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = mix(self.0 ^ hash_bytes(bytes, 0));
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = mix(key);
    }
}
