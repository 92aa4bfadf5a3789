//! `model.bin`, version 1: bytes in, a [`Model`] out. The specification is `training/FORMAT.md`; this is its one reader in Rust.
//!
//! Checks are made in the order of its §4, and nothing is allocated from a size that was not compared with the file's length.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

mod bytes;
mod canonical;
mod check;
mod config;
mod header;
mod layout;

pub use config::Config;
pub use layout::Dtype;

use crate::error::FormatError;
use crate::weights::Weights;
use bytes::Bytes;
use check::{
    Prefix, check_digest, check_finite, check_golden_ids, check_layout, check_padding,
    check_sections, check_tensor_list,
};
use header::Header;
use layout::TENSORS_A_LAYER;

/// A checked `model.bin`. It owns the file's bytes; everything else is a view of them.
pub struct Model {
    bytes: Bytes,
    config: Config,
    header: Range<usize>,
    tokenizer: Range<usize>,
    chat_template: Option<String>,
    golden_ids: Vec<u32>,
    golden_logits: Range<usize>,
    tensors: Vec<TensorEntryChecked>,
}

struct TensorEntryChecked {
    name: String,
    dtype: Dtype,
    shape: Vec<u64>,
    range: Range<usize>,
}

/// A tensor of the file.
#[derive(Debug, Clone, Copy)]
pub struct TensorView<'a> {
    /// Hugging Face's name.
    pub name: &'a str,
    /// How the values are stored.
    pub dtype: Dtype,
    /// Rows, then columns; a gain has one dimension.
    pub shape: &'a [u64],
    /// The values' bytes, little-endian; their address is a multiple of 4.
    pub bytes: &'a [u8],
}

impl<'a> TensorView<'a> {
    /// The values, in place.
    pub fn weights(&self) -> Weights<'a> {
        match self.dtype {
            Dtype::F32 => Weights::F32(bytemuck::cast_slice(self.bytes)),
            Dtype::F16 => Weights::F16(bytemuck::cast_slice(self.bytes)),
        }
    }

    /// The values of an f32 tensor.
    fn f32_values(&self) -> &'a [f32] {
        bytemuck::cast_slice(self.bytes)
    }
}

/// A prompt and torch's logits for its last position, for an engine to check itself.
#[derive(Debug, Clone, Copy)]
pub struct Golden<'a> {
    /// Token ids, 1 to 64.
    pub ids: &'a [u32],
    /// (V)
    pub logits: &'a [f32],
}

/// The weights of one decoder layer.
#[derive(Debug, Clone, Copy)]
pub struct LayerWeights<'a> {
    /// (C)
    pub input_layernorm: &'a [f32],
    /// (H·D, C)
    pub q_proj: Weights<'a>,
    /// (G·D, C)
    pub k_proj: Weights<'a>,
    /// (G·D, C)
    pub v_proj: Weights<'a>,
    /// (C, H·D)
    pub o_proj: Weights<'a>,
    /// (C)
    pub post_attention_layernorm: &'a [f32],
    /// (F, C)
    pub gate_proj: Weights<'a>,
    /// (F, C)
    pub up_proj: Weights<'a>,
    /// (C, F)
    pub down_proj: Weights<'a>,
}

