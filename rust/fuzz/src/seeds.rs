//! The first inputs of each corpus, made in code: no such file is in git.

use pocketlm_inference::format::{Architecture, Dtype};
use pocketlm_tokenizer::split::Split;
use pocketlm_tokenizer::train::{TrainConfig, train};
use serde_json::json;

use crate::model_writer::{File, Shape};

const TEXT: &str = "To be, or not to be, that is the question: whether 'tis nobler in the mind to suffer é ß 日本 🙂 2026";

/// A small model in a block format, with optional sections of every kind.
pub fn quantised_file(dtype: Dtype) -> File {
    let mut file = File::random(
        Shape {
            n_layer: 1,
            n_head: 1,
            n_kv_head: 1,
            d_model: 32,
            d_head: 32,
            d_ff: 32,
            dtype,
            ..Shape::TINY
        },
        3,
    );
    file.add_section("chat_template", true, "é".repeat(300).as_bytes());
    file.add_section("zzz", false, &[0xff; 40]);
    file
}

/// A small model of a family whose header is followed by much padding, so that a longer header moves no section.
pub fn model_file(architecture: Architecture) -> File {
    let mut file = File::random(
        Shape {
            architecture,
            n_layer: 1,
            ..Shape::TINY
        },
        1,
    );
    file.add_section("chat_template", false, b"{{x}}");
    let mut padding = String::new();
    loop {
        let bytes = file.bytes();
        let header_nbytes = u32::from_le_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]);
        if (64 + header_nbytes) % 256 < 64 {
            return file;
        }
        padding.push('x');
        file.header["provenance"]["padding"] = json!(padding);
    }
}

const PATTERN: &str = r"(?i:'s|'t)|\w+(?=,)|\p{L}{1,3}|\p{N}+|\s+(?!\S)";

fn tokenizers() -> Vec<Vec<u8>> {
    let tokenizer = |vocab_size, specials: &[&str]| {
        let special_tokens = specials.iter().map(|text| (*text).to_owned()).collect();
        let config = TrainConfig {
            vocab_size,
            special_tokens,
            ..TrainConfig::default()
        };
        train([TEXT], &config)
            .expect("the text is enough")
            .to_bytes()
    };
    let by_pattern = TrainConfig {
        vocab_size: 290,
        split: Split::regex(PATTERN).expect("a sound pattern"),
        ..TrainConfig::default()
    };
    let by_pattern = train([TEXT], &by_pattern).expect("the text is enough");
    vec![
        tokenizer(257, &["<|endoftext|>"]),
        tokenizer(290, &["<|endoftext|>", "<|end", "🙂"]),
        tokenizer(300, &[]),
        by_pattern.to_bytes(),
    ]
}

/// The inputs that a target begins with.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "model_file" => vec![
            model_file(Architecture::Llama).bytes(),
            model_file(Architecture::Fast).bytes(),
            File::random(
                Shape {
                    tie_embeddings: false,
                    dtype: Dtype::F16,
                    eos_token_id: Some(3),
                    ..Shape::TINY
                },
                2,
            )
            .bytes(),
            quantised_file(Dtype::Q8_0).bytes(),
            quantised_file(Dtype::Q4_0).bytes(),
        ],
        "model_header" => [Architecture::Llama, Architecture::Fast]
            .map(|architecture| {
                let bytes = model_file(architecture).bytes();
                let header_nbytes =
                    u32::from_le_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]) as usize;
                bytes[64..64 + header_nbytes].to_vec()
            })
            .into(),
        "tokenizer_file" => tokenizers(),
        "regex_split" => [
            PATTERN,
            r"(a*)*\1c|a",
            r"^.*$|\n",
            r"(?=\p{Lu})",
            r"[]\w-]++|[[a-z]&&[^b]](?<=b)",
            r"(?>\s+)(?!\w)|\b|\z|(?i)x(?-i:Y)",
        ]
        .map(|pattern| [pattern.as_bytes(), b"\0", TEXT.as_bytes()].concat())
        .into(),
        "tokenizer_text" => vec![
            TEXT.into(),
            " \n\t 'll've \u{85}\u{3000}<|endoftext|><|end<|".into(),
            vec![0xe2, 0x82, 0xff, 0xf0, 0x9f],
        ],
        other => panic!("there is no target {other}"),
    }
}
