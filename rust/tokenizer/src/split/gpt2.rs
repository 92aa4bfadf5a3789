//! GPT-2's pattern (openai/gpt-2, `src/encoder.py`):
//!
//! ```text
//! 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//! ```

use super::chars::{char_at, holds, run_end};
use crate::unicode::{LETTERS, NUMBERS, OTHERS, SPACES};

/// Where the piece that starts at `start` ends. `text` is UTF-8 and `start` the place of a character in it.
#[inline]
pub(super) fn piece_end(text: &[u8], start: usize) -> usize {
    let (kind, len) = char_at(text, start);
    let next = start + len;
    if holds(SPACES, kind) {
        // ` ?` before a run: only U+0020, and only before something that is not white space.
        if text[start] == b' ' && next < text.len() {
            let (following, len) = char_at(text, next);
            if !holds(SPACES, following) {
                return word_end(text, next + len, following);
            }
        }
        return space_end(text, start, next);
    }
    if text[start] == b'\'' {
        let len = contraction(&text[next..]);
        if len > 0 {
            return next + len;
        }
    }
    word_end(text, next, kind)
}

/// The end of the run of letters, of numbers or of others that a character of `kind` begins, which ends at `at`.
#[inline]
fn word_end(text: &[u8], at: usize, kind: u8) -> usize {
    let run = if holds(LETTERS, kind) {
        LETTERS
    } else if holds(NUMBERS, kind) {
        NUMBERS
    } else {
        OTHERS
    };
    run_end(text, at, run)
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

/// The end of a white-space piece whose first character is `start..at`: the run without its last character where
/// something else follows (`\s+(?!\S)`: that last one begins the next piece), but at least one character (`\s+`).
pub(super) fn space_end(text: &[u8], start: usize, mut at: usize) -> usize {
    let mut last = start;
    while at < text.len() {
        let (kind, len) = char_at(text, at);
        if !holds(SPACES, kind) {
            return if last == start { at } else { last };
        }
        last = at;
        at += len;
    }
    at
}
