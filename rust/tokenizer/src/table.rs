//! The two look-up tables that a tokenizer file brings along: pairs of ids, and tokens by their bytes.
//!
//! Both are arrays of places, a power of two and at most half of them taken. A number stands at the first free place from the one that
//! its hash names, and numbers are put in by ascending order; FORMAT.md has the two hashes. So a table follows from its contents and
//! from which of the [`ATTEMPTS`] hashes was taken, and the reader makes it anew and compares. That takes no longer than to look
//! whether each number stands where it must: one random access a number, and by ascending number they can be called for beforehand.
//!
//! Numbers can be made to crowd under any one hash. The writer takes the first hash under which none stands more than
//! [`MAX_DISTANCE`] places from its own, and the reader refuses what is farther: every search ends after that many steps, whatever the
//! file.

use alloc::vec;
use alloc::vec::Vec;

use crate::error::TokenizerError;
use crate::parts::Merge;
use crate::prefetch::prefetch;
use crate::vocabulary::Vocabulary;

/// 2^64 divided by the golden ratio, odd (Fibonacci hashing: Knuth, TAOCP 3, 6.4).
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The mark of a place that is not taken.
pub(crate) const FREE: u32 = u32::MAX;

/// How many hashes a writer tries.
pub(crate) const ATTEMPTS: u32 = 32;

/// The farthest that a number may stand from its own place. Chosen by measurement: a million random pairs need 40 or so.
const MAX_DISTANCE: usize = 255;

/// The number of places for `count` numbers.
pub(crate) fn places_for(count: usize) -> usize {
    (2 * count).next_power_of_two().max(16)
}

/// Spread `key` over 64 bits; the high bits are the good ones.
#[inline]
pub(crate) fn mix(key: u64) -> u64 {
    let product = key.wrapping_mul(GOLDEN);
    (product ^ product >> 32).wrapping_mul(GOLDEN)
}

