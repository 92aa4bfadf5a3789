//! What the split patterns see in a character, exact for every Unicode scalar value.
//!
//! A byte that is a character has a table of 256 bytes, the Basic Multilingual Plane one of four bits a code point (32 KiB, made at
//! compile time from the runs of `unicode_table.rs`; in wasm, where bytes are downloaded, pages of it), and beyond it a binary search
//! decides. The runs are those of Hugging Face
//! `tokenizers` 0.23.3, probed; `tests/tokenizer/test_unicode_split.py` compares all 1,112,064 scalar values.

use crate::unicode_table::{KINDS, WORDS};

/// What a split pattern can tell apart in a character.
///
/// ```
/// use pocketlm_tokenizer::unicode::{Kind, kind_of};
/// assert_eq!(kind_of('é'), Kind::Lower);
/// assert_eq!(kind_of('中'), Kind::Uncased);
/// assert_eq!(kind_of('Ⅷ'), Kind::Number);
/// assert_eq!(kind_of('\u{3000}'), Kind::Space);
/// assert_eq!(kind_of('\u{301}'), Kind::Mark); // a combining accent is a mark, not a letter
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// None of the others: punctuation, symbols, controls, unassigned. `-` in the table.
    Other = 0,
    /// `\p{Lu}` or `\p{Lt}`. `U` in the table.
    Upper = 1,
    /// `\p{Ll}`. `l` in the table.
    Lower = 2,
    /// A letter of another kind: `\p{Lm}` or `\p{Lo}`. `b` (both) in the table.
    Uncased = 3,
    /// `\p{M}`. `m` in the table.
    Mark = 4,
    /// `\p{N}`. `n` in the table.
    Number = 5,
    /// `\s`. `s` in the table.
    Space = 6,
    /// A number that the pattern engines' Unicode does not know yet, but Hugging Face's `Digits` does; to patterns as [`Kind::Other`].
    /// `d` in the table.
    NewNumber = 7,
}

/// A set of kinds: a bit for each.
pub(crate) type Kinds = u16;

/// The set of just `kind`.
pub(crate) const fn only(kind: Kind) -> Kinds {
    1 << kind as u8
}

/// `\p{L}`
pub(crate) const LETTERS: Kinds = only(Kind::Upper) | only(Kind::Lower) | only(Kind::Uncased);
/// `\p{N}`
pub(crate) const NUMBERS: Kinds = only(Kind::Number);
/// `\s`
pub(crate) const SPACES: Kinds = only(Kind::Space);
/// `[^\s\p{L}\p{N}]`
pub(crate) const OTHERS: Kinds = only(Kind::Other) | only(Kind::Mark) | only(Kind::NewNumber);

const ALL_KINDS: [Kind; 8] = [
    Kind::Other,
    Kind::Upper,
    Kind::Lower,
    Kind::Uncased,
    Kind::Mark,
    Kind::Number,
    Kind::Space,
    Kind::NewNumber,
];

/// The kind of each byte that is a character, as a number; [`MULTI_BYTE`] for those that are part of a longer one.
static OF_BYTE: [u8; 256] = {
    let mut table = [MULTI_BYTE; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = ascii_kind(byte as u8) as u8;
        byte += 1;
    }
    table
};

const fn ascii_kind(byte: u8) -> Kind {
    match byte {
        b'a'..=b'z' => Kind::Lower,
        b'A'..=b'Z' => Kind::Upper,
        b'0'..=b'9' => Kind::Number,
        b'\t'..=b'\r' | b' ' => Kind::Space,
        _ => Kind::Other,
    }
}

/// No kind's number, and no bit of a [`Kinds`].
pub(crate) const MULTI_BYTE: u8 = 15;

/// Code points below this are looked up in [`BMP`].
const BMP_END: u32 = 0x1_0000;

/// Four bits a code point of the Basic Multilingual Plane, the lower code point in the low bits.
#[cfg(not(target_arch = "wasm32"))]
static BMP: [u8; BMP_NBYTES] = BMP_TABLE;

const BMP_NBYTES: usize = BMP_END as usize / 2;
#[expect(
    clippy::large_const_arrays,
    reason = "read while compiling alone: it becomes `BMP`, or the pages"
)]
const BMP_TABLE: [u8; BMP_NBYTES] = {
    let mut table = [0; BMP_NBYTES];
    let mut byte = 0;
    while byte < 0x80 {
        table[byte / 2] |= (ascii_kind(byte as u8) as u8) << (byte % 2 * 4);
        byte += 1;
    }
    let mut runs = Runs::new(KINDS);
    while runs.start < BMP_END {
        let (letter, start, end) = runs.next();
        let mut code = start;
        while code < end && code < BMP_END {
            table[code as usize / 2] |= (kind_of_letter(letter) as u8) << (code % 2 * 4);
            code += 1;
        }
    }
    table
};

const ASTRAL_RUNS: usize = runs_beyond(KINDS, BMP_END);
const WORD_RUNS: usize = runs_beyond(WORDS, 0x80);

/// The same in pages, each kept once: a third of the bytes, and one more look-up.
#[cfg(any(test, target_arch = "wasm32"))]
mod pages {
    use super::{BMP_NBYTES, BMP_TABLE};

