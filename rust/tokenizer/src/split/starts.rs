//! Where pieces begin in a block of ASCII text, by arithmetic on the 64 bits of each kind of byte instead of byte by byte.
//!
//! A block begins where a piece does. What is beyond ASCII, and what depends on bytes that the block does not show, is left to the
//! scanners: a block says up to where it knows. Tests compare every split's starts with its scanner.

use super::block::{BLOCK, Block};

/// The places where pieces begin, bit 0 among them, as far as the block knows: all that begin before some place after the last of them.
pub(super) type Starts = u64;

/// The lowest `n` bits, of at most 63.
#[inline(always)]
fn below(n: u32) -> u64 {
    (1 << n) - 1
}

/// The number of bytes before the first that is beyond ASCII, and the places where a start can be told: what two bytes after them are decides
/// too (`'re`), but a byte beyond ASCII decides for ASCII before it only if it stands right behind.
#[inline(always)]
fn known(block: &Block) -> (u32, u32) {
    let ascii = block.beyond_ascii().trailing_zeros();
    (ascii, ascii.saturating_sub(1).min(BLOCK as u32 - 2))
}

/// The places of `mask` one after the other.
#[inline(always)]
fn each(mut mask: u64, mut visit: impl FnMut(u32)) {
    while mask != 0 {
        visit(mask.trailing_zeros());
        mask &= mask - 1;
    }
}

/// The length of the contraction that begins with the apostrophe at `at`, which is followed by two more bytes of the block; 0 if there is none.
#[inline(always)]
fn contraction(bytes: &[u8; BLOCK], at: u32, any_case: bool) -> u32 {
    let fold = if any_case { 0x20 } else { 0 };
    let byte = |offset: u32| bytes[(at + offset) as usize % BLOCK] | fold;
    match (byte(1), byte(2)) {
        (b's' | b't' | b'm' | b'd', _) => 2,
        (b'r' | b'v', b'e') | (b'l', b'l') => 3,
        _ => 0,
    }
}

/// GPT-2's pieces; `SINGLE_DIGITS`: SmolLM2's.
#[inline(always)]
pub(super) fn gpt2<const SINGLE_DIGITS: bool>(block: &Block, bytes: &[u8; BLOCK]) -> Starts {
    let (_, known) = known(block);
    let letters = block.letters();
    let numbers = block.within(b'0', b'9');
    let blanks = block.equal(b' ');
    let spaces = block.within(b'\t', b'\r') | blanks;
    let others = !(letters | numbers | spaces);
    // A run begins, but for what a blank before it takes in.
    let mut runs = letters & !(letters << 1) | others & !(others << 1);
    let mut before_blank = 0;
    if SINGLE_DIGITS {
        before_blank = numbers; // white space before a digit is one piece
    } else {
        runs |= numbers & !(numbers << 1);
    }
    let mut starts = runs & !(blanks << 1);
    if SINGLE_DIGITS {
        starts |= numbers;
    }
    // White space: where a run begins, and its last character where something follows.
    starts |= spaces & !(spaces << 1) | spaces & !(spaces >> 1) & !(before_blank >> 1);
    starts |= 1;
    let apostrophes = block.equal(b'\'') & starts & (letters >> 1) & below(known);
    each(apostrophes, |at| {
        let len = contraction(bytes, at, false);
        if len > 0 {
            starts &= !(2 << at);
            starts |= 2 << (at + len - 1); // right behind the block's end: none of its own
        }
    });
    starts & below(known)
}

