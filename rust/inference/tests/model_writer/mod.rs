//! A writer of small random `model.bin` files, so that no such file is in git. It follows `training/FORMAT.md`, and can leave it at any
//! point while the checksums stay right.
#![allow(dead_code, reason = "each test file uses a part")]

use pocketlm_inference::format::{Architecture, Dtype};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What a test may change of a model; the rest is fixed.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub architecture: Architecture,
    pub n_layer: u32,
    pub n_head: u32,
    pub n_kv_head: u32,
    pub d_model: u32,
    pub d_head: u32,
    pub d_ff: u32,
    pub vocab_size: u32,
    pub ctx_len: u32,
    pub tie_embeddings: bool,
    pub eos_token_id: Option<u32>,
    /// Of the matrices; a block format wants widths of a multiple of 32.
    pub dtype: Dtype,
}

impl Shape {
    /// Odd sizes, grouped queries, heads wider than the model, everything in a few kilobytes.
    pub const TINY: Self = Self {
        architecture: Architecture::Llama,
        n_layer: 2,
        n_head: 4,
        n_kv_head: 2,
        d_model: 5,
        d_head: 6,
        d_ff: 7,
        vocab_size: 11,
        ctx_len: 24,
        tie_embeddings: true,
        eos_token_id: None,
        dtype: Dtype::F32,
    };
}

/// Numbers that look random and are the same on every machine (SplitMix64, Steele et al. 2014).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In [−1, 1), a multiple of 2^−10: exact in f16 too.
    pub fn signed(&mut self) -> f32 {
        (self.next() >> 53) as f32 / 1024.0 - 1.0
    }

    pub fn vec(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.signed()).collect()
    }

    /// About normal (the sum of four uniforms), standard deviation `scale`.
    pub fn normal(&mut self, scale: f32) -> f32 {
        let sum: f32 = (0..4)
            .map(|_| (self.next() >> 40) as f32 / (1 << 24) as f32)
            .sum();
        (sum - 2.0) * 3f32.sqrt() * scale
    }

    pub fn normals(&mut self, len: usize, scale: f32) -> Vec<f32> {
        (0..len).map(|_| self.normal(scale)).collect()
    }

    pub fn below(&mut self, n: u32) -> u32 {
        (self.next() % u64::from(n)) as u32
    }

    pub fn ids(&mut self, len: usize, vocab_size: u32) -> Vec<u32> {
        (0..len).map(|_| self.below(vocab_size)).collect()
    }
}

/// A file under construction: the header without the places of the sections, and the sections.
#[derive(Clone)]
pub struct File {
    pub header: Value,
    /// Tokenizer, golden logits, optional sections, tensors.
    pub sections: Vec<Vec<u8>>,
}

impl File {
    /// A model with uniform weights in [−1, 1) and golden logits of zero.
    pub fn random(shape: Shape, seed: u64) -> Self {
        let mut random = Random(seed);
        Self::filled(shape, |_, sizes| {
            random.vec(sizes.iter().product::<u32>() as usize)
        })
    }

    /// A model with weights of the size that training gives them, so that activations neither vanish nor explode; golden logits of zero.
    pub fn normal(shape: Shape, seed: u64) -> Self {
        let mut random = Random(seed);
        Self::filled(shape, |name, sizes| match *sizes {
            [rows, columns] => {
                let scale = match name.rsplit('.').nth(1) {
                    Some("embed_tokens") => (columns as f32).sqrt(),
                    Some("q_proj" | "k_proj" | "lm_head") => 2.0,
                    _ => 1.0,
                };
                random.normals((rows * columns) as usize, scale / (columns as f32).sqrt())
            }
            _ => (0..sizes[0]).map(|_| 1.0 + random.normal(0.2)).collect(),
        })
    }

