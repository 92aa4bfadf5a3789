//! The three character classes that GPT-2's split pattern asks for, exact for every Unicode scalar value.
//!
//! A byte that is a character has a table of 256 bytes, the Basic Multilingual Plane one of two bits a code point (16 KiB, made
//! at compile time from the ranges of `unicode_table.rs`), and beyond it a binary search decides. The ranges are those of
//! Hugging Face `tokenizers` 0.23.3, probed; `tests/tokenizer/test_unicode_split.py` compares all 1,112,064 scalar values.

use crate::unicode_table::{LETTERS, NUMBERS, SPACES};

/// What GPT-2's pattern sees in a character.
///
/// ```
/// use pocketlm_tokenizer::unicode::{Class, class_of};
/// assert_eq!(class_of('é'), Class::Letter);
/// assert_eq!(class_of('Ⅷ'), Class::Number);
/// assert_eq!(class_of('\u{3000}'), Class::Space);
/// assert_eq!(class_of('\u{301}'), Class::Other); // a combining accent is a mark, not a letter
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// Neither of the other three: punctuation, symbols, marks, controls, unassigned.
    Other = 0,
    /// `\p{L}`.
    Letter = 1,
    /// `\p{N}`.
    Number = 2,
    /// `\s`.
    Space = 3,
}

pub(crate) const CLASSES: [Class; 4] = [Class::Other, Class::Letter, Class::Number, Class::Space];

/// The class of each byte that is a character, as a number; [`MULTI_BYTE`] for those that are part of a longer one.
static OF_BYTE: [u8; 256] = {
    let mut table = [MULTI_BYTE; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' => Class::Letter,
            b'0'..=b'9' => Class::Number,
            b'\t'..=b'\r' | b' ' => Class::Space,
            _ => Class::Other,
        } as u8;
        byte += 1;
    }
    table
};

/// No class's number.
pub(crate) const MULTI_BYTE: u8 = 4;

/// Code points below this are looked up in [`BMP`].
const BMP_END: u32 = 0x1_0000;

/// Two bits a code point of the Basic Multilingual Plane, four to a byte, the lowest code point in the low bits.
static BMP: [u8; BMP_END as usize / 4] = {
    let mut table = [0; BMP_END as usize / 4];
    mark(&mut table, &[(0x41, 0x5A), (0x61, 0x7A)], Class::Letter);
    mark(&mut table, &[(0x30, 0x39)], Class::Number);
    mark(&mut table, &[(0x09, 0x0D), (0x20, 0x20)], Class::Space);
    mark(&mut table, &LETTERS, Class::Letter);
    mark(&mut table, &NUMBERS, Class::Number);
    mark(&mut table, &SPACES, Class::Space);
    table
};

/// Write `class` into the two bits of each code point of `ranges`; iterators are not yet allowed in constants.
const fn mark(table: &mut [u8], ranges: &[(u32, u32)], class: Class) {
    let mut i = 0;
    while i < ranges.len() {
        let (mut code, end) = ranges[i];
        while code <= end && code < BMP_END {
            table[code as usize / 4] |= (class as u8) << (code % 4 * 2);
            code += 1;
        }
        i += 1;
    }
}

/// The class of a character; see [`Class`].
#[inline]
pub fn class_of(c: char) -> Class {
    class_of_code(c as u32)
}

/// The number of the class of the character that `byte` is, or [`MULTI_BYTE`].
#[inline]
pub(crate) fn byte_class(byte: u8) -> u8 {
    OF_BYTE[byte as usize]
}

/// The class of a scalar value.
#[inline]
pub(crate) fn class_of_code(code: u32) -> Class {
    if code < BMP_END {
        CLASSES[(BMP[code as usize / 4] >> (code % 4 * 2) & 3) as usize]
    } else {
        astral_class(code)
    }
}

/// The class of a scalar value beyond the Basic Multilingual Plane. It holds no white space.
fn astral_class(code: u32) -> Class {
    let inside = |ranges: &[(u32, u32)]| {
        let following = ranges.partition_point(|&(start, _)| start <= code);
        following > 0 && code <= ranges[following - 1].1
    };
    if inside(&LETTERS) {
        Class::Letter
    } else if inside(&NUMBERS) {
        Class::Number
    } else {
        Class::Other
    }
}