/// The hash of a byte string by the given attempt, eight bytes at a time.
#[inline]
pub(crate) fn hash_bytes(bytes: &[u8], attempt: u32) -> u64 {
    let mut state = u64::from(attempt).wrapping_mul(GOLDEN) ^ bytes.len() as u64;
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

/// The factor that `attempt` multiplies pairs' keys with.
fn multiplier(attempt: u32) -> u64 {
    (0..attempt).fold(GOLDEN, |factor, _| {
        factor.wrapping_mul(GOLDEN).rotate_left(29) | 1
    })
}

/// Why numbers do not make a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Two numbers stand for the same thing: (the smaller, the larger).
    Same(u32, u32),
    /// The place that is wrong, and how.
    Place(usize, &'static str),
    /// No hash spreads the numbers.
    Crowded,
}

/// The place where the search for a hash begins in a table of `places` places.
#[inline]
fn home(hash: u64, places: usize) -> usize {
    (hash >> (64 - places.trailing_zeros())) as usize & (places - 1)
}

/// Say what is wrong with `places`, which are not what [`Slots::build`] makes of `count` numbers; nothing if they are. `valid` says which numbers there can be.
///
/// Each number is compared with those between its own place and where it stands: were one of these places free, the number would stand
/// there; were one of the numbers larger, it would have come later. Equal ones begin at one place, so the later meets the earlier.
/// O(places · MAX_DISTANCE) at the worst, O(places) for a table that a writer made.
fn check(
    places: &[u32],
    count: usize,
    valid: impl Fn(u32) -> bool,
    hashes: &[u64],
    same: impl Fn(u32, u32) -> bool,
) -> Result<(), Flaw> {
    if places.len() != places_for(count) {
        return Err(Flaw::Place(
            0,
            "the table's size is not that for its contents",
        ));
    }
    let mask = places.len() - 1;
    let mut taken = 0;
    if let Some(place) = places.iter().position(|&n| n != FREE && !valid(n)) {
        return Err(Flaw::Place(place, "its number is none of the table's"));
    }
    for (place, &number) in places.iter().enumerate() {
        if number == FREE {
            continue;
        }
        taken += 1;
        let hash = hashes[number as usize];
        let mut before = home(hash, places.len());
        if place.wrapping_sub(before) & mask > MAX_DISTANCE {
            return Err(Flaw::Place(
                place,
                "its number is too far from its own place",
            ));
        }
        while before != place {
            let other = places[before];
            if other == number {
                return Err(Flaw::Place(place, "its number has a place before it"));
            }
            if other != FREE && hashes[other as usize] == hash && same(other, number) {
                return Err(Flaw::Same(other.min(number), other.max(number)));
            }
            if other == FREE || other > number {
                return Err(Flaw::Place(
                    place,
                    "its number belongs to a place before it",
                ));
            }
            before = (before + 1) & mask;
        }
    }
    if taken != count {
        return Err(Flaw::Place(
            taken,
            "the numbers end here, and there should be more or fewer",
        ));
    }
    Ok(())
}

/// A table in memory: by place, a number in the low bits and a tag, more bits of its hash, above it. Most searches for what is not there end at
/// the tag, and there are sixteen places in a cache line.
#[derive(Clone, Debug)]
struct Slots {
    slots: Vec<u32>,
    number_bits: u32,
    attempt: u32,
}

impl Slots {
    /// The table of `numbers`, which ascend and are below `limit`, which is less than 2^31. `hash_of` and `same` are of numbers.
    fn build(
        places: usize,
        limit: usize,
        attempt: u32,
        numbers: impl Iterator<Item = u32>,
        hash_of: impl Fn(u32) -> u64,
        same: impl Fn(u32, u32) -> bool,
    ) -> Result<Self, Flaw> {
        // As many bits as `limit` has: no number is all ones, so no slot looks free.
        let number_bits = usize::BITS - limit.leading_zeros();
        let mut slots = vec![FREE; places];
        let mut numbers = numbers.fuse();
        // Some at once, so that their places are on the way from memory while the hashes of the others are computed.
        let mut some = [(0, 0); 32];
        loop {
            let mut count = 0;
            for (kept, number) in some.iter_mut().zip(&mut numbers) {
                let hash = hash_of(number);
                prefetch(&slots[home(hash, places)]);
                *kept = (number, hash);
                count += 1;
            }
            if count == 0 {
                return Ok(Self {
                    slots,
                    number_bits,
                    attempt,
                });
            }
            for &(number, hash) in &some[..count] {
                let tag = tag(hash, places, number_bits);
                let mut place = home(hash, places);
                let mut distance = 0;
                while slots[place] != FREE {
                    let other = slots[place] & ((1 << number_bits) - 1);
                    if slots[place] >> number_bits == tag && same(other, number) {
                        return Err(Flaw::Same(other, number));
                    }
                    if distance == MAX_DISTANCE {
                        return Err(Flaw::Crowded);
                    }
                    place = (place + 1) & (places - 1);
                    distance += 1;
                }
                slots[place] = number | tag << number_bits;
            }
        }
    }

    /// The table under the first attempt that spreads the numbers.
    fn build_any(build: impl Fn(u32) -> Result<Self, Flaw>) -> Result<Self, Flaw> {
        let crowded = |result: &Result<Self, Flaw>| matches!(result, Err(Flaw::Crowded));
        let mut results = (0..ATTEMPTS).map(build);
        results
            .find(|result| !crowded(result))
            .unwrap_or(Err(Flaw::Crowded))
    }

    /// The numbers by place, as a file holds them.
    fn places(&self) -> impl Iterator<Item = u32> {
        let mask = (1 << self.number_bits) - 1;
        let slots = self.slots.iter();
        slots.map(move |&slot| if slot == FREE { FREE } else { slot & mask })
    }

    /// Have what [`Slots::find`] looks at first brought near.
    #[inline(always)]
    fn prefetch(&self, hash: u64) {
        prefetch(&self.slots[home(hash, self.slots.len())]);
    }

    /// The number that `is` says is the one, among those whose hash may be `hash`.
    #[inline(always)]
    fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        let wanted = tag(hash, self.slots.len(), self.number_bits);
        let mask = self.slots.len() - 1;
        let mut place = home(hash, self.slots.len());
        loop {
            let slot = self.slots[place];
            if slot == FREE {
                return None;
            }
            let number = slot & ((1 << self.number_bits) - 1);
            if slot >> self.number_bits == wanted && is(number) {
                return Some(number);
            }
            place = (place + 1) & mask;
        }
    }
}