impl Model {
    /// Check every rule of `training/FORMAT.md` and take the bytes over.
    ///
    /// # Errors
    /// [`FormatError`], the first of §4's list that applies.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, FormatError> {
        let prefix = Prefix::parse(&bytes)?;
        let json = &bytes[prefix.header()];
        check_digest(json, &prefix.header_sha256, |expected, got| {
            FormatError::HeaderChecksum { expected, got }
        })?;
        let header = Header::parse(json)?;
        header.config.check()?;
        check_golden_ids(&header)?;
        let tensors = check_tensor_list(&header)?;
        let bytes = Bytes::new(bytes)?;
        let data = bytes.as_slice();
        let sections = check_layout(&prefix, &header, &tensors)?;
        check_padding(data, &prefix, &sections)?;
        check_sections(data, &sections)?;
        check_finite(data, &sections)?;
        let mut ranges = sections.iter().map(|section| section.range.clone());
        // check_layout lists the tokenizer, the golden logits and then every tensor.
        let tokenizer = ranges.next().unwrap_or_default();
        let golden_logits = ranges.next().unwrap_or_default();
        let checked = tensors
            .into_iter()
            .zip(ranges)
            .map(|(tensor, range)| TensorEntryChecked {
                name: tensor.entry.name.clone(),
                dtype: tensor.dtype,
                shape: tensor.entry.shape.clone(),
                range,
            });
        Ok(Self {
            header: prefix.header(),
            tokenizer,
            golden_logits,
            tensors: checked.collect(),
            config: header.config,
            chat_template: header.chat_template,
            golden_ids: header.golden_ids,
            bytes,
        })
    }

    /// The hyperparameters.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The JSON header as it stands in the file.
    pub fn header_json(&self) -> &str {
        core::str::from_utf8(&self.bytes.as_slice()[self.header.clone()])
            .expect("the header was checked to be ASCII")
    }

    /// The tokenizer's own flat form, opaque to the engine.
    pub fn tokenizer_bytes(&self) -> &[u8] {
        &self.bytes.as_slice()[self.tokenizer.clone()]
    }

    /// The chat template, where there is one.
    pub fn chat_template(&self) -> Option<&str> {
        self.chat_template.as_deref()
    }

    /// The golden prompt and its logits.
    pub fn golden(&self) -> Golden<'_> {
        let logits = bytemuck::cast_slice(&self.bytes.as_slice()[self.golden_logits.clone()]);
        Golden {
            ids: &self.golden_ids,
            logits,
        }
    }

    /// Length of the file.
    pub fn file_nbytes(&self) -> usize {
        self.bytes.as_slice().len()
    }

    /// All tensors, in the file's order.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = TensorView<'_>> {
        (0..self.tensors.len()).map(|index| self.view(index))
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<TensorView<'_>> {
        self.tensors().find(|tensor| tensor.name == name)
    }

    /// The dtype of all matrices (gains are f32 in every file).
    pub fn weight_dtype(&self) -> Dtype {
        self.tensors[0].dtype
    }

    /// `model.embed_tokens.weight`: (V, C).
    pub fn embedding(&self) -> Weights<'_> {
        self.view(0).weights()
    }

    /// The weights of layer `index`, which is below `n_layer`.
    pub fn layer(&self, index: usize) -> LayerWeights<'_> {
        assert!(index < self.config.n_layer as usize);
        let first = 1 + index * TENSORS_A_LAYER;
        LayerWeights {
            input_layernorm: self.view(first).f32_values(),
            q_proj: self.view(first + 1).weights(),
            k_proj: self.view(first + 2).weights(),
            v_proj: self.view(first + 3).weights(),
            o_proj: self.view(first + 4).weights(),
            post_attention_layernorm: self.view(first + 5).f32_values(),
            gate_proj: self.view(first + 6).weights(),
            up_proj: self.view(first + 7).weights(),
            down_proj: self.view(first + 8).weights(),
        }
    }

    /// The gain of the last norm, (C), and the output projection, (V, C): `lm_head.weight`, or the embedding where they are tied.
    pub fn output(&self) -> (&[f32], Weights<'_>) {
        let norm = 1 + self.config.n_layer as usize * TENSORS_A_LAYER;
        let projection = if self.config.tie_embeddings {
            0
        } else {
            norm + 1
        };
        (
            self.view(norm).f32_values(),
            self.view(projection).weights(),
        )
    }

    fn view(&self, index: usize) -> TensorView<'_> {
        let tensor = &self.tensors[index];
        let bytes = &self.bytes.as_slice()[tensor.range.clone()];
        TensorView {
            name: &tensor.name,
            dtype: tensor.dtype,
            shape: &tensor.shape,
            bytes,
        }
    }
}
