//! GPT-2's pattern (openai/gpt-2, `src/encoder.py`):
//!
//! ```text
//! 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//! ```
//!
//! and SmolLM2's, which splits off every number by itself first and takes this pattern for what is between them.

use super::chars::{char_at, holds, run_end};
use super::{BLOCK, Block, Scanner, starts};
use crate::unicode::{Kind, Kinds, LETTERS, NUMBERS, OTHERS, SPACES, only};

/// What SmolLM2 splits off one by one.
const DIGITS: Kinds = NUMBERS | only(Kind::NewNumber);

/// GPT-2's split.
pub(crate) struct Gpt2;
/// SmolLM2's.
pub(crate) struct Smollm2;

impl Scanner for Gpt2 {
    #[inline]
    fn piece_end(&self, text: &str, start: usize) -> usize {
        piece_end::<false>(text.as_bytes(), start)
    }

    #[inline(always)]
    fn starts(&self, block: &Block, bytes: &[u8; BLOCK]) -> u64 {
        starts::gpt2::<false>(block, bytes)
    }
}

impl Scanner for Smollm2 {
    #[inline]
    fn piece_end(&self, text: &str, start: usize) -> usize {
        piece_end::<true>(text.as_bytes(), start)
    }

    #[inline(always)]
    fn starts(&self, block: &Block, bytes: &[u8; BLOCK]) -> u64 {
        starts::gpt2::<true>(block, bytes)
    }
}

/// Where the piece that starts at `start` ends. `SINGLE_DIGITS`: SmolLM2's split.
#[inline]
fn piece_end<const SINGLE_DIGITS: bool>(text: &[u8], start: usize) -> usize {
    let (kind, len) = char_at(text, start);
    let next = start + len;
    if SINGLE_DIGITS && holds(DIGITS, kind) {
        return next;
    }
    if holds(SPACES, kind) {
        // ` ?` before a run: only U+0020, and only before something that is not white space.
        if text[start] == b' ' && next < text.len() {
            let (following, len) = char_at(text, next);
            if SINGLE_DIGITS && holds(DIGITS, following) {
                return next;
            }
            if !holds(SPACES, following) {
                return word_end::<SINGLE_DIGITS>(text, next + len, following);
            }
        }
        return space_end::<SINGLE_DIGITS>(text, start, next);
    }
    if text[start] == b'\'' {
        let len = contraction(&text[next..]);
        if len > 0 {
            return next + len;
        }
    }
    word_end::<SINGLE_DIGITS>(text, next, kind)
}

/// The end of the run of letters, of numbers or of others that a character of `kind` begins, which ends at `at`.
#[inline]
fn word_end<const SINGLE_DIGITS: bool>(text: &[u8], at: usize, kind: u8) -> usize {
    let run = if holds(LETTERS, kind) {
        LETTERS
    } else if holds(NUMBERS, kind) {
        NUMBERS
    } else if SINGLE_DIGITS {
        OTHERS & !DIGITS
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
/// something else follows (`\s+(?!\S)`: that last one begins the next piece), but at least one character (`\s+`). A digit that is
/// split off first ends the text for the pattern.
fn space_end<const SINGLE_DIGITS: bool>(text: &[u8], start: usize, mut at: usize) -> usize {
    let mut last = start;
    while at < text.len() {
        let (kind, len) = char_at(text, at);
        if SINGLE_DIGITS && holds(DIGITS, kind) {
            return at;
        }
        if !holds(SPACES, kind) {
            return if last == start { at } else { last };
        }
        last = at;
        at += len;
    }
    at
}