/// The bits of a hash after those that name its place: as many as a slot has beside a number.
#[inline(always)]
fn tag(hash: u64, places: usize, number_bits: u32) -> u32 {
    (hash << places.trailing_zeros() >> 32) as u32 >> number_bits
}

/// Whether `slots` could be made, and are a file's places.
fn is_made_of(slots: &Result<Slots, Flaw>, places: &[u32]) -> bool {
    let Ok(slots) = slots else { return false };
    slots.slots.len() == places.len() && slots.places().eq(places.iter().copied())
}

/// From a pair of ids to its merge.
#[derive(Clone, Debug)]
pub(crate) struct PairTable {
    slots: Slots,
    multiplier: u64,
}

impl PairTable {
    /// A table of merges by their place in the list. `read`: a file's places, which are checked, and its attempt; without them the table is
    /// made.
    pub(crate) fn new(merges: &[Merge], read: Option<(&[u32], u32)>) -> Result<Self, Flaw> {
        let key = |n: u32| {
            let merge = merges[n as usize];
            pair_key(merge.left, merge.right)
        };
        let count = merges.len();
        let build = |attempt| {
            let factor = multiplier(attempt);
            let hash_of = |n| key(n).wrapping_mul(factor);
            let numbers = 0..count as u32;
            let same = |a, b| key(a) == key(b);
            Slots::build(places_for(count), count, attempt, numbers, hash_of, same)
        };
        let slots = match read {
            Some((places, attempt)) => {
                let slots = build(attempt);
                if !is_made_of(&slots, places) {
                    let factor = multiplier(attempt);
                    let hash_of = |n| key(n).wrapping_mul(factor);
                    let hashes: Vec<u64> = (0..count as u32).map(hash_of).collect();
                    // The factor is odd: equal products are equal keys.
                    let valid = |n| (n as usize) < count;
                    check(places, count, valid, &hashes, |_, _| true)?;
                }
                slots?
            }
            None => Slots::build_any(build)?,
        };
        Ok(Self {
            multiplier: multiplier(slots.attempt),
            slots,
        })
    }

    /// Which of the hashes was taken.
    pub(crate) fn attempt(&self) -> u32 {
        self.slots.attempt
    }

    /// The merges' places in the list by their places in the table, as a file holds them.
    pub(crate) fn places(&self) -> impl Iterator<Item = u32> {
        self.slots.places()
    }

    #[inline(always)]
    fn hash(&self, left: u32, right: u32) -> u64 {
        pair_key(left, right).wrapping_mul(self.multiplier)
    }

    /// Have what [`PairTable::get`] looks at first brought near.
    #[inline(always)]
    pub(crate) fn prefetch(&self, left: u32, right: u32) {
        self.slots.prefetch(self.hash(left, right));
    }

    /// The place in the list of the merge of the pair. `merges` are those that the table was made from.
    #[inline(always)]
    pub(crate) fn get(&self, merges: &[Merge], left: u32, right: u32) -> Option<u32> {
        self.slots.find(self.hash(left, right), |number| {
            let merge = &merges[number as usize];
            (merge.left, merge.right) == (left, right)
        })
    }
}

/// From the bytes of the model's tokens to their ids.
#[derive(Clone, Debug)]
pub(crate) struct TokenTable(Slots);

impl TokenTable {
    /// A table of the tokens for which `included` holds. `read`: a file's places, which are checked, and its attempt.
    pub(crate) fn new(
        vocabulary: &Vocabulary,
        included: impl Fn(u32) -> bool,
        read: Option<(&[u32], u32)>,
    ) -> Result<Self, Flaw> {
        let ids = || vocabulary.ids().filter(|&id| included(id));
        let count = ids().count();
        let same = |a, b| vocabulary.get(a) == vocabulary.get(b);
        let build = |attempt| {
            let limit = vocabulary.len() as usize;
            let hash_of = |id| hash_bytes(vocabulary.get(id).unwrap_or_default(), attempt);
            Slots::build(places_for(count), limit, attempt, ids(), hash_of, same)
        };
        let slots = match read {
            Some((places, attempt)) => {
                let slots = build(attempt);
                if !is_made_of(&slots, places) {
                    let tokens = vocabulary.iter();
                    let hashes: Vec<u64> = tokens.map(|token| hash_bytes(token, attempt)).collect();
                    let valid = |id| vocabulary.get(id).is_some() && included(id);
                    check(places, count, valid, &hashes, same)?;
                }
                slots?
            }
            None => Slots::build_any(build)?,
        };
        Ok(Self(slots))
    }

