//! What the GPU tests share: an adapter, and random models of any shape, made when the tests run.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::Arc;

use pocketlm_inference::gpu::{self, Adapter, GpuEngine};
use pocketlm_inference::{Engine, Model};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

pub const INSTALL: &str =
    "apt-get install -y --no-install-recommends mesa-vulkan-drivers libvulkan1";

/// A small fast generator (xorshift64*, Vigna 2016) of repeatable test data.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn below(&mut self, n: u32) -> u32 {
        (((self.next() >> 32) * u64::from(n)) >> 32) as u32
    }

    /// About normal (the sum of four uniforms), standard deviation `scale`.
    pub fn normal(&mut self, scale: f32) -> f32 {
        let sum: f32 = (0..4)
            .map(|_| (self.next() >> 40) as f32 / (1 << 24) as f32)
            .sum();
        (sum - 2.0) * 3f32.sqrt() * scale
    }

    pub fn normals(&mut self, n: usize, scale: f32) -> Vec<f32> {
        (0..n).map(|_| self.normal(scale)).collect()
    }

    pub fn ids(&mut self, n: usize, vocab_size: u32) -> Vec<u32> {
        (0..n).map(|_| self.below(vocab_size)).collect()
    }
}

/// A model's shape, and how it is stored.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub n_layer: u32,
    pub n_head: u32,
    pub n_kv_head: u32,
    pub d_model: u32,
    pub d_head: u32,
    pub d_ff: u32,
    pub vocab_size: u32,
    pub ctx_len: u32,
    pub tied: bool,
    pub f16: bool,
}

/// As small as a model can be; odd everywhere; like the trained ones, in f16.
pub const SHAPES: [Shape; 4] = [
    Shape {
        n_layer: 1,
        n_head: 1,
        n_kv_head: 1,
        d_model: 1,
        d_head: 2,
        d_ff: 1,
        vocab_size: 2,
        ctx_len: 3,
        tied: true,
        f16: false,
    },
    Shape {
        n_layer: 3,
        n_head: 6,
        n_kv_head: 3,
        d_model: 45,
        d_head: 10,
        d_ff: 71,
        vocab_size: 131,
        ctx_len: 90,
        tied: false,
        f16: false,
    },
    Shape {
        n_layer: 2,
        n_head: 4,
        n_kv_head: 1,
        d_model: 64,
        d_head: 16,
        d_ff: 176,
        vocab_size: 257,
        ctx_len: 150,
        tied: true,
        f16: false,
    },
    Shape {
        n_layer: 2,
        n_head: 3,
        n_kv_head: 3,
        d_model: 37,
        d_head: 34,
        d_ff: 93,
        vocab_size: 515,
        ctx_len: 100,
        tied: false,
        f16: true,
    },
];

