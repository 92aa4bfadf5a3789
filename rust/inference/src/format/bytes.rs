//! The file's bytes, once, at an address from which f32 and f16 can be read in place.

use alloc::vec::Vec;

use crate::error::FormatError;

/// A file in memory whose first byte has an address that is a multiple of 4.
///
/// Sections begin at multiples of 256 *in the file*; a `Vec<u8>` promises no alignment of its first byte. Allocators align anyway, so
/// the bytes are kept as they came, and copied once into words only where they did not.
pub(super) struct Bytes(Storage);

enum Storage {
    Aligned(Vec<u8>),
    Copied { words: Vec<u32>, len: usize },
}

impl Bytes {
    /// Take the bytes over.
    ///
    /// # Errors
    /// [`FormatError::OutOfMemory`] where a copy is needed and does not fit.
    pub fn new(bytes: Vec<u8>) -> Result<Self, FormatError> {
        if bytes.as_ptr().cast::<u32>().is_aligned() {
            return Ok(Self(Storage::Aligned(bytes)));
        }
        Self::copy(&bytes)
    }

    fn copy(bytes: &[u8]) -> Result<Self, FormatError> {
        let len = bytes.len();
        let mut words: Vec<u32> = Vec::new();
        words
            .try_reserve_exact(len.div_ceil(4))
            .map_err(|_| FormatError::OutOfMemory {
                what: "an aligned copy of the file",
                needed_bytes: len as u64,
            })?;
        words.resize(len.div_ceil(4), 0);
        bytemuck::cast_slice_mut(&mut words)[..len].copy_from_slice(bytes);
        Ok(Self(Storage::Copied { words, len }))
    }

    /// All bytes.
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Storage::Aligned(bytes) => bytes,
            Storage::Copied { words, len } => &bytemuck::cast_slice(words)[..*len],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Bytes;
    use alloc::vec::Vec;

    #[test]
    fn both_storages_give_the_same_bytes() {
        for len in 0..9 {
            let bytes: Vec<u8> = (0..len).map(|i| i as u8 + 1).collect();
            assert_eq!(Bytes::new(bytes.clone()).unwrap().as_slice(), bytes);
            let copied = Bytes::copy(&bytes).unwrap();
            assert_eq!(copied.as_slice(), bytes);
            assert!(copied.as_slice().as_ptr().cast::<u32>().is_aligned());
        }
    }
}
