//! The two look-up tables that a tokenizer file brings along: pairs of ids, and tokens by their bytes.
//!
//! Both are arrays of places, a power of two and at most half of them taken. A number stands at the first free place from the one that
//! its hash names, and numbers are put in by ascending order; FORMAT.md has the two hashes. So a table follows from its contents and
//! from which of the [`ATTEMPTS`] hashes was taken, and one pass over it, with nothing computed anew but the hashes, shows whether it
//! holds just what it must ([`check`]).
//!
//! Numbers can be made to crowd under any one hash. The writer takes the first hash under which none stands more than
//! [`MAX_DISTANCE`] places from its own, and the reader refuses what is farther: every search ends after that many steps, whatever the
//! file.

use alloc::vec;
use alloc::vec::Vec;

use crate::error::TokenizerError;
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

/// Put `numbers`, which ascend, into `places`; `hashes` are by number.
fn fill(
    places: &mut [u32],
    numbers: impl Iterator<Item = u32>,
    hashes: &[u64],
    same: impl Fn(u32, u32) -> bool,
) -> Result<(), Flaw> {
    let mask = places.len() - 1;
    for number in numbers {
        let hash = hashes[number as usize];
        let mut place = home(hash, places.len());
        let mut distance = 0;
        while places[place] != FREE {
            let other = places[place];
            if hashes[other as usize] == hash && same(other, number) {
                return Err(Flaw::Same(other, number));
            }
            if distance == MAX_DISTANCE {
                return Err(Flaw::Crowded);
            }
            place = (place + 1) & mask;
            distance += 1;
        }
        places[place] = number;
    }
    Ok(())
}

/// Check that `places` is what [`fill`] makes of `count` numbers. `valid` says which numbers there can be.
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

/// The places of `count` ascending numbers under the first attempt that spreads them; the hashes by number; the attempt.
fn place_all<N: Iterator<Item = u32>>(
    count: usize,
    numbers: impl Fn() -> N,
    hashes: impl Fn(u32) -> Vec<u64>,
    same: impl Fn(u32, u32) -> bool,
) -> Result<(Vec<u32>, Vec<u64>, u32), Flaw> {
    for attempt in 0..ATTEMPTS {
        let hashes = hashes(attempt);
        let mut places = vec![FREE; places_for(count)];
        match fill(&mut places, numbers(), &hashes, &same) {
            Ok(()) => return Ok((places, hashes, attempt)),
            Err(Flaw::Crowded) => {}
            Err(flaw) => return Err(flaw),
        }
    }
    Err(Flaw::Crowded)
}

/// A merge as the encoder asks for it.
#[derive(Clone, Copy, Debug)]
struct PairEntry {
    /// By [`pair_key`]; `u64::MAX`, which is no pair of ids, marks a free place.
    key: u64,
    value: u64,
}

/// From a pair of ids to the merge's priority (high half) and result (low half).
#[derive(Clone, Debug)]
pub(crate) struct PairTable {
    entries: Vec<PairEntry>,
    multiplier: u64,
    attempt: u32,
}

/// What [`PairTable::get`] answers for a pair without a merge; larger than any merge's value.
pub(crate) const NO_MERGE: u64 = u64::MAX;

impl PairTable {
    /// A table of merges: (left, right, priority, result) by their place in the list. `read`: a file's places, which are checked, and its
    /// attempt; without them the table is made.
    pub(crate) fn new(
        merges: &[(u32, u32, u32, u32)],
        read: Option<(&[u32], u32)>,
    ) -> Result<Self, Flaw> {
        let key = |merge: &(u32, u32, u32, u32)| pair_key(merge.0, merge.1);
        let hashes = |attempt| -> Vec<u64> {
            let factor = multiplier(attempt);
            let keys = merges.iter().map(key);
            keys.map(|key| key.wrapping_mul(factor)).collect()
        };
        // The factor is odd: equal products are equal keys.
        let same = |_, _| true;
        let made;
        let (places, attempt) = match read {
            Some((places, attempt)) => {
                let valid = |n| (n as usize) < merges.len();
                check(places, merges.len(), valid, &hashes(attempt), same)?;
                (places, attempt)
            }
            None => {
                made = place_all(merges.len(), || 0..merges.len() as u32, hashes, same)?;
                (&made.0[..], made.2)
            }
        };
        let entries = places.iter().map(|&number| match number {
            FREE => PairEntry {
                key: u64::MAX,
                value: NO_MERGE,
            },
            number => {
                let merge = &merges[number as usize];
                PairEntry {
                    key: key(merge),
                    value: u64::from(merge.2) << 32 | u64::from(merge.3),
                }
            }
        });
        Ok(Self {
            entries: entries.collect(),
            multiplier: multiplier(attempt),
            attempt,
        })
    }

    /// Which of the hashes was taken.
    pub(crate) fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The places of `merges`, those that the table was made from, as a file holds them.
    pub(crate) fn places(&self, pairs: impl Iterator<Item = (u32, u32)>) -> Vec<u32> {
        let hashes: Vec<u64> = pairs
            .map(|(left, right)| pair_key(left, right).wrapping_mul(self.multiplier))
            .collect();
        let mut places = vec![FREE; self.entries.len()];
        fill(&mut places, 0..hashes.len() as u32, &hashes, |_, _| false)
            .expect("they fitted when the table was made");
        places
    }