/// f32 to f16 bits by truncation: which rounding a test's weights had does not matter, as both backends read the same bits.
fn f16_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    let exponent = ((bits >> 23) & 255) as i32 - 127 + 15;
    let sign = ((bits >> 16) & 0x8000) as u16;
    if exponent <= 0 {
        sign
    } else {
        sign | ((exponent as u16) << 10) | ((bits >> 13) & 0x3ff) as u16
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A random model of this shape as a `model.bin`; `golden` are the logits that it claims for the prompt `[0]`.
pub fn model_bytes(shape: Shape, seed: u64, golden: &[f32]) -> Vec<u8> {
    let Shape {
        n_layer,
        n_head,
        n_kv_head,
        d_model,
        d_head,
        d_ff,
        vocab_size,
        ctx_len,
        tied,
        f16,
    } = shape;
    let mut random = Random::new(seed);
    let mut tensors: Vec<(String, Vec<u32>, Vec<u8>)> = Vec::new();
    let mut matrix = |name: String, rows: u32, columns: u32, scale: f32| {
        let values = random.normals((rows * columns) as usize, scale / (columns as f32).sqrt());
        let bytes = if f16 {
            values
                .iter()
                .flat_map(|value| f16_bits(*value).to_le_bytes())
                .collect()
        } else {
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect()
        };
        tensors.push((name, vec![rows, columns], bytes));
    };
    let mut gains = Random::new(seed + 1);
    let mut gain = || -> Vec<u8> {
        (0..d_model)
            .flat_map(|_| (1.0 + gains.normal(0.2)).to_le_bytes())
            .collect()
    };
    let mut names = vec![];
    matrix(
        "model.embed_tokens.weight".into(),
        vocab_size,
        d_model,
        (d_model as f32).sqrt(),
    );
    for i in 0..n_layer {
        let name = |part: &str| format!("model.layers.{i}.{part}.weight");
        names.push((name("input_layernorm"), gain()));
        matrix(name("self_attn.q_proj"), n_head * d_head, d_model, 2.0);
        matrix(name("self_attn.k_proj"), n_kv_head * d_head, d_model, 2.0);
        matrix(name("self_attn.v_proj"), n_kv_head * d_head, d_model, 1.0);
        matrix(name("self_attn.o_proj"), d_model, n_head * d_head, 1.0);
        names.push((name("post_attention_layernorm"), gain()));
        matrix(name("mlp.gate_proj"), d_ff, d_model, 1.0);
        matrix(name("mlp.up_proj"), d_ff, d_model, 1.0);
        matrix(name("mlp.down_proj"), d_model, d_ff, 1.0);
    }
    names.push(("model.norm.weight".into(), gain()));
    if !tied {
        matrix("lm_head.weight".into(), vocab_size, d_model, 2.0);
    }
    // FORMAT.md's order: the gains stand before the matrices that read what they scaled.
    let place = |name: &str| match name {
        "model.embed_tokens.weight" => (0, 0),
        "model.norm.weight" => (2000, 0),
        "lm_head.weight" => (2001, 0),
        _ => {
            let parts: Vec<&str> = name.split('.').collect();
            let order = [
                "input_layernorm",
                "q_proj",
                "k_proj",
                "v_proj",
                "o_proj",
                "post_attention_layernorm",
                "gate_proj",
                "up_proj",
                "down_proj",
            ];
            let part = order
                .iter()
                .position(|part| *part == parts[parts.len() - 2])
                .unwrap();
            (1 + parts[2].parse::<usize>().unwrap(), part)
        }
    };
    tensors.extend(
        names
            .into_iter()
            .map(|(name, bytes)| (name, vec![d_model], bytes)),
    );
    tensors.sort_by_key(|(name, ..)| place(name));

    let golden: Vec<u8> = golden
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let tokenizer = b"opaque".to_vec();
    let header = |data_offset: usize| {
        let mut offset = data_offset;
        let mut section = |bytes: &[u8]| {
            let mut entry = Map::new();
            entry.insert("nbytes".into(), json!(bytes.len()));
            entry.insert("offset".into(), json!(offset));
            entry.insert("sha256".into(), json!(hex(bytes)));
            offset = (offset + bytes.len()).next_multiple_of(256);
            entry
        };
        let mut tokenizer_entry = section(&tokenizer);
        tokenizer_entry.insert("chat_template".into(), Value::Null);
        let logits = section(&golden);
        let tensors: Vec<Value> = tensors
            .iter()
            .map(|(name, shape, bytes)| {
                let mut entry = section(bytes);
                entry.insert("name".into(), json!(name));
                entry.insert("shape".into(), json!(shape));
                entry.insert(
                    "dtype".into(),
                    json!(if f16 && shape.len() == 2 {
                        "f16"
                    } else {
                        "f32"
                    }),
                );
                Value::Object(entry)
            })
            .collect();
        let config = json!({
            "n_layer": n_layer, "n_head": n_head, "n_kv_head": n_kv_head, "d_model": d_model, "d_head": d_head, "d_ff": d_ff,
            "vocab_size": vocab_size, "ctx_len": ctx_len, "rope_theta": 10000.0, "norm_eps": 0.001, "tie_embeddings": tied,
            "bos_token_id": null, "eos_token_id": null,
        });
        let golden = json!({"ids": [0], "logits": logits});
        json!({"config": config, "golden": golden, "provenance": {}, "tensors": tensors, "tokenizer": tokenizer_entry}).to_string()
    };
    // Offsets have more digits in a longer header: the length settles after a few rounds.
    let mut data_offset = 0;
    let mut text = header(data_offset);
    while data_offset != (64 + text.len()).next_multiple_of(256) {
        data_offset = (64 + text.len()).next_multiple_of(256);
        text = header(data_offset);
    }
    let mut body = text.clone().into_bytes();
    body.resize(data_offset - 64, 0);
    for bytes in [&tokenizer, &golden]
        .into_iter()
        .chain(tensors.iter().map(|(_, _, bytes)| bytes))
    {
        body.extend_from_slice(bytes);
        body.resize((64 + body.len()).next_multiple_of(256) - 64, 0);
    }
    let mut file = b"POCKETLM".to_vec();
    file.extend(1u32.to_le_bytes());
    file.extend((text.len() as u32).to_le_bytes());
    file.extend((data_offset as u64).to_le_bytes());
    file.extend((body.len() as u64 + 64).to_le_bytes());
    file.extend(Sha256::digest(text.as_bytes()));
    file.extend(body);
    file
}

/// A random model whose golden logits are those of the CPU backend.
pub fn model(shape: Shape, seed: u64) -> Arc<Model> {
    let parse = |golden: &[f32]| {
        Arc::new(Model::parse(model_bytes(shape, seed, golden)).expect("a valid model.bin"))
    };
    let mut engine =
        Engine::cpu(parse(&vec![0.0; shape.vocab_size as usize])).expect("a CPU engine");
    parse(&pollster::block_on(engine.logits(&[0])).expect("logits"))
}

/// The adapter of this machine. Its absence is a failure, never a reason to skip.
pub fn adapter(model: &Model) -> Adapter {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    pollster::block_on(gpu::request(&instance, model))
        .unwrap_or_else(|error| panic!("{error}. On Debian, install a software driver: {INSTALL}"))
}

pub fn gpu_engine(model: &Arc<Model>) -> GpuEngine {
    let Adapter { device, queue, .. } = adapter(model);
    pollster::block_on(GpuEngine::new(model.clone(), device, queue, |_, _| {}))
        .expect("a GPU engine")
}

/// Compare; a failure names the operation, the index, both values and the largest difference.
pub fn assert_close(op: &str, got: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(got.len(), expected.len(), "{op}: lengths differ");
    let difference = |i: &usize| {
        let difference = (got[*i] - expected[*i]).abs();
        if difference.is_nan() {
            f32::INFINITY
        } else {
            difference
        }
    };
    let Some(worst) = (0..got.len()).max_by(|a, b| difference(a).total_cmp(&difference(b))) else {
        return;
    };
    let (want, have, most) = (expected[worst], got[worst], difference(&worst));
    assert!(
        most <= tolerance,
        "{op} (length {}): at {worst} expected {want}, got {have}; largest difference {most:e}, allowed {tolerance:e}",
        got.len(),
    );
}

/// Fill a tensor with copies of one value and correct the checksums.
pub fn overwrite_tensor(bytes: &mut [u8], name: &str, value: &[u8]) {
    let header_nbytes = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
    let text = String::from_utf8(bytes[64..64 + header_nbytes].to_vec()).unwrap();
    let header: Value = serde_json::from_str(&text).unwrap();
    let entry = header["tensors"]
        .as_array()
        .unwrap()
        .iter()
        .find(|tensor| tensor["name"] == name)
        .expect("the tensor");
    let start = entry["offset"].as_u64().unwrap() as usize;
    let section = start..start + entry["nbytes"].as_u64().unwrap() as usize;
    for chunk in bytes[section.clone()].chunks_exact_mut(value.len()) {
        chunk.copy_from_slice(value);
    }
    let digest = hex(&bytes[section]);
    // Digests are all of one length, so nothing moves.
    let text = text.replace(entry["sha256"].as_str().unwrap(), &digest);
    bytes[64..64 + header_nbytes].copy_from_slice(text.as_bytes());
    bytes[32..64].copy_from_slice(&Sha256::digest(text.as_bytes()));
}
