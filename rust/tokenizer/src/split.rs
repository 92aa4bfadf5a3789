//! GPT-2's pre-tokenizer, written by hand: no regular expression engine, no backtracking, one pass.
//!
//! The pattern is
//!
//! ```text
//! 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//! ```
//!
//! Its pieces cover the text without gaps, so the split is a walk from one piece's end to the next. Linear time, no
//! allocation. Source of the pattern: openai/gpt-2, `src/encoder.py`.

use crate::unicode::{CLASSES, Class, MULTI_BYTE, byte_class, class_of_code};

/// The pieces of a text; joined, they are the text again.
///
/// ```
/// use pocketlm_tokenizer::split::Pieces;
/// let pieces: Vec<&str> = Pieces::new("It's  42!").collect();
/// assert_eq!(pieces, ["It", "'s", " ", " 42", "!"]);
/// ```
#[derive(Clone, Debug)]
pub struct Pieces<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Pieces<'t> {
    /// Split `text`.
    pub fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }
}

impl<'t> Iterator for Pieces<'t> {
    type Item = &'t str;

    #[inline]
    fn next(&mut self) -> Option<&'t str> {
        if self.at == self.text.len() {
            return None;
        }
        let start = self.at;
        self.at = piece_end(self.text.as_bytes(), start);
        Some(&self.text[start..self.at])
    }
}

/// Where the piece that starts at `start` ends. `text` is UTF-8 and `start` the place of a character in it.
#[inline]
pub(crate) fn piece_end(text: &[u8], start: usize) -> usize {
    let (class, len) = char_at(text, start);
    let next = start + len;
    match class {
        Class::Space => {
            // ` ?` before a run: only U+0020, and only before something that is not white space.
            if text[start] == b' ' && next < text.len() {
                let (following, len) = char_at(text, next);
                if following != Class::Space {
                    return run_end(text, next + len, following);
                }
            }
            space_end(text, start, next)
        }
        Class::Other if text[start] == b'\'' => match contraction(&text[next..]) {
            0 => run_end(text, next, Class::Other),
            len => next + len,
        },
        class => run_end(text, next, class),
    }
}

/// The length of the contraction that `rest`, what follows an apostrophe, starts with; 0 if there is none.
#[inline]
fn contraction(rest: &[u8]) -> usize {
    match rest {
        [b's' | b't' | b'm' | b'd', ..] => 1,
        [b'r' | b'v', b'e', ..] | [b'l', b'l', ..] => 2,
        _ => 0,
    }
}

/// The end of the run of `class` that reaches at least to `at`.
#[inline]
fn run_end(text: &[u8], at: usize, class: Class) -> usize {
    let mut at = if class == Class::Letter {
        ascii_letters_end(text, at)
    } else {
        at
    };
    while let Some(&byte) = text.get(at) {
        let found = byte_class(byte);
        if found == class as u8 {
            at += 1;
        } else if found == MULTI_BYTE {
            let (code, len) = decode_char(text, at);
            if class_of_code(code) != class {
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

/// The end of a white-space piece whose first character is `start..at`: the run without its last character where
/// something else follows (`\s+(?!\S)`: that last one begins the next piece), but at least one character (`\s+`).
fn space_end(text: &[u8], start: usize, mut at: usize) -> usize {
    let mut last = start;
    while at < text.len() {
        let (class, len) = char_at(text, at);
        if class != Class::Space {
            return if last == start { at } else { last };
        }
        last = at;
        at += len;
    }
    at
}

/// The class and the length in bytes of the character at `at`.
#[inline]
fn char_at(text: &[u8], at: usize) -> (Class, usize) {
    match byte_class(text[at]) {
        MULTI_BYTE => {
            let (code, len) = decode_char(text, at);
            (class_of_code(code), len)
        }
        class => (CLASSES[class as usize & 3], 1),
    }
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
