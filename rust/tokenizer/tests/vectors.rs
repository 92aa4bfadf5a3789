//! The vectors that the Python tests read as well (`vectors/`), with a writer of the flat form that is not the crate's.

mod hostile;

use hostile::Flat;
use pocketlm_tokenizer::Tokenizer;
use serde::Deserialize;
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
struct Vectors {
    tokenizers: Vec<Vector>,
    flaws: Vec<Flaw>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    split: String,
    normalizer: u32,
    merge_order: u32,
    ignore_merges: u32,
    tokens: Vec<String>,
    added: Vec<(u32, u32)>,
    merges: Vec<[u32; 3]>,
    encode: Vec<(String, bool, Vec<u32>)>,
    sha256: String,
}

#[derive(Deserialize)]
struct Flaw {
    what: String,
    offset: isize,
    bytes: String,
    error: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("vectors/flat_form.json")).unwrap()
}

fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn flat(vector: &Vector) -> Vec<u8> {
    let tokens = vector.tokens.iter().flat_map(|token| match token.as_str() {
        "00..ff" => (0..=255).map(|byte| vec![byte]).collect(),
        token => vec![hex(token)],
    });
    let flat = Flat {
        ignore_merges: vector.ignore_merges,
        normalizer: vector.normalizer,
        merge_order: vector.merge_order,
        tokens: tokens.collect(),
        added: vector.added.clone(),
        merges: vector.merges.clone(),
        split: vector.split.clone(),
    };
    flat.bytes()
}

#[test]
fn the_flat_form_of_each_is_as_specified() {
    for vector in vectors().tokenizers {
        let bytes = flat(&vector);
        let digest = Sha256::digest(&bytes);
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, vector.sha256, "{}", vector.name);
        let tokenizer = hostile::read(&bytes).unwrap();
        for (text, special, ids) in vector.encode {
            let got = match special {
                true => tokenizer.encode_with_special(&text),
                false => tokenizer.encode(&text),
            };
            assert_eq!(got, ids, "{}: {text:?}", vector.name);
        }
    }
}

#[test]
fn each_flaw_is_named() {
    let Vectors { tokenizers, flaws } = vectors();
    let sound = flat(&tokenizers[0]);
    for Flaw {
        what,
        offset,
        bytes,
        error,
    } in flaws
    {
        let mut data = sound.clone();
        let at = offset.rem_euclid(data.len() as isize) as usize;
        data.splice(at..at + bytes.len() / 2, hex(&bytes));
        let got = Tokenizer::from_bytes(&data).expect_err(&what);
        assert!(format!("{got:?}").starts_with(&error), "{what}: {got:?}");
    }
}
