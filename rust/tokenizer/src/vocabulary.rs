//! The tokens' bytes by id. Ids may have gaps.

use alloc::vec::Vec;

use crate::prefetch::prefetch;

/// The bytes of every token, one after the other. An id without bytes has no token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Vocabulary {
    pub bytes: Vec<u8>,
    /// Where each token ends in `bytes`; it begins where the one before it ends.
    pub ends: Vec<u32>,
}

impl Vocabulary {
    /// The number of ids: every id is below it.
    pub fn len(&self) -> u32 {
        self.ends.len() as u32
    }

    /// The bytes of token `id`; `None` where there is no such token.
    #[inline]
    pub fn get(&self, id: u32) -> Option<&[u8]> {
        let id = id as usize;
        let end = *self.ends.get(id)? as usize;
        let start = match id {
            0 => 0,
            id => self.ends[id - 1] as usize,
        };
        (start < end).then(|| &self.bytes[start..end])
    }

    /// Have what says where a token's bytes are brought near.
    #[inline]
    pub fn prefetch_end(&self, id: u32) {
        if let Some(end) = self.ends.get(id as usize) {
            prefetch(end);
        }
    }

    /// Have the bytes of a token brought near.
    #[inline]
    pub fn prefetch_bytes(&self, id: u32) {
        let start = match (id as usize).checked_sub(1) {
            Some(before) => self.ends.get(before),
            None => Some(&0),
        };
        if let Some(byte) = start.and_then(|&start| self.bytes.get(start as usize)) {
            prefetch(byte);
        }
    }

    /// The ids that have a token, ascending.
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        let tokens = self.iter().zip(0..);
        tokens.filter_map(|(bytes, id)| (!bytes.is_empty()).then_some(id))
    }

    /// The bytes by id; none for an id without a token.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = core::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, &end)| &self.bytes[start as usize..end as usize])
    }
}
