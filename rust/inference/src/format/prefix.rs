//! The first 64 bytes of a `model.bin` (`training/FORMAT.md` §1), consistent with each other and with the file's length.

use core::ops::Range;

use super::digest::hex;
use crate::error::FormatError;
use alloc::string::String;

const MAGIC: &[u8; 8] = b"POCKETLM";
/// The version that is read.
pub(super) const VERSION: u32 = 2;
pub(super) const PREFIX_BYTES: u64 = 64;

/// What tells one file from another before the whole of it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// SHA-256 of the header, 64 lower-case hexadecimal digits. The header holds the digests of all sections and padding is zero, so
    /// two sound files of one header are one file.
    pub header_sha256: String,
    /// The file's length.
    pub file_nbytes: u64,
}

impl Identity {
    /// Bytes that it takes to tell.
    pub const NBYTES: usize = PREFIX_BYTES as usize;

    /// Read it from the beginning of a file, of which at least [`NBYTES`](Self::NBYTES) are there.
    ///
    /// # Errors
    /// [`FormatError`], as far as the prefix tells.
    pub fn of(first: &[u8]) -> Result<Self, FormatError> {
        let stated = first.get(24..32).and_then(|bytes| bytes.try_into().ok());
        let file_nbytes = stated.map_or(first.len() as u64, u64::from_le_bytes);
        let prefix = Prefix::parse(first, file_nbytes)?;
        Ok(Self {
            header_sha256: prefix.header_sha256,
            file_nbytes,
        })
    }
}

/// What the prefix says.
pub(super) struct Prefix {
    pub header_nbytes: u64,
    pub data_offset: u64,
    pub header_sha256: String,
}

impl Prefix {
    /// Read the prefix from the `head` of a file of `file_nbytes` bytes: at least its first 64.
    pub fn parse(head: &[u8], file_nbytes: u64) -> Result<Self, FormatError> {
        let Some((prefix, _)) = head.split_first_chunk::<{ PREFIX_BYTES as usize }>() else {
            return Err(FormatError::Truncated {
                what: "prefix",
                expected: PREFIX_BYTES,
                got: head.len() as u64,
            });
        };
        let magic: [u8; 8] = field(prefix, 0);
        if &magic != MAGIC {
            return Err(FormatError::BadMagic { got: magic });
        }
        let version = u32::from_le_bytes(field(prefix, 8));
        if (1..=VERSION).contains(&version.swap_bytes()) {
            return Err(FormatError::ByteOrder { got: version });
        }
        if version != VERSION {
            return Err(FormatError::UnsupportedVersion {
                expected: VERSION,
                got: version,
            });
        }
        let header_nbytes = u64::from(u32::from_le_bytes(field(prefix, 12)));
        let data_offset = u64::from_le_bytes(field(prefix, 16));
        let stated_nbytes = u64::from_le_bytes(field(prefix, 24));
        let expected = align256(PREFIX_BYTES + header_nbytes);
        if data_offset != expected {
            return Err(FormatError::BadLength {
                what: "data_offset",
                expected,
                got: data_offset,
            });
        }
        if stated_nbytes < data_offset {
            return Err(FormatError::BadLength {
                what: "file_nbytes",
                expected: data_offset,
                got: stated_nbytes,
            });
        }
        let needed = [
            ("header", PREFIX_BYTES + header_nbytes),
            ("file", stated_nbytes),
        ];
        for (what, expected) in needed {
            if file_nbytes < expected {
                return Err(FormatError::Truncated {
                    what,
                    expected,
                    got: file_nbytes,
                });
            }
        }
        if file_nbytes > stated_nbytes {
            return Err(FormatError::BadLength {
                what: "the file",
                expected: stated_nbytes,
                got: file_nbytes,
            });
        }
        Ok(Self {
            header_nbytes,
            data_offset,
            header_sha256: hex(&prefix[32..]),
        })
    }

    /// Where the JSON lies.
    pub fn header(&self) -> Range<u64> {
        PREFIX_BYTES..PREFIX_BYTES + self.header_nbytes
    }
}

/// `N` bytes of the prefix.
fn field<const N: usize>(prefix: &[u8; PREFIX_BYTES as usize], offset: usize) -> [u8; N] {
    core::array::from_fn(|i| prefix[offset + i])
}

/// The next multiple of 256 that is ≥ n.
pub(super) fn align256(n: u64) -> u64 {
    n.div_ceil(256) * 256
}