    /// Have what [`PairTable::get`] looks at first brought near.
    #[inline(always)]
    pub(crate) fn prefetch(&self, left: u32, right: u32) {
        let hash = pair_key(left, right).wrapping_mul(self.multiplier);
        prefetch(&self.entries[home(hash, self.entries.len())]);
    }

    /// The merge of the pair: its priority in the high half and its result in the low one; [`NO_MERGE`] if it has none.
    #[inline]
    pub(crate) fn get(&self, left: u32, right: u32) -> u64 {
        let key = pair_key(left, right);
        let mask = self.entries.len() - 1;
        let mut place = home(key.wrapping_mul(self.multiplier), self.entries.len());
        loop {
            let entry = self.entries[place];
            // A free place's value is NO_MERGE.
            if entry.key == key || entry.key == u64::MAX {
                return entry.value;
            }
            place = (place + 1) & mask;
        }
    }
}

/// From the bytes of the model's tokens to their ids.
#[derive(Clone, Debug)]
pub(crate) struct TokenTable {
    /// (low bits of the hash, id); an id of [`FREE`] marks a free place.
    entries: Vec<(u32, u32)>,
    attempt: u32,
}

impl TokenTable {
    /// A table of the tokens for which `included` holds. `read`: a file's places, which are checked, and its attempt.
    pub(crate) fn new(
        vocabulary: &Vocabulary,
        included: impl Fn(u32) -> bool,
        read: Option<(&[u32], u32)>,
    ) -> Result<Self, Flaw> {
        let ids = || vocabulary.ids().filter(|&id| included(id));
        let count = ids().count();
        let hashes = |attempt| -> Vec<u64> {
            let tokens = vocabulary.iter();
            tokens.map(|bytes| hash_bytes(bytes, attempt)).collect()
        };
        let same = |a, b| vocabulary.get(a) == vocabulary.get(b);
        let made;
        let (places, hashes, attempt) = match read {
            Some((places, attempt)) => {
                let hashes = hashes(attempt);
                let valid = |id| vocabulary.get(id).is_some() && included(id);
                check(places, count, valid, &hashes, same)?;
                (places, hashes, attempt)
            }
            None => {
                made = place_all(count, ids, hashes, same)?;
                (&made.0[..], made.1, made.2)
            }
        };
        let entries = places.iter().map(|&id| match id {
            FREE => (0, FREE),
            id => (hashes[id as usize] as u32, id),
        });
        Ok(Self {
            entries: entries.collect(),
            attempt,
        })
    }

    /// Which of the hashes was taken.
    pub(crate) fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The ids by place, as a file holds them.
    pub(crate) fn places(&self) -> impl Iterator<Item = u32> {
        self.entries.iter().map(|&(_, id)| id)
    }

    /// The id of the token with these bytes.
    pub(crate) fn get(&self, vocabulary: &Vocabulary, bytes: &[u8]) -> Option<u32> {
        let hash = hash_bytes(bytes, self.attempt);
        let mask = self.entries.len() - 1;
        let mut place = home(hash, self.entries.len());
        loop {
            let (tag, id) = self.entries[place];
            if id == FREE {
                return None;
            }
            if tag == hash as u32 && vocabulary.get(id) == Some(bytes) {
                return Some(id);
            }
            place = (place + 1) & mask;
        }
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
    use super::{Flaw, GOLDEN, NO_MERGE, PairTable};
    use alloc::vec::Vec;

    const PAIRS: u32 = 1 << 14;

    /// For each right id, the left id whose pair comes nearest before one place under the first attempt.
    fn crowded() -> Vec<(u32, u32, u32, u32)> {
        let inverse = (0..5).fold(GOLDEN as u32, |x, _| {
            x.wrapping_mul(2u32.wrapping_sub((GOLDEN as u32).wrapping_mul(x)))
        });
        (0..PAIRS)
            .map(|right| {
                let high = (u64::from(right).wrapping_mul(GOLDEN) >> 32) as u32;
                let left = 0u32.wrapping_sub(high).wrapping_mul(inverse);
                (left, right, right, right + 7)
            })
            .collect()
    }

    #[test]
    fn pairs_that_crowd_under_one_hash_are_spread_by_another() {
        let merges = crowded();
        let table = PairTable::new(&merges, None).unwrap();
        assert_ne!(table.attempt(), 0);
        for &(left, right, priority, result) in &merges {
            let value = u64::from(priority) << 32 | u64::from(result);
            assert_eq!(table.get(left, right), value);
        }
        assert_eq!(table.get(1, 1), NO_MERGE);
    }

    #[test]
    fn a_read_table_is_the_made_one() {
        let merges = crowded();
        let made = PairTable::new(&merges, None).unwrap();
        let places = made.places(merges.iter().map(|m| (m.0, m.1)));
        let read = PairTable::new(&merges, Some((&places, made.attempt()))).unwrap();
        assert_eq!(
            read.places(merges.iter().map(|m| (m.0, m.1))),
            places,
            "the same places"
        );
        // Under another hash the numbers stand at wrong places.
        assert!(matches!(
            PairTable::new(&merges, Some((&places, made.attempt() + 1))),
            Err(Flaw::Place(..))
        ));
    }

    #[test]
    fn equal_pairs_are_found() {
        let merges = [(1, 2, 0, 9), (3, 4, 1, 9), (1, 2, 2, 9)];
        assert_eq!(PairTable::new(&merges, None).unwrap_err(), Flaw::Same(0, 2));
    }
}
