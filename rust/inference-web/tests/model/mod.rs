//! Small models with a real tokenizer, made when the tests run.

use alloc::sync::Arc;

use pocketlm_inference::format::{Architecture, Dtype};
use pocketlm_inference::{Engine, Model};
use pocketlm_tokenizer::Tokenizer;
use pocketlm_tokenizer::train::{TrainConfig, train};
use serde_json::json;

#[path = "../../../inference/tests/model_writer/mod.rs"]
mod model_writer;

use model_writer::{File, Shape};

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

/// One layer, random weights, golden logits of zero, and a tokenizer.
pub fn bytes(options: &Options) -> Vec<u8> {
    let shape = Shape {
        architecture: Architecture::Llama,
        n_layer: 1,
        n_head: 2,
        n_kv_head: 1,
        d_model: 8,
        d_head: 4,
        d_ff: 12,
        vocab_size: options.rows,
        ctx_len: 32,
        tie_embeddings: true,
        eos_token_id: None,
        dtype: Dtype::F32,
    };
    let mut file = File::random(shape, 1);
    file.sections[0] = tokenizer(options.tokens).to_bytes();
    match options.bos {
        Some(id) => file.header["config"]["bos_token_id"] = json!(id),
        None => drop(
            file.header["config"]
                .as_object_mut()
                .expect("an object")
                .remove("bos_token_id"),
        ),
    }
    file.header["golden"]["ids"] = json!(options.golden_ids);
    file.bytes()
}
