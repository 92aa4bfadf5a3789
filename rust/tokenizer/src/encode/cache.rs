//! What an encoder remembers: pieces and their tokens, in tables of a fixed size.
//!
//! Two tables, because nearly all pieces are short. In the first a piece has at most 15 bytes and 4 tokens, and is one number: a look-up is a
//! hash and a comparison of two numbers that lie in one cache line. In the second it has at most 62 bytes and 32 tokens. A new piece takes the
//! place of the older of two in the first, of the only one in the second. So memory is bounded whatever the text ([`Cache::MAX_NBYTES`]).

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use crate::prefetch::prefetch;
use crate::table::hash_bytes;

/// The longest piece of the first table, in bytes: with its length it fills a u128.
pub(super) const MAX_SHORT: usize = 15;
/// The largest number of tokens in the first table.
pub(super) const MAX_SHORT_IDS: usize = 4;
/// The longest piece of the second table.
const MAX_LONG: usize = 62;
pub(super) const MAX_LONG_IDS: usize = 32;

/// The largest first table, in pairs of pieces: 4 MiB. 2.8 MB of plays hold 36,000 distinct pieces; other sizes were not tried.
const MAX_SETS: usize = 1 << 17;
/// The largest second table, in pieces.
const MAX_LONG_ENTRIES: usize = 1 << 14;

/// A piece as one number: its bytes, little-endian, and its length in the top byte. 0 is no piece.
pub(super) type Key = u128;

/// No piece's key.
pub(super) const NO_KEY: Key = 0;

/// Two pieces and their tokens: one cache line.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct Set {
    keys: [Key; 2],
    /// The ids, 24 bits each; the top byte of the first is their number.
    ids: [[u32; MAX_SHORT_IDS]; 2],
}

const _: () = assert!(size_of::<Set>() == 64);

#[derive(Clone, Copy)]
struct LongEntry {
    len: u8,
    count: u8,
    bytes: [u8; MAX_LONG],
    ids: [u32; MAX_LONG_IDS],
}

const NO_ENTRY: LongEntry = LongEntry {
    len: 0,
    count: 0,
    bytes: [0; MAX_LONG],
    ids: [0; MAX_LONG_IDS],
};

/// Pieces seen and their tokens.
#[derive(Clone, Default)]
pub(super) struct Cache {
    /// A power of two; empty at first.
    sets: Vec<Set>,
    long: Vec<LongEntry>,
    bytes_seen: usize,
}

impl Cache {
    /// The most memory that a cache takes.
    pub const MAX_NBYTES: usize =
        MAX_SETS * size_of::<Set>() + MAX_LONG_ENTRIES * size_of::<LongEntry>();

    /// Make room for what `more_bytes` of text may bring. The second table starts empty again when it grows.
    pub fn grow(&mut self, more_bytes: usize) {
        self.bytes_seen = self.bytes_seen.saturating_add(more_bytes);
        let wanted = (self.bytes_seen / 16)
            .next_power_of_two()
            .clamp(16, MAX_SETS);
        if wanted >= self.sets.len() * 4 || (wanted == MAX_SETS && self.sets.len() < wanted) {
            let old = core::mem::replace(&mut self.sets, vec![Set::default(); wanted]);
            for set in old {
                for (key, ids) in set.keys.into_iter().zip(set.ids).rev() {
                    if key != NO_KEY {
                        self.put_packed(key, ids);
                    }
                }
            }
            self.long = vec![NO_ENTRY; (wanted / 8).clamp(4, MAX_LONG_ENTRIES)];
        }
    }

    /// The tokens of a short piece: four ids, of which the second value says how many there are; none where the second table may have them.
    #[inline(always)]
    pub fn get(&self, key: Key) -> Option<([u32; MAX_SHORT_IDS], usize)> {
        let set = &self.sets[hash(key) & (self.sets.len() - 1)];
        let second = set.keys[1] == key;
        if !second && set.keys[0] != key {
            return None;
        }
        let mut ids = set.ids[usize::from(second)];
        let count = (ids[0] >> 24) as usize;
        ids[0] &= 0xFF_FFFF;
        Some((ids, count))
    }

    /// Have what [`Cache::get`] looks at brought near.
    #[inline(always)]
    pub fn prefetch(&self, key: Key) {
        prefetch(&self.sets[hash(key) & (self.sets.len() - 1)]);
    }

