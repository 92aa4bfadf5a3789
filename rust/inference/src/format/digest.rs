//! SHA-256 as the header writes it: 64 lower-case hexadecimal digits.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::error::FormatError;

/// Compare the digest of `bytes`; `error` gets the expected and the found one.
pub(super) fn check_digest(
    bytes: &[u8],
    expected: &str,
    error: impl FnOnce(String, String) -> FormatError,
) -> Result<(), FormatError> {
    let mut digester = Digester::default();
    digester.update(bytes);
    digester.check(expected, error)
}

/// The digest of bytes that come in parts.
///
/// ```
/// use pocketlm_inference::Digester;
/// let mut digester = Digester::default();
/// digester.update(b"a");
/// digester.update(b"bc");
/// // FIPS 180-2, appendix B.1.
/// assert_eq!(digester.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
/// ```
#[derive(Clone, Default)]
pub struct Digester(Sha256);

impl Digester {
    /// The next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes so far.
    pub fn hex(self) -> String {
        hex(&self.0.finalize())
    }

    /// Compare the digest; `error` gets the expected and the found one.
    pub(crate) fn check(
        self,
        expected: &str,
        error: impl FnOnce(String, String) -> FormatError,
    ) -> Result<(), FormatError> {
        let got = self.hex();
        if got == expected {
            Ok(())
        } else {
            Err(error(expected.to_owned(), got))
        }
    }
}

/// Two digits a byte.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(
        String::with_capacity(bytes.len() * 2),
        |mut digits, byte| {
            write!(digits, "{byte:02x}").expect("writing to a String does not fail");
            digits
        },
    )
}
