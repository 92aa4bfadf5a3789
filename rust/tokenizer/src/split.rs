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

use crate::unicode::{Class, class_of_ascii, class_of_code};

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
fn run_end(text: &[u8], mut at: usize, class: Class) -> usize {
    while at < text.len() {
        let (found, len) = char_at(text, at);
        if found != class {
            break;
        }
        at += len;
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
    match class_of_ascii(text[at]) {
        Some(class) => (class, 1),
        None => {
            let (code, len) = decode_char(text, at);
            (class_of_code(code), len)
        }
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
