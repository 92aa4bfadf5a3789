//! The fast paths against their slow twins, on random vocabularies and texts.

use pocketlm_tokenizer::split::Split;
use pocketlm_tokenizer::train::{TrainConfig, WordCounts, train, train_from_words};
use pocketlm_tokenizer::unicode::{Kind, kind_of};
use pocketlm_tokenizer::{DecodeStream, Encoder, Tokenizer, TokenizerError, Utf8Stream, naive};
use proptest::collection::vec;
use proptest::prelude::*;

/// Text that provokes the split and the merges: few letters, so that pairs repeat and overlap, and every special case.
fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        8 => "[abc]{1,8}",
        4 => "[ \n\t\r]{1,4}",
        3 => "'(s|t|re|ve|m|ll|d|S|x)",
        2 => "[0-9Ⅷ٣]{1,3}",
        2 => "[éßжλ中あ한]{1,4}",
        2 => "[!.,;\u{301}\u{200d}🙂\u{a0}\u{3000}\u{85}]{1,3}",
        1 => "a{60,140}",
        1 => "<\\|endoftext\\|>",
        1 => "\\PC{0,6}",
        1 => any::<String>(),
    ];
    vec(part, 0..24).prop_map(|parts| parts.concat())
}

fn tokenizer() -> impl Strategy<Value = (Tokenizer, Vec<String>)> {
    (vec(text(), 1..6), 257..420_u32).prop_filter_map(
        "needs some text",
        |(documents, vocab_size)| {
            let config = TrainConfig {
                vocab_size,
                ..TrainConfig::default()
            };
            match train(&documents, &config) {
                Ok(tokenizer) => Some((tokenizer, documents)),
                Err(TokenizerError::NoText) => None,
                Err(error) => panic!("{error}"),
            }
        },
    )
}

/// The split, read off the pattern: the alternatives in order, each as long as it can be.
fn naive_split(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        let len = contraction(rest)
            .or_else(|| run(rest, &LETTERS))
            .or_else(|| run(rest, &[Kind::Number]))
            .or_else(|| run(rest, &OTHERS))
            .unwrap_or_else(|| spaces(rest));
        pieces.push(rest[..len].iter().collect());
        at += len;
    }
    pieces
}

fn contraction(rest: &[char]) -> Option<usize> {
    ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"]
        .iter()
        .find(|suffix| rest.iter().collect::<String>().starts_with(**suffix))
        .map(|suffix| suffix.len())
}

const LETTERS: [Kind; 3] = [Kind::Upper, Kind::Lower, Kind::Uncased];
const OTHERS: [Kind; 3] = [Kind::Other, Kind::Mark, Kind::NewNumber];

/// ` ?` and then one or more of `kinds`.
fn run(rest: &[char], kinds: &[Kind]) -> Option<usize> {
    let space = usize::from(rest.first() == Some(&' '));
    let len = rest[space..]
        .iter()
        .take_while(|&&c| kinds.contains(&kind_of(c)))
        .count();
    (len > 0).then_some(space + len)
}

/// `\s+(?!\S)|\s+`
fn spaces(rest: &[char]) -> usize {
    let len = rest
        .iter()
        .take_while(|&&c| kind_of(c) == Kind::Space)
        .count();
    if len == rest.len() || len == 1 {
        len
    } else {
        len - 1
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn split_is_the_pattern(text in text()) {
        let pieces: Vec<String> = Split::Gpt2.pieces(&text).map(str::to_string).collect();
        prop_assert_eq!(pieces, naive_split(&text));
    }

    #[test]
    fn encoding_equals_its_naive_twin((tokenizer, documents) in tokenizer(), other in text()) {
        let mut encoder = Encoder::new(&tokenizer);
        for text in documents.iter().chain([&other, &documents[0]]) {
            let expected = naive::encode(&tokenizer, text);
            prop_assert_eq!(&tokenizer.encode(text), &expected);
            let mut ids = vec![7];
            encoder.encode(text, &mut ids); // its cache has seen the texts before
            prop_assert_eq!(&ids[1..], &expected[..]);
        }
    }

    #[test]
    fn decoding_gives_the_text_back((tokenizer, _) in tokenizer(), text in text()) {
        for ids in [tokenizer.encode(&text), tokenizer.encode_with_special(&text)] {
            prop_assert_eq!(tokenizer.decode(&ids).unwrap(), text.as_bytes());
            let mut stream = DecodeStream::new(&tokenizer);
            let mut streamed: String = ids.iter().map(|&id| stream.push(id).unwrap()).collect();
            streamed += &stream.finish();
            prop_assert_eq!(&streamed, &text);
        }
    }

    #[test]
    fn special_tokens_cut_the_text((tokenizer, _) in tokenizer(), parts in vec(text(), 1..4)) {
        let parts: Vec<String> = parts.iter().map(|part| part.replace("<|endoftext|>", "")).collect();
        let expected = parts.iter().map(|part| tokenizer.encode(part)).collect::<Vec<_>>().join(&0);
        prop_assert_eq!(tokenizer.encode_with_special(&parts.join("<|endoftext|>")), expected);
    }

    #[test]
    fn utf8_stream_is_lossy_decoding(bytes in vec(prop_oneof![any::<u8>(), Just(0xE2), Just(0x82), Just(0xF0)], 0..40), cuts in vec(0..40usize, 0..6)) {
        let mut stream = Utf8Stream::default();
        let mut text = String::new();
        let mut cuts: Vec<usize> = cuts.into_iter().filter(|&cut| cut <= bytes.len()).chain([0, bytes.len()]).collect();
        cuts.sort();
        for pair in cuts.windows(2) {
            text += &stream.push(&bytes[pair[0]..pair[1]]);
        }
        text += &stream.finish();
        prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn flat_form_round_trips((tokenizer, documents) in tokenizer()) {
        let bytes = tokenizer.to_bytes();
        let again = Tokenizer::from_bytes(&bytes).unwrap();
        prop_assert_eq!(again.to_bytes(), bytes);
        prop_assert_eq!(again.to_hf_json(), tokenizer.to_hf_json());
        prop_assert_eq!(again.encode(&documents[0]), tokenizer.encode(&documents[0]));
    }

    #[test]
    fn training_depends_on_the_documents_not_on_their_order(documents in vec(text(), 2..6), rotation in 0..6usize) {
        let config = TrainConfig { vocab_size: 300, ..TrainConfig::default() };
        let Ok(expected) = train(&documents, &config) else { return Ok(()) };
        let mut parts = [WordCounts::default(), WordCounts::default()];
        for (i, document) in documents.iter().enumerate() {
            parts[i % 2].add(document).unwrap();
        }
        let mut words = WordCounts::default();
        words.merge(&parts[1]).unwrap();
        words.merge(&parts[0]).unwrap();
        prop_assert_eq!(train_from_words(&words, &config).unwrap().to_bytes(), expected.to_bytes());

        let mut rotated = documents.clone();
        rotated.rotate_left(rotation % documents.len());
        prop_assert_eq!(train(&rotated, &config).unwrap().to_bytes(), expected.to_bytes());
    }

    #[test]
    fn a_changed_byte_is_an_error_or_a_sound_tokenizer((tokenizer, documents) in tokenizer(), at in any::<prop::sample::Index>(), value in any::<u8>()) {
        let mut bytes = tokenizer.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] = value;
        if let Ok(changed) = Tokenizer::from_bytes(&bytes) {
            prop_assert_eq!(changed.to_bytes(), bytes);
            let ids = changed.encode(&documents[0]);
            prop_assert_eq!(changed.decode(&ids).unwrap(), documents[0].as_bytes());
        }
    }
}
