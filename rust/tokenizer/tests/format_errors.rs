//! Each flaw of the flat form is its own error: FORMAT.md's last table, line by line.

use pocketlm_tokenizer::train::{TrainConfig, train};
use pocketlm_tokenizer::{Tokenizer, TokenizerError as E};

const HEADER: usize = 40;

/// A vocabulary of 1 special token, 256 bytes, and at least 3 merges: flat form, V, S, M.
fn sample() -> (Vec<u8>, usize, usize, usize) {
    let config = TrainConfig {
        vocab_size: 262,
        ..TrainConfig::default()
    };
    let tokenizer = train(["hello hello hell yellow"], &config).unwrap();
    let bytes = tokenizer.to_bytes();
    let field = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let counts = (field(16), field(20), field(24));
    assert!(counts.2 >= 3);
    (bytes, counts.0, counts.1, counts.2)
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn error(bytes: &[u8]) -> E {
    Tokenizer::from_bytes(bytes).expect_err("the data is flawed")
}

#[test]
fn every_truncation_is_named() {
    let (bytes, ..) = sample();
    for len in 0..bytes.len() {
        match error(&bytes[..len]) {
            E::Truncated { expected, got, .. } => {
                assert_eq!(got, len as u64);
                assert_eq!(
                    expected,
                    if len < HEADER { HEADER } else { bytes.len() } as u64
                );
            }
            other => panic!("{len} bytes: {other}"),
        }
    }
}

#[test]
fn a_longer_file_is_named() {
    let (mut bytes, ..) = sample();
    bytes.push(0);
    let expected = bytes.len() as u64 - 1;
    assert_eq!(
        error(&bytes),
        E::TrailingBytes {
            expected,
            got: expected + 1
        }
    );
}

#[test]
fn header_fields_are_checked() {
    let (bytes, vocab_size, ..) = sample();
    let with = |at: usize, value: u32| {
        let mut bytes = bytes.clone();
        put(&mut bytes, at, value);
        error(&bytes)
    };
    let field = |error: E| match error {
        E::BadField { field, .. } => field,
        other => panic!("{other}"),
    };
    assert!(matches!(with(0, 0), E::BadMagic { .. }));
    assert_eq!(
        with(8, 2),
        E::BadVersion {
            expected: 1,
            got: 2
        }
    );
    assert_eq!(
        with(8, 1 << 24),
        E::BadVersion {
            expected: 1,
            got: 1 << 24
        }
    ); // big-endian 1
    assert_eq!(field(with(12, 0)), "split");
    assert_eq!(field(with(16, 255)), "vocab_size");
    assert_eq!(field(with(16, u32::MAX)), "vocab_size");
    assert_eq!(field(with(20, vocab_size as u32 - 255)), "special_count");
    for (at, value) in [
        (16, 261),
        (20, 2),
        (24, u32::MAX),
        (28, u32::MAX),
        (32, 0),
        (36, 1),
    ] {
        assert_eq!(field(with(at, value)), "total_bytes", "offset {at}");
    }
}

#[test]
fn huge_counts_in_a_small_file_allocate_nothing() {
    // A header that agrees with itself and claims 45 GiB.
    let (v, s, m, b) = (1 << 24, 1 << 20, u32::MAX, u32::MAX);
    let mut bytes = b"PLMTOKEN".to_vec();
    for field in [1, 1, v, s, m, b] {
        bytes.extend(field.to_le_bytes());
    }
    let total = 40 + 4 * u64::from(v) + 4 * u64::from(s) + 8 * u64::from(m) + u64::from(b);
    bytes.extend(total.to_le_bytes());
    assert_eq!(
        error(&bytes),
        E::Truncated {
            what: "the tokenizer",
            expected: total,
            got: 40
        }
    );
}

#[test]
fn token_ends_are_checked() {
    let (bytes, vocab_size, ..) = sample();
    let with = |id: usize, end: u32| {
        let mut bytes = bytes.clone();
        put(&mut bytes, HEADER + 4 * id, end);
        error(&bytes)
    };
    assert_eq!(
        with(0, 0),
        E::BadTokenEnd {
            id: 0,
            start: 0,
            end: 0
        }
    );
    assert_eq!(
        with(1, 13),
        E::BadTokenEnd {
            id: 1,
            start: 13,
            end: 13
        }
    );
    assert_eq!(
        with(1, 1 << 30),
        E::BadTokenEnd {
            id: 1,
            start: 13,
            end: 1 << 30
        }
    );
    let last = u32::from_le_bytes(bytes[28..32].try_into().unwrap());
    assert!(matches!(
        with(vocab_size - 1, last - 1),
        E::BadField {
            field: "token_bytes",
            ..
        }
    ));
}

#[test]
fn tokens_are_checked() {
    let (bytes, vocab_size, special_count, merge_count) = sample();
    let blob = HEADER + 4 * (vocab_size + special_count + 2 * merge_count);
    // Token 0 is the 13 bytes of the special token; then come `!`, `"`, ...
    let mut twice = bytes.clone();
    twice[blob + 14] = b'!';
    assert_eq!(
        error(&twice),
        E::DuplicateToken {
            first: 1,
            second: 2
        }
    );

    // `<|endoftext|>` becomes special token and byte tokens swap roles: `!` is special, so no token is left for it.
    let mut special_byte = bytes.clone();
    put(&mut special_byte, HEADER + 4 * vocab_size, 1);
    assert_eq!(error(&special_byte), E::MissingByte { byte: b'!' });

    let mut not_utf8 = bytes.clone();
    not_utf8[blob] = 0xFF;
    assert!(matches!(
        error(&not_utf8),
        E::BadSpecial {
            problem: "it is not UTF-8",
            ..
        }
    ));

    let mut spelling = bytes.clone();
    spelling[blob..blob + 13].copy_from_slice("ĠĠĠĠĠĠ!".as_bytes());
    assert!(matches!(error(&spelling), E::BadSpecial { .. }));
}

#[test]
fn special_ids_are_checked() {
    let config = TrainConfig {
        vocab_size: 258,
        special_tokens: vec!["<a>".into(), "<b>".into()],
        ..TrainConfig::default()
    };
    let bytes = train(["x"], &config).unwrap().to_bytes();
    let at = HEADER + 4 * 258;
    let with = |first: u32, second: u32| {
        let mut bytes = bytes.clone();
        put(&mut bytes, at, first);
        put(&mut bytes, at + 4, second);
        error(&bytes)
    };
    assert_eq!(with(1, 0), E::SpecialOrder { previous: 1, id: 0 });
    assert_eq!(with(1, 1), E::SpecialOrder { previous: 1, id: 1 });
    assert_eq!(
        with(0, 258),
        E::UnknownId {
            id: 258,
            vocab_size: 258
        }
    );
}

#[test]
fn merges_are_checked() {
    let (bytes, vocab_size, special_count, _) = sample();
    let at = HEADER + 4 * (vocab_size + special_count);
    let first =
        |i: usize| u32::from_le_bytes(bytes[at + 4 * i..at + 4 * i + 4].try_into().unwrap());
    let problem = |rank: usize, left: u32, right: u32| {
        let mut bytes = bytes.clone();
        put(&mut bytes, at + 8 * rank, left);
        put(&mut bytes, at + 8 * rank + 4, right);
        match error(&bytes) {
            E::BadMerge {
                rank: found,
                problem,
                ..
            } if found as usize == rank => problem,
            other => panic!("{other}"),
        }
    };
    assert_eq!(
        problem(1, vocab_size as u32, 1),
        "a token of it is not in the vocabulary"
    );
    assert_eq!(
        problem(1, 1, u32::MAX),
        "a token of it is not in the vocabulary"
    );
    assert_eq!(problem(1, 0, 1), "a token of it is special");
    assert_eq!(problem(1, 1, 2), "what it makes is not in the vocabulary");
    assert_eq!(
        problem(1, first(0), first(1)),
        "the same pair has an earlier merge"
    );
}

#[test]
fn what_a_merge_makes_may_not_be_special() {
    let config = TrainConfig {
        vocab_size: 258,
        ..TrainConfig::default()
    };
    let mut bytes = train(["ab ab"], &config).unwrap().to_bytes();
    let specials = HEADER + 4 * 258;
    put(&mut bytes, specials, 257); // the token `ab`
    assert!(matches!(
        error(&bytes),
        E::BadMerge {
            problem: "what it makes is special",
            ..
        }
    ));
}