    /// Remember a piece, if it is not too long. `key`: [`NO_KEY`] if it is too long for one.
    pub fn put(&mut self, key: Key, piece: &[u8], ids: &[u32]) {
        let is_short = key != NO_KEY && ids.len() <= MAX_SHORT_IDS;
        if key != NO_KEY {
            // Without ids: that the second table may have it.
            let ids = if is_short { ids } else { &[] };
            let mut packed = [0; MAX_SHORT_IDS];
            packed[..ids.len()].copy_from_slice(ids);
            packed[0] |= (ids.len() as u32) << 24;
            self.put_packed(key, packed);
        }
        if !is_short {
            self.put_long(piece, ids);
        }
    }

    fn put_packed(&mut self, key: Key, ids: [u32; MAX_SHORT_IDS]) {
        let mask = self.sets.len() - 1;
        let set = &mut self.sets[hash(key) & mask];
        if set.keys.contains(&key) {
            return; // it came twice before it was known
        }
        set.keys[1] = set.keys[0];
        set.ids[1] = set.ids[0];
        set.keys[0] = key;
        set.ids[0] = ids;
    }

    /// The tokens of a longer piece, or of one with more tokens.
    pub fn get_long(&self, piece: &[u8]) -> Option<&[u32]> {
        let entry = &self.long[hash_bytes(piece, 0) as usize & (self.long.len() - 1)];
        let same = entry.bytes.get(..usize::from(entry.len)) == Some(piece);
        same.then(|| &entry.ids[..usize::from(entry.count)])
    }

    fn put_long(&mut self, piece: &[u8], ids: &[u32]) {
        if piece.len() > MAX_LONG || ids.len() > MAX_LONG_IDS {
            return;
        }
        let mask = self.long.len() - 1;
        let entry = &mut self.long[hash_bytes(piece, 0) as usize & mask];
        entry.len = piece.len() as u8;
        entry.count = ids.len() as u8;
        entry.bytes[..piece.len()].copy_from_slice(piece);
        entry.ids[..ids.len()].copy_from_slice(ids);
    }
}

/// Where a key's set is, before the mask. The product's middle bits depend on all of its lower bits.
#[inline(always)]
fn hash(key: Key) -> usize {
    let folded = (key as u64) ^ ((key >> 64) as u64).wrapping_mul(0xA24B_AED4_963E_E407);
    (folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize
}

/// The key of the piece of `len` bytes (1 to 15) that `window` begins with.
#[inline(always)]
pub(super) fn key_of(window: &[u8; 16], len: usize) -> Key {
    u128::from_le_bytes(*window) & MASKS[len & 15] | (len as u128) << 120
}

/// The lowest n bytes.
static MASKS: [u128; 16] = {
    let mut masks = [0; 16];
    let mut len = 0;
    while len < 16 {
        masks[len] = (1 << (8 * len)) - 1;
        len += 1;
    }
    masks
};

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("sets", &self.sets.len())
            .field("long", &self.long.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn memory_is_bounded_whatever_is_remembered() {
        let mut cache = Cache::default();
        for number in 0..400_000_u32 {
            // A third is short, a third has more ids than fit the first table, a third is too long for it.
            let piece = format!("{number:0width$}", width = [7, 9, 40][number as usize % 3]);
            let ids = [number & 0xFF_FFFF; 6];
            let ids = &ids[..[3, 5, 6][number as usize % 3]];
            let mut window = [0; 16];
            let len = piece.len().min(16);
            window[..len].copy_from_slice(&piece.as_bytes()[..len]);
            let key = if piece.len() > MAX_SHORT {
                NO_KEY
            } else {
                key_of(&window, piece.len())
            };
            cache.grow(1 << 10);
            cache.put(key, piece.as_bytes(), ids);
            let (sets, long) = (cache.sets.capacity(), cache.long.capacity());
            let nbytes = sets * size_of::<Set>() + long * size_of::<LongEntry>();
            assert!(nbytes <= Cache::MAX_NBYTES, "{nbytes} after {number}");
        }
        assert_eq!(
            (cache.sets.len(), cache.long.len()),
            (MAX_SETS, MAX_LONG_ENTRIES)
        );
    }
}