/// The pieces of the patterns that came after it. `NUMBERS_AT_MOST` is 1 or 3; `CASED_WORDS`: o200k's.
#[inline(always)]
pub(super) fn modern<const NUMBERS_AT_MOST: usize, const CASED_WORDS: bool>(
    block: &Block,
    bytes: &[u8; BLOCK],
) -> Starts {
    let (ascii, mut known) = known(block);
    let in_ascii = if ascii == 64 { !0 } else { below(ascii) };
    let letters = block.letters();
    let numbers = block.within(b'0', b'9');
    let blank = block.equal(b' ');
    let line_ends = (block.equal(b'\n') | block.equal(b'\r')) & in_ascii;
    let spaces = (block.within(b'\t', b'\r') | blank) & in_ascii;
    let others = !(letters | numbers | spaces) & in_ascii;

    // Line ends right after signs are theirs: the sum runs through them from the first to the last.
    let other_starts = others & !(others << 1);
    let taken = line_ends & !line_ends.wrapping_add((others << 1) & line_ends);
    if CASED_WORDS {
        // `[\r\n/]*`: a slash after these is theirs as well. Rare, and left to the scanner.
        let slashes = (taken << 1) & block.equal(b'/');
        known = known.min(slashes.trailing_zeros());
    }
    let spaces = spaces & !taken;
    let blanks = spaces & !line_ends;
    let mut starts = spaces & !(spaces << 1) | blanks & !(spaces >> 1);
    // Blanks after a line end begin a piece, unless another line end follows them in the same run.
    let blank_starts = blanks & !(blanks << 1);
    let after_line_ends = blank_starts & (line_ends << 1) & !(taken << 1);
    starts |= after_line_ends;
    let blank_ends = blanks.wrapping_add(blank_starts) & !blanks;
    each(blank_ends & line_ends & !taken, |end| {
        let start = 63 - (blank_starts & below(end)).leading_zeros();
        starts &= !(after_line_ends & 1 << start);
    });
    // What follows blanks that reach to the end of what the block shows is not known.
    if ascii > 0 && blanks >> (ascii - 1) & 1 != 0 {
        let start = 63 - (blank_starts & in_ascii).leading_zeros();
        if after_line_ends >> start & 1 != 0 {
            known = known.min(start);
        }
    }

    let lone = other_starts & !(blank << 1) & (letters >> 1);
    starts |= other_starts & !(blank << 1);
    starts |= letters & !(letters << 1) & !(blanks << 1) & !(lone << 1);
    starts |= number_starts::<NUMBERS_AT_MOST>(numbers);
    if CASED_WORDS {
        starts |= block.within(b'A', b'Z') & (block.within(b'a', b'z') << 1);
    }
    starts |= 1;
    let mut free_from = 0;
    let apostrophes = block.equal(b'\'') & lone & below(known);
    each(apostrophes, |at| {
        // o200k's is a part of the word before it, which cannot have two.
        let begins = if CASED_WORDS {
            at > free_from && letters >> (at - 1) & 1 != 0
        } else {
            true
        };
        let len = if begins {
            contraction(bytes, at, true)
        } else {
            0
        };
        if len > 0 {
            starts &= !(below(len) << at);
            starts |= 2 << (at + len - 1); // right behind the block's end: none of its own
            if !CASED_WORDS {
                starts |= 1 << at;
            }
            free_from = at + len;
        }
    });
    starts & below(known)
}

/// Where each run of numbers begins, and again after every `AT_MOST` of them.
#[inline(always)]
fn number_starts<const AT_MOST: usize>(numbers: u64) -> u64 {
    if AT_MOST == 1 {
        return numbers;
    }
    let mut starts = numbers & !(numbers << 1);
    let mut newest = starts;
    loop {
        for _ in 0..AT_MOST {
            newest = newest << 1 & numbers;
        }
        if newest == 0 {
            return starts;
        }
        starts |= newest;
    }
}

#[cfg(test)]
mod tests {
    use crate::split::{BLOCK, Block, Scanner, scanners};

    /// Blocks of few kinds of bytes, so that every rule meets every other, some with a character beyond ASCII.
    #[test]
    fn starts_are_those_of_the_scanners() {
        let atoms: &[&str] = &[
            "a", "B", "sh", "Re", "LL", "'", "'s", "'ll", "'VE", "1", "2345", " ", "  ", "\t",
            "\n", "\r\n", "\n\n", "!", "/", "...", "\u{a0}", "é", "\u{17f}", "中",
        ];
        let mut random = crate::random::numbers();
        let mut known = 0;
        let rounds = if cfg!(miri) { 40 } else { 60_000 };
        for _ in 0..rounds {
            let few = 1 + random(atoms.len());
            let from = random(atoms.len());
            let mut text = alloc::string::String::new();
            while text.len() < BLOCK + 8 {
                text.push_str(atoms[(from + random(few)) % atoms.len()]);
            }
            known += check(scanners::Gpt2, &text);
            check(scanners::Smollm2, &text);
            check(scanners::Cl100k, &text);
            check(scanners::Llama3, &text);
            check(scanners::Qwen2, &text);
            known += check(scanners::O200k, &text);
        }
        assert!(
            known > rounds * 8,
            "blocks know most of their pieces: {known}"
        );
    }

    /// Compare the starts of the first block of `text` with the scanner's; their number.
    fn check(scanner: impl Scanner, text: &str) -> u32 {
        let bytes: &[u8; BLOCK] = text.as_bytes().first_chunk().unwrap();
        let starts = scanner.starts(&Block::new(bytes), bytes);
        let last = 63 - (starts | 1).leading_zeros() as usize;
        let (mut expected, mut at) = (0, 0);
        while at <= last {
            expected |= 1_u64 << at;
            at = scanner.piece_end(text, at);
        }
        assert_eq!(starts | 1, expected, "{text:?}");
        starts.count_ones()
    }
}