    /// A model whose tensors have the values that `values` gives for a name and its sizes.
    fn filled(shape: Shape, mut values: impl FnMut(&str, &[u32]) -> Vec<f32>) -> Self {
        let s = shape;
        let (q, kv) = (s.n_head * s.d_head, s.n_kv_head * s.d_head);
        let mut specs = vec![(
            "model.embed_tokens.weight".to_owned(),
            vec![s.vocab_size, s.d_model],
        )];
        let only = |is_there: bool, name, sizes: Vec<u32>| is_there.then_some((name, sizes));
        let is_fast = s.architecture == Architecture::Fast;
        let qwen2 = s.architecture == Architecture::Qwen2;
        let qwen3 = is_fast || s.architecture == Architecture::Qwen3;
        for i in 0..s.n_layer {
            let rows = [
                Some(("input_layernorm.weight", vec![s.d_model])),
                Some(("self_attn.q_proj.weight", vec![q, s.d_model])),
                only(qwen2, "self_attn.q_proj.bias", vec![q]),
                only(qwen3, "self_attn.q_norm.weight", vec![s.d_head]),
                Some(("self_attn.k_proj.weight", vec![kv, s.d_model])),
                only(qwen2, "self_attn.k_proj.bias", vec![kv]),
                only(qwen3, "self_attn.k_norm.weight", vec![s.d_head]),
                Some(("self_attn.v_proj.weight", vec![kv, s.d_model])),
                only(qwen2, "self_attn.v_proj.bias", vec![kv]),
                Some(("self_attn.o_proj.weight", vec![s.d_model, q])),
                Some(("post_attention_layernorm.weight", vec![s.d_model])),
                only(!is_fast, "mlp.gate_proj.weight", vec![s.d_ff, s.d_model]),
                Some(("mlp.up_proj.weight", vec![s.d_ff, s.d_model])),
                Some(("mlp.down_proj.weight", vec![s.d_model, s.d_ff])),
            ];
            for (part, sizes) in rows.into_iter().flatten() {
                specs.push((format!("model.layers.{i}.{part}"), sizes));
            }
        }
        specs.push(("model.norm.weight".to_owned(), vec![s.d_model]));
        if !s.tie_embeddings {
            specs.push(("lm_head.weight".to_owned(), vec![s.vocab_size, s.d_model]));
        }
        let mut sections = vec![b"tokenizer".to_vec(), vec![0; 4 * s.vocab_size as usize]];
        let mut tensors = Vec::new();
        for (name, sizes) in specs {
            let values = values(&name, &sizes);
            let dtype = if sizes.len() == 2 {
                s.dtype
            } else {
                Dtype::F32
            };
            sections.push(stored(&values, dtype));
            tensors.push(json!({"dtype": dtype.name(), "name": name, "shape": sizes}));
        }
        let mut header = json!({
            "architecture": s.architecture.name(),
            "config": {
                "bos_token_id": 0, "ctx_len": s.ctx_len, "d_ff": s.d_ff, "d_head": s.d_head, "d_model": s.d_model,
                "n_head": s.n_head, "n_kv_head": s.n_kv_head, "n_layer": s.n_layer,
                "norm_eps": 1e-5, "rope_theta": 10000.0, "tie_embeddings": s.tie_embeddings,
                "vocab_size": s.vocab_size,
            },
            "golden": {"ids": [1, 2, 3], "logits": {}},
            "provenance": {"made by": "a test"},
            "sections": [],
            "tensors": tensors,
            "tokenizer": {},
        });
        if is_fast {
            header["config"]["logit_cap"] = json!(2.5);
        }
        if let Some(id) = s.eos_token_id {
            header["config"]["eos_token_id"] = json!(id);
        }
        Self { header, sections }
    }

    /// Add an optional section, which must come after those that are there by its name.
    pub fn add_section(&mut self, name: &str, required: bool, content: &[u8]) {
        let sections = self.header["sections"].as_array_mut().unwrap();
        self.sections.insert(2 + sections.len(), content.to_vec());
        sections.push(json!({"name": name, "required": required}));
    }

    /// The golden answer.
    pub fn set_golden(&mut self, logits: &[f32]) {
        self.sections[1] = logits
            .iter()
            .flat_map(|logit| logit.to_le_bytes())
            .collect();
    }

    /// Fill a tensor with copies of one stored value.
    pub fn fill(&mut self, name: &str, value: &[u8]) {
        let tensors = self.header["tensors"].as_array().unwrap();
        let index = tensors
            .iter()
            .position(|tensor| tensor["name"] == name)
            .expect("the tensor");
        let first = 2 + self.header["sections"].as_array().unwrap().len();
        for chunk in self.sections[first + index].chunks_exact_mut(value.len()) {
            chunk.copy_from_slice(value);
        }
    }

    /// The complete file.
    pub fn bytes(&self) -> Vec<u8> {
        assemble(&self.placed_header(), &self.sections)
    }

    /// The complete file after `change` edited the finished header; its checksum is right again, offsets are as `change` left them.
    pub fn bytes_with_header(&self, change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let mut header = self.placed_header();
        change(&mut header);
        assemble(&header, &self.sections)
    }

    /// Where the sections lie.
    pub fn offsets(&self) -> Vec<usize> {
        let mut header = self.placed_header();
        entries(&mut header)
            .iter()
            .map(|entry| entry["offset"].as_u64().unwrap() as usize)
            .collect()
    }

    fn placed_header(&self) -> Value {
        let mut header = self.header.clone();
        loop {
            let before = header.clone();
            let mut end = 64 + header.to_string().len();
            for (entry, section) in entries(&mut header).into_iter().zip(&self.sections) {
                let offset = end.next_multiple_of(256);
                entry["offset"] = json!(offset);
                entry["nbytes"] = json!(section.len());
                entry["sha256"] = json!(hex(&Sha256::digest(section)));
                end = offset + section.len();
            }
            if header == before {
                return header;
            }
        }
    }
}

