//! The text of a shader without what only people read: comments, indentation, and blanks beside brackets and separators.
//!
//! It is taken out at compile time, so that the binary does not carry it. Lines stay where they are: what a compiler says of line 12
//! is about line 12 of the file.

/// Whether a blank beside this character separates nothing.
const fn stands_alone(byte: u8) -> bool {
    matches!(
        byte,
        b'(' | b')' | b'{' | b'}' | b'[' | b']' | b',' | b';' | b':' | b'\n'
    )
}

/// `text` without comments and needless blanks: the first so many bytes of an array of N.
const fn squeezed<const N: usize>(text: &str) -> ([u8; N], usize) {
    let text = text.as_bytes();
    let mut out = [0; N];
    let (mut at, mut len) = (0, 0);
    while at < text.len() {
        let byte = text[at];
        if byte == b'/' && at + 1 < text.len() && text[at + 1] == b'/' {
            while at < text.len() && text[at] != b'\n' {
                at += 1;
            }
            continue;
        }
        if len > 0 && out[len - 1] == b' ' && (byte == b' ' || stands_alone(byte)) {
            len -= 1; // the blank before
        }
        if byte != b' ' || (len > 0 && !stands_alone(out[len - 1])) {
            out[len] = byte;
            len += 1;
        }
        at += 1;
    }
    (out, len)
}

/// How long the squeezed text is, which is no longer than N.
pub(super) const fn len<const N: usize>(text: &str) -> usize {
    squeezed::<N>(text).1
}

/// The squeezed text, of `len` bytes out of at most N.
pub(super) const fn squeeze<const N: usize, const LEN: usize>(text: &str) -> [u8; LEN] {
    let (long, len) = squeezed::<N>(text);
    assert!(len == LEN);
    let mut short = [0; LEN];
    let mut at = 0;
    while at < LEN {
        short[at] = long[at];
        at += 1;
    }
    short
}

#[cfg(test)]
mod tests {
    use super::{len, squeeze};

    #[test]
    fn takes_out_what_only_people_read() {
        const TEXT: &str =
            "// Twice.\nfn f(x : f32)  -> f32 { // f\n  let y = - -x;\n\n  return (y < 2.0) ;\n}\n";
        const SHORT: [u8; len::<100>(TEXT)] = squeeze::<100, _>(TEXT);
        let expected = "\nfn f(x:f32)-> f32{\nlet y = - -x;\n\nreturn(y < 2.0);\n}\n";
        assert_eq!(core::str::from_utf8(&SHORT), Ok(expected));
    }
}
