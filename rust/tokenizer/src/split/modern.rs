//! The patterns that came after GPT-2's: a letter run takes one sign before it, numbers are short, line ends stay with the signs before
//! them. Llama 3's:
//!
//! ```text
//! (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
//! ```
//!
//! tiktoken's cl100k has `\s++$` before `\s*[\r\n]`: white space at the end is one piece, line ends or not. Qwen's has `\p{N}` instead of
//! `\p{N}{1,3}`.
//!
//! o200k (tiktoken 0.14, `tiktoken_ext/openai_public.py`) tells upper case from lower, and has contractions at the end of words. `U` is
//! `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`, `W` is `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`, `C` the first alternative above:
//!
//! ```text
//! [^\r\n\p{L}\p{N}]?U*W+C?|[^\r\n\p{L}\p{N}]?U+W*C?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
//! ```

use super::chars::{char_at, holds, run_end};
use super::{BLOCK, Block, Scanner, starts};
use crate::unicode::{Kind, Kinds, LETTERS, NUMBERS, OTHERS, SPACES, only};

/// What tells the patterns of this family apart.
trait Pattern {
    /// The longest run of numbers that is one piece.
    const NUMBERS_AT_MOST: usize;
    /// White space at the end of the text is one piece, even where it holds line ends.
    const END_IN_ONE: bool = false;
    /// o200k's words.
    const CASED_WORDS: bool = false;
}

/// tiktoken's cl100k.
pub(crate) struct Cl100k;
/// tiktoken's o200k.
pub(crate) struct O200k;
/// Llama 3's.
pub(crate) struct Llama3;
/// That of Qwen 2, 2.5 and 3.
pub(crate) struct Qwen2;

impl Pattern for Cl100k {
    const NUMBERS_AT_MOST: usize = 3;
    const END_IN_ONE: bool = true;
}

impl Pattern for O200k {
    const NUMBERS_AT_MOST: usize = 3;
    const CASED_WORDS: bool = true;
}

impl Pattern for Llama3 {
    const NUMBERS_AT_MOST: usize = 3;
}

impl Pattern for Qwen2 {
    const NUMBERS_AT_MOST: usize = 1;
}

/// `U`
const UPPER: Kinds = only(Kind::Upper) | only(Kind::Uncased) | only(Kind::Mark);
/// `W`
const LOWER: Kinds = only(Kind::Lower) | only(Kind::Uncased) | only(Kind::Mark);

impl<P: Pattern> Scanner for P {
    #[inline]
    fn piece_end(&self, text: &str, start: usize) -> usize {
        piece_end::<P>(text.as_bytes(), start)
    }

    #[inline(always)]
    fn starts(&self, block: &Block, bytes: &[u8; BLOCK]) -> u64 {
        match (P::NUMBERS_AT_MOST, P::CASED_WORDS) {
            (1, _) => starts::modern::<1, false>(block, bytes),
            (_, false) => starts::modern::<3, false>(block, bytes),
            (_, true) => starts::modern::<3, true>(block, bytes),
        }
    }
}

/// Where the piece that starts at `start` ends.
#[inline]
fn piece_end<P: Pattern>(text: &[u8], start: usize) -> usize {
    let (kind, len) = char_at(text, start);
    let next = start + len;
    if holds(LETTERS, kind) {
        return if P::CASED_WORDS {
            word_end(text, start)
        } else {
            run_end(text, next, LETTERS)
        };
    }
    if holds(NUMBERS, kind) {
        return numbers_end(text, next, P::NUMBERS_AT_MOST - 1);
    }
    let byte = text[start];
    if !P::CASED_WORDS && byte == b'\'' {
        let len = contraction(&text[next..]);
        if len > 0 {
            return next + len;
        }
    }
    let following = (next < text.len()).then(|| char_at(text, next));
    let is_line_end = matches!(byte, b'\r' | b'\n');
    if let Some((following, len)) = following
        && !is_line_end
    {
        if P::CASED_WORDS {
            if let Some(end) = word_end_after(text, start, next, kind) {
                return end;
            }
        } else if holds(LETTERS, following) {
            return run_end(text, next + len, LETTERS);
        }
        if byte == b' ' && holds(OTHERS, following) {
            return signs_end::<P>(text, next + len);
        }
    } else if P::CASED_WORDS && kind == Kind::Mark as u8 {
        return next;
    }
    if holds(SPACES, kind) {
        space_end::<P>(text, start)
    } else {
        signs_end::<P>(text, next)
    }
}

