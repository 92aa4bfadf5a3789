//! The first 64 bytes of a `model.bin` (`training/FORMAT.md` §1), consistent with each other and with the file's length.

use core::ops::Range;

use super::digest::hex;
use crate::error::FormatError;
use alloc::string::String;

const MAGIC: &[u8; 8] = b"POCKETLM";
/// The version that is read.
pub(super) const VERSION: u32 = 2;
const PREFIX_BYTES: u64 = 64;

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
