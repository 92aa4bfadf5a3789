//! Each flaw of the flat form is its own error: FORMAT.md's last table, line by line.

mod hostile;

use hostile::Flat;
use pocketlm_tokenizer::Tokenizer;
use pocketlm_tokenizer::TokenizerError as E;
use pocketlm_tokenizer::split::Split;
use pocketlm_tokenizer::train::{TrainConfig, train};

const HEADER: usize = 72;

/// 256 bytes, `ab`, `abc`, two special tokens, and a gap between them.
fn sample() -> Flat {
    let mut tokens: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    tokens.extend([
        b"ab".to_vec(),
        b"abc".to_vec(),
        b"<a>".to_vec(),
        vec![],
        b"<b>".to_vec(),
    ]);
    let (a, b, c) = (u32::from(b'a'), u32::from(b'b'), u32::from(b'c'));
    Flat::new(&tokens, &[258, 260], &[(a, b), (256, c)])
}

fn error(bytes: &[u8]) -> E {
    Tokenizer::from_bytes(bytes).expect_err("the data is flawed")
}

/// The error of the sample, changed.
fn error_of(change: impl FnOnce(&mut Flat)) -> E {
    let mut flat = sample();
    change(&mut flat);
    error(&flat.bytes())
}

/// The error of the sample's bytes with one word changed.
fn error_with(at: usize, value: u32) -> E {
    let mut bytes = sample().bytes();
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    error(&bytes)
}

fn field(error: E) -> &'static str {
    match error {
        E::BadField { field, .. } => field,
        other => panic!("{other}"),
    }
}

#[test]
fn the_sample_is_sound() {
    let bytes = sample().bytes();
    let tokenizer = Tokenizer::from_bytes(&bytes).unwrap();
    assert_eq!(tokenizer.to_bytes(), bytes);
    assert_eq!(
        tokenizer.encode_with_special("abcab<a><b>"),
        [257, 256, 258, 260]
    );
    assert_eq!(tokenizer.token_bytes(259), None);
    assert!(matches!(
        tokenizer.decode(&[259]),
        Err(E::UnknownId { id: 259, .. })
    ));
}

#[test]
fn every_truncation_is_named() {
    let bytes = sample().bytes();
    for len in 0..bytes.len() {
        match error(&bytes[..len]) {
            E::Truncated { expected, got, .. } => {
                assert_eq!(got, len as u64);
                let all = if len < HEADER { HEADER } else { bytes.len() };
                assert_eq!(expected, all as u64);
            }
            other => panic!("{len} bytes: {other}"),
        }
    }
}

#[test]
fn a_longer_file_is_named() {
    let mut bytes = sample().bytes();
    bytes.push(0);
    let (expected, got) = (bytes.len() as u64 - 1, bytes.len() as u64);
    assert_eq!(error(&bytes), E::TrailingBytes { expected, got });
}

#[test]
fn header_fields_are_checked() {
    assert!(matches!(error_with(0, 0), E::BadMagic { .. }));
    let version = |got| E::BadVersion { expected: 2, got };
    assert_eq!(error_with(8, 1), version(1));
    assert_eq!(error_with(8, 2 << 24), version(2 << 24)); // big-endian 2
    for (at, value, name) in [
        (12, 2, "algorithm"),
        (16, 2, "ignore_merges"),
        (20, 2, "normalizer"),
        (24, 2, "merge_order"),
        (28, 0, "vocab_size"),
        (28, u32::MAX, "vocab_size"),
        (32, 262, "added_count"),
        (36, u32::MAX, "merge_count"),
        (40, 32, "token_attempt"),
        (44, 32, "pair_attempt"),
        (48, 500, "token_places"),
        (48, 1 << 30, "token_places"),
        (56, u32::MAX, "split_bytes"),
        (60, 1, "score_count"),
        (28, 262, "total_bytes"),
        (32, 1, "total_bytes"),
        (36, 3, "total_bytes"),
        (48, 256, "total_bytes"),
        (52, u32::MAX, "total_bytes"),
        (64, 0, "total_bytes"),
        (68, 1, "total_bytes"),
    ] {
        assert_eq!(field(error_with(at, value)), name, "offset {at}: {value}");
    }
}

#[test]
fn a_version_1_header_is_named_by_its_version() {
    let mut bytes = b"PLMTOKEN".to_vec();
    bytes.extend(
        [1u32, 1, 256, 0, 0]
            .iter()
            .flat_map(|field| field.to_le_bytes()),
    );
    assert_eq!(
        error(&bytes),
        E::BadVersion {
            expected: 2,
            got: 1
        }
    );
}

