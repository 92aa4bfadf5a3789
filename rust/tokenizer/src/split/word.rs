//! The usual piece, found in two machine words: ASCII letters, perhaps with one sign before them.

/// `byte` in each of eight bytes.
const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

const HIGH: u64 = each(0x80);

/// The high bit of each byte that is not in `first..=last`, a range of ASCII.
#[inline(always)]
fn outside(bytes: u64, first: u8, last: u8) -> u64 {
    // Without its high bit a byte carries into it from `first` up by the first sum, past `last` by the second.
    let low = bytes & !HIGH;
    let from_first = low + each(0x80 - first);
    let past_last = low + each(0x80 - last - 1);
    (!from_first | past_last | bytes) & HIGH
}

/// The place of the first byte whose high bit is set in `marks`, from `skip` on; 16 if there is none.
#[inline(always)]
fn first_marked(marks: [u64; 2], skip: usize) -> usize {
    let low = marks[0] & (!0 << (8 * skip));
    let (low, high) = (low.trailing_zeros(), marks[1].trailing_zeros());
    (if low == 64 { 64 + high } else { low }) as usize / 8
}

#[inline(always)]
fn halves(window: &[u8; 16]) -> [u64; 2] {
    let both = u128::from_le_bytes(*window);
    [both as u64, (both >> 64) as u64]
}

/// The length of the word that `window` begins with, and the sign before it if it is `taken`; 0 where the window does not show that it is one
/// and where it ends: it ends before an ASCII character.
#[inline(always)]
pub(super) fn word_len(window: &[u8; 16], taken: impl Fn(u8) -> bool) -> usize {
    let marks = halves(window).map(|bytes| outside(bytes | each(0x20), b'a', b'z'));
    let sign = usize::from(taken(window[0]));
    let len = first_marked(marks, sign);
    // `len` is `sign` where no letter follows.
    if len > sign && len < 16 && window[len & 15] < 0x80 {
        len
    } else {
        0
    }
}

/// As [`word_len`], for words that end before an upper-case letter and take a contraction after them: one letter or none that may be of
/// upper case, then lower case.
#[inline(always)]
pub(super) fn cased_word_len(window: &[u8; 16], taken: impl Fn(u8) -> bool) -> usize {
    let marks = halves(window).map(|bytes| outside(bytes, b'a', b'z'));
    let sign = usize::from(taken(window[0]));
    let first = window[sign];
    if !first.is_ascii_alphabetic() {
        return 0;
    }
    let len = first_marked(marks, sign + 1);
    let after = window[len & 15];
    let ends = after < 0x80 && after != b'\'';
    // Two letters of upper case, or one before a lower-case letter that is not ASCII: more to look at.
    let single = len == sign + 1 && first.is_ascii_uppercase() && after.is_ascii_uppercase();
    if len < 16 && ends && !single { len } else { 0 }
}