    /// Which of the hashes was taken.
    pub(crate) fn attempt(&self) -> u32 {
        self.0.attempt
    }

    /// The ids by place, as a file holds them.
    pub(crate) fn places(&self) -> impl Iterator<Item = u32> {
        self.0.places()
    }

    /// The hash of a token's bytes.
    #[inline]
    pub(crate) fn hash(&self, bytes: &[u8]) -> u64 {
        hash_bytes(bytes, self.0.attempt)
    }

    /// Have what [`TokenTable::get`] looks at first brought near.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        self.0.prefetch(hash);
    }

    /// An id whose token [`TokenTable::get`] will look at, if it looks at any.
    #[inline]
    pub(crate) fn candidate(&self, hash: u64) -> Option<u32> {
        self.0.find(hash, |_| true)
    }

    /// The id of the token with these bytes, whose hash is `hash`.
    #[inline]
    pub(crate) fn get(&self, vocabulary: &Vocabulary, bytes: &[u8], hash: u64) -> Option<u32> {
        self.0.find(hash, |id| vocabulary.get(id) == Some(bytes))
    }
}

/// The error of the token table's flaw.
pub(crate) fn token_flaw(flaw: Flaw) -> TokenizerError {
    match flaw {
        Flaw::Same(first, second) => TokenizerError::DuplicateToken { first, second },
        flaw => table_flaw("token", flaw),
    }
}

/// The error of a flaw that is not of two equal numbers.
pub(crate) fn table_flaw(table: &'static str, flaw: Flaw) -> TokenizerError {
    match flaw {
        Flaw::Place(place, problem) => TokenizerError::BadTable {
            table,
            place: place as u32,
            problem,
        },
        Flaw::Crowded | Flaw::Same(..) => TokenizerError::Crowded { table },
    }
}

#[cfg(test)]
mod tests {
    use super::{Flaw, GOLDEN, PairTable};
    use crate::parts::Merge;
    use alloc::vec::Vec;

    const PAIRS: u32 = 1 << 14;

    /// For each right id, the left id whose pair comes nearest before one place under the first attempt.
    fn crowded() -> Vec<Merge> {
        let inverse = (0..5).fold(GOLDEN as u32, |x, _| {
            x.wrapping_mul(2u32.wrapping_sub((GOLDEN as u32).wrapping_mul(x)))
        });
        (0..PAIRS)
            .map(|right| {
                let high = (u64::from(right).wrapping_mul(GOLDEN) >> 32) as u32;
                let left = 0u32.wrapping_sub(high).wrapping_mul(inverse);
                let result = right + 7;
                Merge {
                    left,
                    right,
                    result,
                }
            })
            .collect()
    }

    #[test]
    fn pairs_that_crowd_under_one_hash_are_spread_by_another() {
        let merges = crowded();
        let table = PairTable::new(&merges, None).unwrap();
        assert_ne!(table.attempt(), 0);
        for (merge, place) in merges.iter().zip(0..) {
            assert_eq!(table.get(&merges, merge.left, merge.right), Some(place));
        }
        assert_eq!(table.get(&merges, 1, 1), None);
    }

    #[test]
    fn a_read_table_is_the_made_one() {
        let merges = crowded();
        let made = PairTable::new(&merges, None).unwrap();
        let places: Vec<u32> = made.places().collect();
        let read = PairTable::new(&merges, Some((&places, made.attempt()))).unwrap();
        assert!(read.places().eq(places.iter().copied()), "the same places");
        // Under another hash the numbers stand at wrong places.
        assert!(matches!(
            PairTable::new(&merges, Some((&places, made.attempt() + 1))),
            Err(Flaw::Place(..))
        ));
    }

    #[test]
    fn equal_pairs_are_found() {
        let merges = [(1, 2), (3, 4), (1, 2)].map(|(left, right)| Merge {
            left,
            right,
            result: 9,
        });
        assert_eq!(PairTable::new(&merges, None).unwrap_err(), Flaw::Same(0, 2));
    }
}
