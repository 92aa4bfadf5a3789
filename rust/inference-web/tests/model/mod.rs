//! Small models with a real tokenizer, made when the tests run.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use pocketlm_inference::{Engine, Model};
use pocketlm_tokenizer::Tokenizer;
use pocketlm_tokenizer::train::{TrainConfig, train};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const TEXT: &str =
    "To be, or not to be, that is the question: whether 'tis nobler in the mind to suffer é ß 日本";

/// What a test varies.
pub struct Options {
    /// Tokens of the tokenizer.
    pub tokens: u32,
    /// Rows of the embedding.
    pub rows: u32,
    /// The token that begins a document.
    pub bos: Option<u32>,
    pub golden_ids: Vec<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tokens: 280,
            rows: 280,
            bos: Some(0),
            golden_ids: vec![0, 60, 61],
        }
    }
}

pub fn tokenizer(tokens: u32) -> Tokenizer {
    let config = TrainConfig {
        vocab_size: tokens,
        ..TrainConfig::default()
    };
    train([TEXT], &config).expect("the text is enough for so many tokens")
}

/// The model on the CPU.
pub fn engine(options: &Options) -> Engine {
    let model = Model::parse(bytes(options)).expect("a sound file");
    Engine::cpu(Arc::new(model)).expect("memory")
}

/// A file as `training/FORMAT.md` describes it: one layer, random weights, golden logits of zero.
pub fn bytes(options: &Options) -> Vec<u8> {
    let (c, f, rows) = (8u32, 12u32, options.rows);
    let layer = |name: &str| format!("model.layers.0.{name}.weight");
    let shapes = [
        ("model.embed_tokens.weight".into(), vec![rows, c]),
        (layer("input_layernorm"), vec![c]),
        (layer("self_attn.q_proj"), vec![8, c]),
        (layer("self_attn.k_proj"), vec![4, c]),
        (layer("self_attn.v_proj"), vec![4, c]),
        (layer("self_attn.o_proj"), vec![c, 8]),
        (layer("post_attention_layernorm"), vec![c]),
        (layer("mlp.gate_proj"), vec![f, c]),
        (layer("mlp.up_proj"), vec![f, c]),
        (layer("mlp.down_proj"), vec![c, f]),
        ("model.norm.weight".into(), vec![c]),
    ];
    let mut sections = vec![
        tokenizer(options.tokens).to_bytes(),
        vec![0; 4 * rows as usize],
    ];
    let mut random = 1u32;
    for (_, shape) in &shapes {
        let weights = (0..shape.iter().product()).map(|_| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 8) as f32 / (1 << 23) as f32 - 1.0
        });
        sections.push(weights.flat_map(f32::to_le_bytes).collect());
    }
    layout(options, &shapes, &sections)
}

fn layout(options: &Options, shapes: &[(String, Vec<u32>)], sections: &[Vec<u8>]) -> Vec<u8> {
    // The offsets stand in the header, whose length they change: lay out until it settles.
    let mut data_offset = 256;
    loop {
        let header = header(options, shapes, sections, data_offset);
        let needed = align(64 + header.len());
        if needed == data_offset {
            return file(&header, sections, data_offset);
        }
        data_offset = needed;
    }
}

fn header(
    options: &Options,
    shapes: &[(String, Vec<u32>)],
    sections: &[Vec<u8>],
    data_offset: usize,
) -> String {
    let mut offset = data_offset;
    let mut places = sections.iter().map(|section| {
        let place = (offset, section.len(), sha256(section));
        offset = align(offset + section.len());
        place
    });
    let (at, nbytes, digest) = places.next().expect("the tokenizer");
    let tokenizer =
        json!({"chat_template": null, "nbytes": nbytes, "offset": at, "sha256": digest});
    let (at, nbytes, digest) = places.next().expect("the golden logits");
    let logits = json!({"nbytes": nbytes, "offset": at, "sha256": digest});
    let tensors: Vec<Value> = shapes.iter().zip(places).map(|((name, shape), (at, nbytes, digest))| {
        json!({"dtype": "f32", "name": name, "nbytes": nbytes, "offset": at, "sha256": digest, "shape": shape})
    }).collect();
    let config = json!({
        "bos_token_id": options.bos, "ctx_len": 32, "d_ff": 12, "d_head": 4, "d_model": 8, "eos_token_id": null,
        "n_head": 2, "n_kv_head": 1, "n_layer": 1, "norm_eps": 1e-5, "rope_theta": 10000.0,
        "tie_embeddings": true, "vocab_size": options.rows,
    });
    let header = BTreeMap::from([
        ("config", config),
        (
            "golden",
            json!({"ids": options.golden_ids, "logits": logits}),
        ),
        ("provenance", json!({})),
        ("tensors", json!(tensors)),
        ("tokenizer", tokenizer),
    ]);
    // Python writes 1e-05 where Rust writes 1e-5, and the file's form is Python's.
    serde_json::to_string(&header)
        .expect("plain data")
        .replace("1e-5", "1e-05")
}

fn file(header: &str, sections: &[Vec<u8>], data_offset: usize) -> Vec<u8> {
    let file_nbytes = sections
        .iter()
        .fold(data_offset, |offset, section| align(offset + section.len()));
    let mut file = b"POCKETLM".to_vec();
    file.extend(1u32.to_le_bytes());
    file.extend((header.len() as u32).to_le_bytes());
    file.extend((data_offset as u64).to_le_bytes());
    file.extend((file_nbytes as u64).to_le_bytes());
    file.extend(Sha256::digest(header));
    file.extend(header.as_bytes());
    for section in sections {
        file.resize(align(file.len()), 0);
        file.extend(section);
    }
    file.resize(file_nbytes, 0);
    file
}

fn align(n: usize) -> usize {
    n.next_multiple_of(256)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