#[test]
fn huge_counts_in_a_small_file_allocate_nothing() {
    // A header that agrees with itself and claims 29 GB.
    let (v, a, m, t, b, n) = (
        1u32 << 24,
        1u32 << 24,
        1u32 << 30,
        1u32 << 25,
        u32::MAX,
        4u32,
    );
    let mut bytes = b"PLMTOKEN".to_vec();
    for field in [2, 1, 0, 0, 0, v, a, m, 0, 0, t, b, n, 0] {
        bytes.extend(field.to_le_bytes());
    }
    let words = [
        u64::from(v),
        2 * u64::from(a),
        3 * u64::from(m),
        u64::from(t),
        1 << 31,
    ];
    let total = 72 + 4 * words.iter().sum::<u64>() + u64::from(b) + u64::from(n);
    bytes.extend(total.to_le_bytes());
    let expected = E::Truncated {
        what: "the tokenizer",
        expected: total,
        got: 72,
    };
    assert_eq!(error(&bytes), expected);
}

#[test]
fn token_ends_are_checked() {
    let bad = |id, start, end| E::BadTokenEnd { id, start, end };
    assert_eq!(error_with(HEADER + 4, 0), bad(1, 1, 0));
    assert_eq!(error_with(HEADER + 4, 1 << 30), bad(1, 1, 1 << 30));
    assert_eq!(field(error_with(HEADER + 4 * 260, 264)), "token_bytes");
}

#[test]
fn tokens_are_checked() {
    let same = |first, second| E::DuplicateToken { first, second };
    assert_eq!(
        error_of(|flat| flat.tokens[259] = b"ab".to_vec()),
        same(256, 259)
    );
    assert_eq!(
        error_of(|flat| flat.tokens[260] = b"<a>".to_vec()),
        same(258, 260)
    );
    // An added token that looks like one of the model's is found before the split, so both can be.
    let mut flat = sample();
    flat.tokens[260] = b"ab".to_vec();
    let tokenizer = Tokenizer::from_bytes(&flat.bytes()).unwrap();
    assert_eq!(tokenizer.encode("ab"), [256]);
    assert_eq!(tokenizer.encode_with_special("ab"), [260]);
}

#[test]
fn added_tokens_are_checked() {
    let order = |previous, id| E::AddedOrder { previous, id };
    assert_eq!(error_of(|flat| flat.added.reverse()), order(260, 258));
    assert_eq!(error_of(|flat| flat.added[1].0 = 258), order(258, 258));
    for id in [259, 261, u32::MAX] {
        let unknown = E::UnknownId {
            id,
            vocab_size: 261,
        };
        assert_eq!(
            error_of(|flat| *flat = Flat {
                added: vec![(id, 1)],
                ..flat.clone()
            }),
            unknown
        );
    }
    assert_eq!(field(error_of(|flat| flat.added[0].1 = 64)), "added flags");
    for text in [&b"\xff<>"[..], "ĠĠĠĠĠĠ!".as_bytes()] {
        let error = error_of(|flat| flat.tokens[258] = text.to_vec());
        assert!(matches!(error, E::BadSpecial { .. }), "{error}");
    }
    let error = error_of(|flat| {
        flat.normalizer = 1;
        flat.tokens[258] = "<e\u{301}>".into();
        flat.added[0].1 |= 16;
    });
    assert!(matches!(error, E::BadSpecial { .. }), "{error}");
}

#[test]
fn merges_are_checked() {
    let problem = |rank: usize, merge: [u32; 3]| match error_of(|flat| flat.merges[rank] = merge) {
        E::BadMerge {
            rank: found,
            problem,
            ..
        } if found as usize == rank => problem,
        other => panic!("{other}"),
    };
    let (a, b, c) = (u32::from(b'a'), u32::from(b'b'), u32::from(b'c'));
    for unknown in [259, 261, u32::MAX] {
        assert_eq!(
            problem(1, [unknown, c, 257]),
            "a token of it is not in the vocabulary"
        );
        assert_eq!(
            problem(1, [256, unknown, 257]),
            "a token of it is not in the vocabulary"
        );
        assert_eq!(
            problem(1, [256, c, unknown]),
            "what it makes is not in the vocabulary"
        );
    }
    for added in [[258, c, 257], [256, 258, 257], [256, c, 258]] {
        assert_eq!(problem(1, added), "a token of it is an added one");
    }
    for wrong in [[256, b, 257], [a, c, 257], [256, c, 256], [256, c, c]] {
        assert_eq!(
            problem(1, wrong),
            "what it makes is not its two tokens, joined"
        );
    }
    assert_eq!(
        problem(1, [a, b, 256]),
        "the same pair has an earlier merge"
    );
    let error = error_of(|flat| {
        flat.merge_order = 1;
        flat.merges.reverse();
    });
    assert!(matches!(error, E::BadMerge { rank: 1, .. }), "{error}");
}

