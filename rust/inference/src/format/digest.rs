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
    let got = hex(&Sha256::digest(bytes));
    if got == expected {
        Ok(())
    } else {
        Err(error(expected.to_owned(), got))
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