    /// Bytes of a page: 128 code points.
    const PAGE: usize = 64;
    /// The number of each page among those that differ, and how many these are.
    const NUMBERS: ([u8; BMP_NBYTES / PAGE], usize) = {
        let mut firsts = [0; BMP_NBYTES / PAGE];
        let (mut numbers, mut found, mut page) = ([0; BMP_NBYTES / PAGE], 0, 0);
        while page < numbers.len() {
            let mut number = 0;
            while number < found && !are_equal(firsts[number], page) {
                number += 1;
            }
            if number == found {
                firsts[found] = page;
                found += 1;
            }
            numbers[page] = number as u8;
            page += 1;
        }
        assert!(found <= 256);
        (numbers, found)
    };

    const fn are_equal(a: usize, b: usize) -> bool {
        let mut at = 0;
        while at < PAGE && BMP_TABLE[a * PAGE + at] == BMP_TABLE[b * PAGE + at] {
            at += 1;
        }
        at == PAGE
    }

    static NUMBER_OF: [u8; BMP_NBYTES / PAGE] = NUMBERS.0;
    static PAGES: [[u8; PAGE]; NUMBERS.1] = {
        let mut pages = [[0; PAGE]; NUMBERS.1];
        let mut byte = 0;
        while byte < BMP_NBYTES {
            pages[NUMBERS.0[byte / PAGE] as usize][byte % PAGE] = BMP_TABLE[byte];
            byte += 1;
        }
        pages
    };

    /// A byte of the table.
    pub fn byte(at: usize) -> u8 {
        PAGES[NUMBER_OF[at / PAGE] as usize][at % PAGE]
    }
}

/// Where the runs of one kind begin beyond the Basic Multilingual Plane (the first may begin before).
static ASTRAL: [(u32, Kind); ASTRAL_RUNS] = {
    let mut table = [(0, Kind::Other); ASTRAL_RUNS];
    let mut runs = Runs::new(KINDS);
    let mut written = 0;
    while runs.start < Runs::END {
        let (letter, start, end) = runs.next();
        if end > BMP_END {
            table[written] = (start, kind_of_letter(letter));
            written += 1;
        }
    }
    table
};

/// Where the runs of characters that are in words, or not, begin beyond ASCII.
static IN_WORDS: [(u32, bool); WORD_RUNS] = {
    let mut table = [(0, false); WORD_RUNS];
    let mut runs = Runs::new(WORDS);
    let mut written = 0;
    while runs.start < Runs::END {
        let (letter, start, _) = runs.next();
        table[written] = (start, letter == b'w');
        written += 1;
    }
    table
};

/// The runs of a text of `unicode_table.rs`; iterators are not yet allowed in constants.
struct Runs {
    text: &'static [u8],
    at: usize,
    /// Where the next run begins.
    start: u32,
}

impl Runs {
    /// The end of the last run.
    const END: u32 = 0x11_0000;

    const fn new(text: &'static [u8]) -> Self {
        Self {
            text,
            at: 0,
            start: 0x80,
        }
    }

    /// (letter, first code point, the one after the last) of the next run.
    const fn next(&mut self) -> (u8, u32, u32) {
        let letter = self.text[self.at];
        self.at += 1;
        let mut length = 0;
        while self.at < self.text.len() && self.text[self.at].is_ascii_digit() {
            length = length * 10 + (self.text[self.at] - b'0') as u32;
            self.at += 1;
        }
        let start = self.start;
        self.start += if length == 0 { 1 } else { length };
        (letter, start, self.start)
    }
}

/// The number of runs that end beyond `from`.
const fn runs_beyond(text: &'static [u8], from: u32) -> usize {
    let mut runs = Runs::new(text);
    let mut count = 0;
    while runs.start < Runs::END {
        let (_, _, end) = runs.next();
        count += (end > from) as usize;
    }
    count
}

const fn kind_of_letter(letter: u8) -> Kind {
    match letter {
        b'U' => Kind::Upper,
        b'l' => Kind::Lower,
        b'b' => Kind::Uncased,
        b'm' => Kind::Mark,
        b'n' => Kind::Number,
        b's' => Kind::Space,
        b'd' => Kind::NewNumber,
        b'-' => Kind::Other,
        _ => panic!("unicode_table.rs has a letter without a meaning"),
    }
}

/// The kind of a character; see [`Kind`].
#[inline]
pub fn kind_of(c: char) -> Kind {
    kind_of_code(c as u32)
}

/// The number of the kind of the character that `byte` is, or [`MULTI_BYTE`].
#[inline]
pub(crate) fn byte_kind(byte: u8) -> u8 {
    OF_BYTE[byte as usize]
}

/// The kind of a scalar value.
#[inline]
pub(crate) fn kind_of_code(code: u32) -> Kind {
    if code < BMP_END {
        #[cfg(not(target_arch = "wasm32"))]
        let two = BMP[code as usize / 2];
        #[cfg(target_arch = "wasm32")]
        let two = pages::byte(code as usize / 2);
        ALL_KINDS[(two >> (code % 2 * 4) & 7) as usize]
    } else {
        run_of(&ASTRAL, code)
    }
}

/// Whether `c` may not stand beside an added token that must be a word of its own.
pub(crate) fn is_in_words(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_alphanumeric() || c == '_'
    } else {
        run_of(&IN_WORDS, c as u32)
    }
}

/// What the run that holds `code` says. The first run begins before it.
fn run_of<T: Copy>(runs: &[(u32, T)], code: u32) -> T {
    let following = runs.partition_point(|&(start, _)| start <= code);
    runs[following - 1].1
}

#[cfg(test)]
mod tests {
    #[test]
    fn pages_hold_the_whole_table() {
        for (at, byte) in super::BMP.iter().enumerate() {
            assert_eq!(super::pages::byte(at), *byte, "{at:#x}");
        }
    }
}
