//! Training's edges. That merges and ids are Hugging Face's is tested against that package: tests/tokenizer.

use core::ops::ControlFlow;

use pocketlm_tokenizer::TokenizerError as E;
use pocketlm_tokenizer::train::{TrainConfig, WordCounts, train, train_from_words, train_watched};

fn config(vocab_size: u32, special_tokens: &[&str]) -> TrainConfig {
    let special_tokens = special_tokens.iter().map(ToString::to_string).collect();
    TrainConfig {
        vocab_size,
        special_tokens,
        ..TrainConfig::default()
    }
}

#[test]
fn ids_are_specials_then_bytes_then_merges() {
    let tokenizer = train(["aaaa aaaa"], &config(261, &["<a>", "<b>"])).unwrap();
    let token = |id| {
        tokenizer
            .token_bytes(id)
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    };
    assert_eq!(token(0).as_deref(), Some("<a>"));
    assert_eq!(token(1).as_deref(), Some("<b>"));
    assert_eq!(token(2).as_deref(), Some("!"));
    assert_eq!(token(258).as_deref(), Some("aa"));
    assert_eq!(token(259).as_deref(), Some("aaaa"));
    assert_eq!(token(260).as_deref(), Some(" aaaa"));
    assert_eq!(token(261), None);
    assert_eq!(
        tokenizer.encode("aaaa aaaaa"),
        [259, 260, tokenizer.encode("a")[0]]
    );
}

#[test]
fn a_small_corpus_gives_a_small_vocabulary() {
    let tokenizer = train(["abc"], &config(5000, &[])).unwrap();
    assert_eq!(tokenizer.vocab_size(), 258);
}

#[test]
fn min_frequency_stops_the_merging() {
    let at_least = |min_frequency| {
        let config = TrainConfig {
            min_frequency,
            ..config(1000, &[])
        };
        train(["ab ab cd"], &config).unwrap().vocab_size()
    };
    // (a, b) occurs twice, (Ġ, ab), (c, d) and (Ġ, cd) once
    assert_eq!(
        [at_least(0), at_least(1), at_least(2), at_least(3)],
        [260, 260, 257, 256]
    );
}

#[test]
fn no_text_is_an_error() {
    assert_eq!(train(["", ""], &config(300, &[])).unwrap_err(), E::NoText);
    assert_eq!(train([""; 0], &config(300, &[])).unwrap_err(), E::NoText);
}

#[test]
fn impossible_configurations_are_errors() {
    let error = |config: TrainConfig| train(["some text"], &config).unwrap_err();
    assert_eq!(
        error(config(256, &["<a>"])),
        E::VocabTooSmall {
            got: 256,
            expected: 257
        }
    );
    assert!(matches!(
        error(config(u32::MAX, &[])),
        E::TooLarge {
            what: "vocab_size",
            ..
        }
    ));
    for bad in [&["<a>", "<a>"][..], &[""], &["!"], &["Ġ"], &["éé"]] {
        assert!(
            matches!(error(config(300, bad)), E::BadSpecial { .. }),
            "{bad:?}"
        );
    }
}

#[test]
fn a_special_token_that_merges_make_is_an_error() {
    let error = train(["the the the"], &config(300, &["the"])).unwrap_err();
    assert!(
        matches!(&error, E::BadSpecial { token, .. } if token == "the"),
        "{error}"
    );
    assert!(train(["the the the"], &config(300, &["<the>", "中文", "a b"])).is_ok());
}

#[test]
fn the_longest_special_token_wins() {
    let tokenizer = train(["x"], &config(260, &["<|a|>", "<|a|><|b|>", "<|b|>"])).unwrap();
    assert_eq!(tokenizer.encode_with_special("<|a|><|b|><|a|><|a"), {
        let mut ids = vec![1, 0];
        ids.extend(tokenizer.encode("<|a"));
        ids
    });
}

#[test]
fn a_megabyte_without_a_space_is_no_attack() {
    let tokenizer = train(["aaaaaaaa abababab ccccc"], &config(280, &[])).unwrap();
    for text in [
        "a".repeat(1 << 20),
        "ab".repeat(1 << 19),
        " ".repeat(1 << 20),
        "é".repeat(1 << 19),
    ] {
        let ids = tokenizer.encode(&text);
        assert_eq!(tokenizer.decode(&ids).unwrap(), text.as_bytes());
    }
}

#[test]
fn merges_of_two_bytes_are_always_allowed_and_longer_ones_below_the_limit() {
    let longest = |limit| {
        let config = TrainConfig {
            max_token_length: Some(limit),
            ..config(1000, &[])
        };
        let tokenizer = train(["abcdefgh abcdefgh"], &config).unwrap();
        let tokens = (0..tokenizer.vocab_size()).filter_map(|id| tokenizer.token_bytes(id));
        tokens.map(<[u8]>::len).max().unwrap()
    };
    assert_eq!([1, 2, 3, 4, 9, 10, 99].map(longest), [2, 2, 2, 3, 8, 9, 9]);
    let error = TrainConfig {
        max_token_length: Some(0),
        ..config(300, &[])
    };
    assert_eq!(error.validate(), Err(E::ZeroLength));
}

#[test]
fn who_watches_hears_how_far_it_is_and_can_stop_it() {
    let mut words = WordCounts::default();
    for number in 0..200_000 {
        words
            .add_counted(format!("{:x}", number * 2_654_435_761_u64).as_bytes(), 1)
            .unwrap();
    }
    let config = config(2000, &[]);
    let mut heard = Vec::new();
    let watched = train_watched(&words, &config, &mut |progress| {
        heard.push(progress.tokens);
        ControlFlow::Continue(())
    });
    let expected = train_from_words(&words, &config).unwrap();
    assert_eq!(watched.unwrap().to_bytes(), expected.to_bytes());
    assert!(heard.len() > 10 && heard.is_sorted(), "{heard:?}");
    assert_eq!((heard[0], heard.last()), (0, Some(&2000)));
    for calls in 0..8 {
        let mut heard = 0;
        let stopped = train_watched(&words, &config, &mut |_| {
            heard += 1;
            match heard > calls {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        assert_eq!((stopped.unwrap_err(), heard), (E::Stopped, calls + 1));
    }
}

#[test]
fn counting_can_be_stopped() {
    let text = "to be ".repeat(1 << 20);
    let mut words = WordCounts::default();
    let mut calls = 0;
    let stopped = words.add_watched(&text, 1, &mut || {
        calls += 1;
        match calls {
            3 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
    assert_eq!((stopped, calls), (Err(E::Stopped), 3));
}