fn entries(header: &mut Value) -> Vec<&mut Value> {
    let header = header.as_object_mut().unwrap();
    let (mut golden, mut sections, mut tensors, mut tokenizer) =
        (None, Vec::new(), Vec::new(), None);
    for (key, value) in header.iter_mut() {
        match key.as_str() {
            "golden" => golden = Some(&mut value["logits"]),
            "sections" => sections = value.as_array_mut().unwrap().iter_mut().collect(),
            "tensors" => tensors = value.as_array_mut().unwrap().iter_mut().collect(),
            "tokenizer" => tokenizer = Some(value),
            _ => {}
        }
    }
    [tokenizer.unwrap(), golden.unwrap()]
        .into_iter()
        .chain(sections)
        .chain(tensors)
        .collect()
}

/// Prefix, header and sections as the header says where they are, or one after another where it does not.
fn assemble(header: &Value, sections: &[Vec<u8>]) -> Vec<u8> {
    assemble_text(header.to_string().as_bytes(), sections)
}

/// A file with any header text; sections follow one another.
pub fn assemble_text(text: &[u8], sections: &[Vec<u8>]) -> Vec<u8> {
    let data_offset = (64 + text.len()).next_multiple_of(256);
    let mut body = Vec::new();
    for section in sections {
        body.resize(body.len().next_multiple_of(256), 0);
        body.extend_from_slice(section);
    }
    body.resize(body.len().next_multiple_of(256), 0);
    let mut bytes = prefix(text, (data_offset + body.len()) as u64);
    bytes.extend_from_slice(text);
    bytes.resize(data_offset, 0);
    bytes.extend(body);
    bytes
}

/// The first 64 bytes of a file of `file_nbytes` bytes with this header.
pub fn prefix(text: &[u8], file_nbytes: u64) -> Vec<u8> {
    let mut bytes = b"POCKETLM".to_vec();
    bytes.extend(2u32.to_le_bytes());
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(((64 + text.len()).next_multiple_of(256) as u64).to_le_bytes());
    bytes.extend(file_nbytes.to_le_bytes());
    bytes.extend(Sha256::digest(text));
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The section of a tensor with these values, or with values near them.
pub fn stored(values: &[f32], dtype: Dtype) -> Vec<u8> {
    let f16 = |value: f32| f16_bits(towards_zero(value)).to_le_bytes();
    let (mut quants, mut scales) = (Vec::new(), Vec::new());
    match dtype {
        Dtype::F32 => {
            return values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
        }
        Dtype::F16 => return values.iter().flat_map(|value| f16(*value)).collect(),
        Dtype::Q8_0 | Dtype::Q4_0 => assert!(values.len().is_multiple_of(32)),
    }
    for block in values.chunks_exact(32) {
        let largest = block
            .iter()
            .fold(0.0, |largest: f32, value| largest.max(value.abs()));
        let steps = if dtype == Dtype::Q8_0 { 127.0 } else { 7.0 };
        let scale = towards_zero(largest / steps);
        let quant = |value: &f32| {
            if scale == 0.0 {
                0
            } else {
                (value / scale).round().clamp(-steps, steps) as i8
            }
        };
        let block: Vec<i8> = block.iter().map(quant).collect();
        scales.extend(f16(scale));
        match dtype {
            Dtype::Q8_0 => quants.extend(block.iter().map(|quant| *quant as u8)),
            _ => quants.extend((0..16).map(|j| {
                let [low, high] = [block[j], block[j + 16]].map(|quant| (quant + 8) as u8);
                low | high << 4
            })),
        }
    }
    quants.extend(scales);
    quants
}

/// The nearest value towards zero that binary16 holds as a normal number, or zero. Which rounding a test's weights had does not
/// matter: all backends read the same bits.
fn towards_zero(value: f32) -> f32 {
    if value.abs() < 2f32.powi(-14) {
        0.0
    } else {
        f32::from_bits(value.to_bits() & !0x1fff)
    }
}

/// Binary16 bits of a value that binary16 holds exactly and that is normal or zero.
pub fn f16_bits(value: f32) -> u16 {
    if value == 0.0 {
        return 0;
    }
    let bits = value.to_bits();
    assert_eq!(bits & 0x1fff, 0, "{value} is not exact in f16");
    let exponent = ((bits >> 23) & 0xff) as i32 - 127 + 15;
    assert!((1..31).contains(&exponent), "{value} is not normal in f16");
    ((bits >> 16) & 0x8000) as u16 | ((exponent as u16) << 10) | ((bits >> 13) & 0x3ff) as u16
}
