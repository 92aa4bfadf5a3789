//! Tokenizers and texts made to harm: what the fuzz targets of `rust/fuzz` do for minutes, here for seconds and the same every time; and
//! what they or a reader of the code found, one small case each.

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

mod hostile;

use core::time::Duration;
use std::collections::BTreeMap;
use std::time::Instant;

use hostile::Flat;
use pocketlm_tokenizer::train::{TrainConfig, train};
use pocketlm_tokenizer::{Tokenizer, TokenizerError};
use proptest::prelude::*;

const TEXT: &str = "To be, or not to be, that is the question: whether 'tis nobler in the mind to suffer é ß 日本 🙂";

fn sample(vocab_size: u32, specials: &[&str]) -> Vec<u8> {
    let special_tokens = specials.iter().map(|text| (*text).to_owned()).collect();
    let config = TrainConfig {
        vocab_size,
        special_tokens,
        ..TrainConfig::default()
    };
    train([TEXT], &config).unwrap().to_bytes()
}

/// SplitMix64 (Steele et al. 2014).
fn below(state: &mut u64, n: usize) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) % n as u64) as usize
}

/// The flat form of any parts, sound or not.
fn flat(tokens: &[Vec<u8>], specials: &[u32], merges: &[(u32, u32)]) -> Vec<u8> {
    Flat::new(tokens, specials, merges).bytes()
}

fn all_bytes() -> Vec<Vec<u8>> {
    (0..=255).map(|byte| vec![byte]).collect()
}

#[test]
fn mutations_are_named_errors_or_sound_tokenizers() {
    let seeds = [
        sample(257, &["<|endoftext|>"]),
        sample(290, &["<|endoftext|>", "<|end", "🙂"]),
        sample(300, &[]),
    ];
    let random = &mut 1;
    let (mut names, mut accepted) = (BTreeMap::new(), 0);
    for round in 0..20_000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..1 + below(random, 3) {
            let at = below(random, bytes.len());
            let len = (1 + below(random, 8)).min(bytes.len() - at);
            match below(random, 5) {
                0 => bytes[at] ^= 1 << below(random, 8),
                1 => bytes[at] = below(random, 256) as u8,
                2 => drop(bytes.drain(at..at + len)),
                3 => drop(bytes.splice(at..at, vec![0xff; len])),
                _ => {
                    let copy = bytes[at..at + len].to_vec();
                    let to = below(random, bytes.len() - len + 1);
                    bytes[to..to + len].copy_from_slice(&copy);
                }
            }
            if bytes.is_empty() {
                bytes.push(0);
            }
        }
        if round % 2 == 0 {
            bytes = hostile::repaired(&bytes);
        }
        match hostile::read(&bytes) {
            Ok(_) => accepted += 1,
            Err(error) => {
                let name = format!("{error:?}");
                let name = name.split([' ', '(']).next().unwrap_or_default().to_owned();
                *names.entry(name).or_insert(0) += 1;
            }
        }
    }
    // A loop that no longer reaches the checks behind the header would pass as well.
    assert!(accepted > 100, "{accepted} accepted");
    for name in [
        "Truncated",
        "TrailingBytes",
        "BadMagic",
        "BadField",
        "BadTokenEnd",
        "DuplicateToken",
        "BadTable",
        "UnknownSplit",
        "BadSpecial",
        "BadMerge",
    ] {
        assert!(
            names.contains_key(name),
            "no mutation gave {name}: {names:?}"
        );
    }
}