#[test]
fn an_added_token_may_be_the_models_own() {
    let mut flat = sample();
    flat.added.insert(0, (257, 1 | 32));
    let tokenizer = Tokenizer::from_bytes(&flat.bytes()).unwrap();
    assert_eq!(tokenizer.encode("abc"), [257]);
    flat.added[0].1 = 1;
    assert!(matches!(error(&flat.bytes()), E::BadMerge { rank: 1, .. }));
}

#[test]
fn tables_are_checked() {
    let flat = sample();
    let bytes = flat.bytes();
    let table = |error: E| match error {
        E::BadTable { table, .. } => table,
        other => panic!("{other}"),
    };
    // 258 model tokens: 1024 places; 2 merges: 16.
    let tokens_at = HEADER + 4 * 261 + 8 * 2 + 12 * 2;
    let pairs_at = tokens_at + 4 * 1024;
    assert_eq!(
        pairs_at + 4 * 16 + flat.tokens.concat().len() + 4,
        bytes.len()
    );
    for (name, at, places) in [("token", tokens_at, 1024), ("pair", pairs_at, 16)] {
        let word = |place: usize| {
            let at = at + 4 * place;
            u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
        };
        for place in 0..places {
            // Another number, none, or one that is not the table's.
            for value in [word((place + 1) % places), u32::MAX, 258, 259, 1 << 20] {
                if value != word(place) {
                    assert_eq!(
                        table(error_with(at + 4 * place, value)),
                        name,
                        "{place}: {value}"
                    );
                }
            }
        }
        let attempt = if name == "token" { 40 } else { 44 };
        assert_eq!(table(error_with(attempt, 1)), name);
    }
    // The right size for a vocabulary, but not for this one's tokens.
    let mut flat = sample();
    flat.tokens.resize(600, vec![]);
    let mut bytes = flat.bytes();
    let at = HEADER + 4 * 600 + 8 * 2 + 12 * 2;
    bytes.splice(at..at + 4 * 1024, [0xff; 4 * 2048]);
    bytes[48..52].copy_from_slice(&2048u32.to_le_bytes());
    let total = bytes.len() as u64;
    bytes[64..72].copy_from_slice(&total.to_le_bytes());
    assert_eq!(table(error(&bytes)), "token");
}

#[test]
fn another_split_is_named() {
    let error = error_of(|flat| flat.split = "gpt-2\u{1b}".into());
    assert_eq!(
        error,
        E::UnknownSplit {
            name: "gpt-2\u{1b}".into()
        }
    );
    let names = Split::ALL.each_ref().map(Split::name).join(", ");
    let expected = format!(r#"no split is named "gpt-2\u{{1b}}"; there are {names}"#);
    assert!(error.to_string().ends_with(&expected), "{error}");
}

#[test]
#[cfg(not(feature = "regex"))]
fn a_pattern_is_refused_where_there_is_no_engine_for_it() {
    let error = error_of(|flat| flat.split = r"regex:\w+".into());
    let name = r"regex:\w+".into();
    assert_eq!(error, E::NoRegex { name });
    assert!(
        error.to_string().contains("which this program cannot"),
        "{error}"
    );
}

#[test]
#[cfg(feature = "regex")]
fn a_pattern_that_is_none_is_named() {
    for split in ["regex:(", "regex:[[:alpha:]]", r"regex:(?:\p{L}{999}){999}"] {
        let error = error_of(|flat| flat.split = split.into());
        assert!(matches!(error, E::BadPattern { .. }), "{error}");
    }
    let error = error_of(|flat| flat.split = format!("regex:{}", "a".repeat(2049)));
    assert!(
        error.to_string().contains("2049 bytes, at most 2048"),
        "{error}"
    );
}

#[test]
fn what_training_makes_is_written_as_specified() {
    let config = TrainConfig {
        vocab_size: 262,
        ..TrainConfig::default()
    };
    let bytes = train(["hello hello hell yellow"], &config)
        .unwrap()
        .to_bytes();
    assert_eq!(
        hostile::repaired(&bytes),
        bytes,
        "the other writer gives the same"
    );
}
