//! GPT-2's spelling of bytes as printable characters, which Hugging Face's files and id order use.
//!
//! The 188 printable bytes of Latin-1 stand for themselves; the other 68 are U+0100 + their rank. We keep tokens as
//! bytes; this spelling appears only in `tokenizer.json`, and in the order of the first 256 ids.
//! Source: openai/gpt-2, `src/encoder.py:bytes_to_unicode`.

use alloc::string::String;

/// The character that spells each byte.
const CHARS: [char; 256] = {
    let mut chars = ['\0'; 256];
    let mut unprintable = 0;
    let mut byte = 0;
    while byte < 256 {
        chars[byte] = match byte as u8 {
            b @ (b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF) => b as char,
            _ => {
                unprintable += 1;
                match char::from_u32(0x100 + unprintable - 1) {
                    Some(c) => c,
                    None => panic!("0x100 + 67 is a scalar value"),
                }
            }
        };
        byte += 1;
    }
    chars
};

/// `bytes` in GPT-2's spelling.
pub(crate) fn spell(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| CHARS[byte as usize]).collect()
}

/// The byte that `c` spells, if it spells one.
pub(crate) fn byte_of(c: char) -> Option<u8> {
    CHARS
        .iter()
        .position(|&spelling| spelling == c)
        .map(|byte| byte as u8)
}

/// The 256 bytes in the order of their spellings, in which Hugging Face's trainer numbers them.
#[cfg(any(feature = "std", test))]
pub(crate) fn alphabet() -> [u8; 256] {
    let mut bytes: [u8; 256] = core::array::from_fn(|byte| byte as u8);
    bytes.sort_unstable_by_key(|&byte| CHARS[byte as usize]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_is_a_bijection() {
        assert_eq!(spell(b" \n\x7f\xa0\xad"), "ĠĊġłŃ");
        for byte in 0..=255 {
            assert_eq!(byte_of(CHARS[byte as usize]), Some(byte));
        }
        assert_eq!(byte_of('\u{144}'), None);
    }

    #[test]
    fn alphabet_begins_with_the_printable_and_ends_with_the_soft_hyphen() {
        assert_eq!(alphabet()[..3], *b"!\"#");
        assert_eq!(alphabet()[255], 0xAD);
    }
}
