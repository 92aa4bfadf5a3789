//! Merges as encoding asks for them, and those of two bytes.

use alloc::vec;
use alloc::vec::Vec;

use crate::parts::{NO_TOKEN, Parts};

/// A merge: its priority in the high half, its result in the low one. A smaller one applies first.
pub(crate) type Found = u64;

/// No merge; larger than any.
pub(crate) const NO_MERGE: Found = u64::MAX;

/// The priority of [`NO_MERGE`], of no merge.
pub(crate) const NO_PRIORITY: u64 = NO_MERGE >> 32;

/// The merges of pairs of bytes, without a search: half a megabyte, of which a text touches a few kilobytes.
#[derive(Clone, Debug)]
pub(crate) struct BytePairs(Vec<u64>);

impl BytePairs {
    /// Those of `two_bytes`, which are the places in the list of the merges that make two bytes; none where a byte has no token, for then what
    /// stands side by side is not known beforehand.
    pub(crate) fn new(parts: &Parts, byte_ids: &[u32; 256], two_bytes: &[u32]) -> Self {
        if byte_ids.contains(&NO_TOKEN) {
            return Self(Vec::new());
        }
        // Zeros are memory that is not touched before it is asked for: 0 is no merge, and all others are one larger.
        let mut found = vec![0; 1 << 16];
        for &place in two_bytes {
            let result = parts.merges[place as usize].result;
            if let Some(&[left, right]) = parts.vocabulary.get(result) {
                let value = u64::from(parts.priority(place as usize)) << 32 | u64::from(result);
                found[usize::from(left) << 8 | usize::from(right)] = value + 1;
            }
        }
        Self(found)
    }

    /// All of them, if there are any.
    #[inline(always)]
    pub(crate) fn all(&self) -> Option<&[u64; 1 << 16]> {
        self.0[..].try_into().ok()
    }

    /// The merge of two bytes, by what [`BytePairs::all`] gave; [`NO_MERGE`] if they have none.
    #[inline(always)]
    pub(crate) fn get(found: &[u64; 1 << 16], left: u8, right: u8) -> Found {
        found[usize::from(left) << 8 | usize::from(right)].wrapping_sub(1)
    }
}