/// The end of a run of at most `more` numbers from `at` on.
#[inline]
fn numbers_end(text: &[u8], mut at: usize, more: usize) -> usize {
    for _ in 0..more {
        if at >= text.len() {
            break;
        }
        let (kind, len) = char_at(text, at);
        if !holds(NUMBERS, kind) {
            break;
        }
        at += len;
    }
    at
}

/// The end of a run of signs that reaches at least to `at`, and of the line ends after it.
#[inline]
fn signs_end<P: Pattern>(text: &[u8], at: usize) -> usize {
    let mut at = run_end(text, at, OTHERS);
    while let Some(b'\r' | b'\n') = text.get(at) {
        at += 1;
    }
    if P::CASED_WORDS {
        while let Some(b'\r' | b'\n' | b'/') = text.get(at) {
            at += 1;
        }
    }
    at
}

/// The end of the white-space piece at `start`: after the last line end of the run (`\s*[\r\n]+`); else the run without its last character
/// where something follows, but at least one character.
fn space_end<P: Pattern>(text: &[u8], start: usize) -> usize {
    let (mut at, mut last, mut after_line_end) = (start, start, 0);
    while at < text.len() {
        let (kind, len) = char_at(text, at);
        if !holds(SPACES, kind) {
            return match (after_line_end, last) {
                (0, last) if last == start => at,
                (0, last) => last,
                (end, _) => end,
            };
        }
        last = at;
        at += len;
        if matches!(text[last], b'\r' | b'\n') {
            after_line_end = at;
        }
    }
    if after_line_end == 0 || P::END_IN_ONE {
        at
    } else {
        after_line_end
    }
}

/// The length of the contraction that `rest`, what follows an apostrophe, starts with, in upper or lower case; 0 if there is none. `ſ` is a
/// lower-case `s` to a pattern that ignores case.
#[inline]
fn contraction(rest: &[u8]) -> usize {
    match rest {
        [b's' | b't' | b'm' | b'd' | b'S' | b'T' | b'M' | b'D', ..] => 1,
        [b'r' | b'v' | b'R' | b'V', b'e' | b'E', ..]
        | [b'l' | b'L', b'l' | b'L', ..]
        | [0xC5, 0xBF, ..] => 2,
        _ => 0,
    }
}

/// `C?` at `at`.
#[inline]
fn contraction_end(text: &[u8], at: usize) -> usize {
    match text.get(at) {
        Some(b'\'') => match contraction(&text[at + 1..]) {
            0 => at,
            len => at + 1 + len,
        },
        _ => at,
    }
}

/// The end of o200k's word that begins with the letter at `start`.
#[inline]
fn word_end(text: &[u8], start: usize) -> usize {
    let upper = run_end(text, start, UPPER);
    let end = lower_end(text, start, upper).unwrap_or(upper);
    contraction_end(text, end)
}

/// The end of o200k's word whose first character, of `kind`, is the sign or mark `start..next`; `None` if it begins none.
fn word_end_after(text: &[u8], start: usize, next: usize, kind: u8) -> Option<usize> {
    let upper = run_end(text, next, UPPER);
    let end = lower_end(text, next, upper).or_else(|| {
        if kind == Kind::Mark as u8 {
            // Without a sign before it: the mark itself is the word, for none of what follows is of `W`.
            lower_end(text, start, next)
        } else {
            (upper > next).then_some(upper)
        }
    })?;
    Some(contraction_end(text, end))
}

/// The end of `U*W+` at `start`, whose `U*` ends at `upper` at the latest. Where nothing of `W` follows there, `U*` gives back what is of both,
/// and what is after the last such character stays out.
#[inline]
fn lower_end(text: &[u8], start: usize, upper: usize) -> Option<usize> {
    let end = run_end(text, upper, LOWER);
    if end > upper {
        return Some(end);
    }
    let mut at = start;
    let mut after_both = None;
    while at < upper {
        let (kind, len) = char_at(text, at);
        at += len;
        if holds(LOWER, kind) {
            after_both = Some(at);
        }
    }
    after_both
}
