//! A small open-addressing map from `u64` keys, and the hash that it and the trainer use.
//!
//! One multiplication is enough of a hash (Fibonacci hashing: Knuth, TAOCP 3, 6.4) of the trainer's own text. A tokenizer file can be
//! made to collide under any fixed hash, so [`PairMap`] takes another multiplier where its pairs crowd.

use alloc::vec;
use alloc::vec::Vec;

/// 2^64 divided by the golden ratio, odd.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Spread `key` over 64 bits; the high bits are the good ones.
#[cfg(feature = "std")]
#[inline]
pub(crate) fn mix(key: u64) -> u64 {
    let product = key.wrapping_mul(GOLDEN);
    (product ^ product >> 32).wrapping_mul(GOLDEN)
}

/// A digest of a byte string, eight bytes at a time.
#[cfg(feature = "std")]
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

/// The longest search that is not yet taken for an attack. Chosen by measurement: a million random pairs need 40 or so.
const MAX_PROBES: usize = 512;
/// Multipliers that are tried: pairs of ids have too few bits to crowd under several.
const MAX_MULTIPLIERS: u32 = 8;

/// A fixed map from pairs of ids to a value: at most half full, probed linearly.
#[derive(Clone, Debug)]
pub(crate) struct PairMap<V> {
    slots: Vec<(u64, V)>,
    shift: u32,
    multiplier: u64,
    multipliers_tried: u32,
}

impl<V: Copy + Default> PairMap<V> {
    /// An empty map with room for `capacity` pairs.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        let size = (capacity * 2).next_power_of_two().max(16);
        Self {
            slots: vec![(EMPTY, V::default()); size],
            shift: 64 - size.trailing_zeros(),
            multiplier: GOLDEN,
            multipliers_tried: 1,
        }
    }

    /// Put `value` under the pair; the value that was there, if one was. Only `capacity` distinct pairs fit.
    pub(crate) fn insert(&mut self, left: u32, right: u32, value: V) -> Option<V> {
        let key = pair_key(left, right);
        let slot = self.find(key);
        let previous = (self.slots[slot].0 == key).then_some(self.slots[slot].1);
        self.slots[slot] = (key, value);
        let probes = slot.wrapping_sub(self.home(key)) & (self.slots.len() - 1);
        if probes > MAX_PROBES && self.multipliers_tried < MAX_MULTIPLIERS {
            self.spread_anew();
        }
        previous
    }

    /// Place every pair by the next multiplier.
    #[cold]
    fn spread_anew(&mut self) {
        self.multiplier = self.multiplier.wrapping_mul(GOLDEN).rotate_left(29) | 1;
        self.multipliers_tried += 1;
        let empty = vec![(EMPTY, V::default()); self.slots.len()];
        for (key, value) in core::mem::replace(&mut self.slots, empty) {
            if key != EMPTY {
                let slot = self.find(key);
                self.slots[slot] = (key, value);
            }
        }
    }

    /// The value of the pair.
    #[inline]
    pub(crate) fn get(&self, left: u32, right: u32) -> Option<V> {
        let key = pair_key(left, right);
        let (found, value) = self.slots[self.find(key)];
        (found == key).then_some(value)
    }

    /// The slot where the search for `key` begins.
    #[inline]
    fn home(&self, key: u64) -> usize {
        (key.wrapping_mul(self.multiplier) >> self.shift) as usize & (self.slots.len() - 1)
    }

    /// The slot of `key`, or the empty one where it would go.
    #[inline]
    fn find(&self, key: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = self.home(key);
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

#[cfg(test)]
mod tests {
    use super::{GOLDEN, PairMap};
    use alloc::vec::Vec;

    #[test]
    fn pairs_that_crowd_under_one_multiplier_are_spread_by_another() {
        const PAIRS: u32 = 1 << 14;
        let mut map = PairMap::with_capacity(PAIRS as usize);
        // For each right id, the left id whose pair comes nearest before one slot.
        let inverse = (0..5).fold(GOLDEN as u32, |x, _| {
            x.wrapping_mul(2u32.wrapping_sub((GOLDEN as u32).wrapping_mul(x)))
        });
        let crowded: Vec<(u32, u32)> = (0..PAIRS)
            .map(|right| {
                let high = (u64::from(right).wrapping_mul(GOLDEN) >> 32) as u32;
                (0u32.wrapping_sub(high).wrapping_mul(inverse), right)
            })
            .collect();
        for (value, &(left, right)) in crowded.iter().enumerate() {
            assert_eq!(map.insert(left, right, value), None);
        }
        assert_ne!(map.multiplier, GOLDEN);
        let longest = crowded.iter().map(|&(left, right)| {
            let key = super::pair_key(left, right);
            map.find(key).wrapping_sub(map.home(key)) & (map.slots.len() - 1)
        });
        assert!(longest.max() < Some(100));
        for (value, &(left, right)) in crowded.iter().enumerate() {
            assert_eq!(map.get(left, right), Some(value));
        }
    }
}
