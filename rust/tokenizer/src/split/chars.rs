//! Characters and runs of them in UTF-8 text: what every split's scanner is made of.

use crate::unicode::{Kinds, LETTERS, MULTI_BYTE, byte_kind, kind_of_code};

/// Whether `kinds` holds the kind with this number.
#[inline]
pub(super) fn holds(kinds: Kinds, kind: u8) -> bool {
    kinds >> kind & 1 != 0
}

/// The number of the kind, and the length in bytes, of the character at `at`.
#[inline]
pub(super) fn char_at(text: &[u8], at: usize) -> (u8, usize) {
    match byte_kind(text[at]) {
        MULTI_BYTE => {
            let (code, len) = decode_char(text, at);
            (kind_of_code(code) as u8, len)
        }
        kind => (kind, 1),
    }
}

/// The end of the run of characters of `kinds` that begins at `at`.
#[inline]
pub(super) fn run_end(text: &[u8], at: usize, kinds: Kinds) -> usize {
    let mut at = if kinds & LETTERS == LETTERS {
        ascii_letters_end(text, at)
    } else {
        at
    };
    while let Some(&byte) = text.get(at) {
        let found = byte_kind(byte);
        if holds(kinds, found) {
            at += 1;
        } else if found == MULTI_BYTE {
            let (code, len) = decode_char(text, at);
            if !holds(kinds, kind_of_code(code) as u8) {
                break;
            }
            at += len;
        } else {
            break;
        }
    }
    at
}

/// Skip ASCII letters eight bytes at a time, while there are eight; what is left is for the caller to look at.
#[inline]
fn ascii_letters_end(text: &[u8], mut at: usize) -> usize {
    /// `byte` in each of eight bytes.
    const fn each(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    const HIGH: u64 = each(0x80);
    while let Some(&chunk) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let bytes = u64::from_le_bytes(chunk);
        // In each byte, lower case and without its high bit: from 'a' up the first sum sets that bit, past 'z' the second.
        let lower = (bytes | each(0x20)) & !HIGH;
        let from_a = lower + each(0x80 - b'a');
        let past_z = lower + each(0x80 - b'z' - 1);
        let letters = from_a & !past_z & !bytes & HIGH;
        if letters != HIGH {
            return at + (!letters & HIGH).trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at
}

/// The scalar value and length of the multi-byte character at `at`, of text that is known to be UTF-8.
#[inline]
fn decode_char(text: &[u8], at: usize) -> (u32, usize) {
    let lead = u32::from(text[at]);
    let tail = |i: usize| u32::from(text[at + i] & 0x3F);
    if lead < 0xE0 {
        ((lead & 0x1F) << 6 | tail(1), 2)
    } else if lead < 0xF0 {
        ((lead & 0x0F) << 12 | tail(1) << 6 | tail(2), 3)
    } else {
        (
            (lead & 0x07) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3),
            4,
        )
    }
}