#[test]
fn tokens_of_one_hash_are_read_as_fast_as_others() {
    // An earlier index mixed two words as `mix(rotate(mix(rotate(16) ^ first)) ^ second)`: for every first there is a second that gives
    // one and the same hash. 20,000 such tokens took 0.5 s, 150 times as long as others, and four times that for twice as many.
    let mix = |key: u64| {
        let product = key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (product ^ product >> 32).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    };
    let colliding = (1..=200_000u64).map(|first| {
        let second = mix(16u64.rotate_left(5) ^ first).rotate_left(5);
        [first.to_le_bytes(), second.to_le_bytes()].concat()
    });
    let tokens: Vec<Vec<u8>> = all_bytes().into_iter().chain(colliding).collect();
    let started = Instant::now();
    let tokenizer = Tokenizer::from_bytes(&flat(&tokens, &[], &[])).unwrap();
    assert_eq!(tokenizer.vocab_size(), 200_256);
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn two_of_several_duplicates_are_named() {
    let mut tokens = all_bytes();
    tokens.extend(["zz", "aa", "zz", "aa", "zz"].map(|token| token.as_bytes().to_vec()));
    match Tokenizer::from_bytes(&flat(&tokens, &[], &[])) {
        Err(TokenizerError::DuplicateToken { first, second }) => {
            assert!(first < second);
            assert_eq!(tokens[first as usize], tokens[second as usize]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_message_quotes_a_special_token_in_one_short_printable_line() {
    let mut tokens = all_bytes();
    tokens.push(format!("\u{1b}[2J{}", "Ġ".repeat(50_000)).into_bytes());
    tokens.push([b"\x1b[2J\xff".to_vec(), vec![b'x'; 50_000]].concat());
    for special in [256, 257] {
        let bytes = flat(&tokens, &[special], &[]);
        match hostile::read(&bytes) {
            Ok(_) => assert_eq!(special, 256, "it is not UTF-8"), // an escape is no byte's spelling
            Err(error) => assert!(error.to_string().len() < 1000),
        }
    }
}

#[test]
fn special_tokens_that_begin_alike_cost_no_more_than_their_lengths() {
    // 1,000 lengths to try at each of 20,000 places.
    let mut tokens = all_bytes();
    tokens.extend((2..1002).map(|len| [vec![b'a'; len], b"!".to_vec()].concat()));
    let specials: Vec<u32> = (256..1256).collect();
    let tokenizer = Tokenizer::from_bytes(&flat(&tokens, &specials, &[])).unwrap();
    let text = "a".repeat(20_000);
    let started = Instant::now();
    assert_eq!(
        tokenizer.encode_with_special(&text),
        vec![u32::from(b'a'); 20_000]
    );
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn a_megabyte_without_a_space_is_encoded_in_seconds() {
    let tokenizer = Tokenizer::from_bytes(&sample(290, &[])).unwrap();
    let started = Instant::now();
    for unit in ["a", "to", "ab'", "\u{301}", "\u{a0}", "\n"] {
        let text = unit.repeat((1 << 20) / unit.len());
        assert_eq!(
            tokenizer.decode(&tokenizer.encode(&text)).as_deref(),
            Ok(text.as_bytes())
        );
    }
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
}

#[test]
#[cfg(feature = "regex")]
fn patterns_made_of_anything_split_or_are_refused() {
    let atoms = [
        "(", ")", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i)", "(?:", "[", "]", "[^", "^", "$",
        "|", "*", "+", "?", "{2}", "{9,}", r"\1", r"\p{L}", r"\w", r"\b", "-", "&&", "a", "é", ".",
        r"\", "{", "}", ":",
    ];
    let random = &mut 2;
    for _ in 0..3000 {
        let pattern: String = (0..1 + below(random, 9))
            .map(|_| atoms[below(random, atoms.len())])
            .collect();
        hostile::split_by_pattern(&pattern, TEXT);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_parts_are_a_named_error_or_a_sound_tokenizer(
        learned in prop::collection::vec(prop::collection::vec(prop::sample::select(b"ab\xff".to_vec()), 2..5), 0..12),
        specials in prop::collection::vec(250u32..270, 0..3),
        merges in prop::collection::vec((90u32..270, 90u32..270), 0..8),
    ) {
        let tokens: Vec<Vec<u8>> = all_bytes().into_iter().chain(learned).collect();
        let _ = hostile::read(&flat(&tokens, &specials, &merges));
    }

    #[test]
    fn any_bytes_stream_as_the_standard_library_reads_them(bytes: Vec<u8>, portion in 1usize..9) {
        hostile::stream_utf8(&bytes, portion);
        let tokenizer = Tokenizer::from_bytes(&sample(290, &["<|endoftext|>"])).unwrap();
        hostile::encode_and_decode(&tokenizer, &String::from_utf8_lossy(&bytes));
    }
}
