//! A small open-addressing map from `u64` keys, and the hash that it and the trainer use.
//!
//! Keys here are pairs of token ids or digests of byte strings, never chosen by an attacker against a secret, so one
//! multiplication is enough of a hash (Fibonacci hashing: Knuth, TAOCP 3, 6.4).

use alloc::vec;
use alloc::vec::Vec;

/// 2^64 divided by the golden ratio, odd.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Spread `key` over 64 bits; the high bits are the good ones.
#[inline]
pub(crate) fn mix(key: u64) -> u64 {
    let product = key.wrapping_mul(GOLDEN);
    (product ^ product >> 32).wrapping_mul(GOLDEN)
}

/// A digest of a byte string, eight bytes at a time.
#[inline]
pub(crate) fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut state = bytes.len() as u64;
    let (words, rest) = bytes.as_chunks::<8>();
    for &word in words {
        state = mix(state.rotate_left(5) ^ u64::from_le_bytes(word));
    }
    let mut word = [0; 8];
    word[..rest.len()].copy_from_slice(rest);
    mix(state.rotate_left(5) ^ u64::from_le_bytes(word))
}

/// The pair of ids as one key.
#[inline]
pub(crate) fn pair_key(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

/// No pair of ids: ids stay below `MAX_VOCAB_SIZE`.
const EMPTY: u64 = u64::MAX;

/// A fixed map from pairs of ids to a value: at most half full, probed linearly.
#[derive(Clone, Debug)]
pub(crate) struct PairMap<V> {
    slots: Vec<(u64, V)>,
    shift: u32,
}

impl<V: Copy + Default> PairMap<V> {
    /// An empty map with room for `capacity` pairs.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        let size = (capacity * 2).next_power_of_two().max(16);
        Self {
            slots: vec![(EMPTY, V::default()); size],
            shift: 64 - size.trailing_zeros(),
        }
    }

    /// Put `value` under the pair; the value that was there, if one was. Only `capacity` distinct pairs fit.
    pub(crate) fn insert(&mut self, left: u32, right: u32, value: V) -> Option<V> {
        let key = pair_key(left, right);
        let slot = self.find(key);
        let previous = (self.slots[slot].0 == key).then_some(self.slots[slot].1);
        self.slots[slot] = (key, value);
        previous
    }

    /// The value of the pair.
    #[inline]
    pub(crate) fn get(&self, left: u32, right: u32) -> Option<V> {
        let key = pair_key(left, right);
        let (found, value) = self.slots[self.find(key)];
        (found == key).then_some(value)
    }

    /// The slot of `key`, or the empty one where it would go.
    #[inline]
    fn find(&self, key: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = (key.wrapping_mul(GOLDEN) >> self.shift) as usize & mask;
        while self.slots[slot].0 != key && self.slots[slot].0 != EMPTY {
            slot = (slot + 1) & mask;
        }
        slot
    }
}

/// The hasher of the trainer's maps of `pair_key`s.
#[cfg(feature = "std")]
#[derive(Clone, Copy, Default)]
pub(crate) struct PairHasher;

#[cfg(feature = "std")]
impl core::hash::BuildHasher for PairHasher {
    type Hasher = PairHash;

    fn build_hasher(&self) -> PairHash {
        PairHash(0)
    }
}

/// The state of [`PairHasher`]: the mixed key.
#[cfg(feature = "std")]
pub(crate) struct PairHash(u64);

#[cfg(feature = "std")]
impl core::hash::Hasher for PairHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = mix(self.0 ^ hash_bytes(bytes));
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = mix(key);
    }
}
