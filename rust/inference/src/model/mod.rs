//! A [`Model`]: a checked file whose tensors are found by the part they play.

use alloc::vec::Vec;

use crate::error::{EngineError, FormatError};
use crate::format::{Config, Dtype, File, ReadAt, TensorView};

/// The parts that a layer's tensors play; which of them there are depends on the architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// (C)
    InputNorm,
    /// (H·D, C)
    Query,
    /// (H·D)
    QueryBias,
    /// (D)
    QueryNorm,
    /// (G·D, C)
    Key,
    /// (G·D)
    KeyBias,
    /// (D)
    KeyNorm,
    /// (G·D, C)
    Value,
    /// (G·D)
    ValueBias,
    /// (C, H·D)
    Output,
    /// (C)
    PostAttentionNorm,
    /// (F, C)
    Gate,
    /// (F, C)
    Up,
    /// (C, F)
    Down,
}

/// The name of each part, in the order of [`Part`].
const NAMES: [&str; 14] = [
    "input_layernorm.weight",
    "self_attn.q_proj.weight",
    "self_attn.q_proj.bias",
    "self_attn.q_norm.weight",
    "self_attn.k_proj.weight",
    "self_attn.k_proj.bias",
    "self_attn.k_norm.weight",
    "self_attn.v_proj.weight",
    "self_attn.v_proj.bias",
    "self_attn.o_proj.weight",
    "post_attention_layernorm.weight",
    "mlp.gate_proj.weight",
    "mlp.up_proj.weight",
    "mlp.down_proj.weight",
];

/// A prompt and torch's logits for its last position, for an engine to check itself.
#[derive(Debug, Clone, Copy)]
pub struct Golden<'a> {
    /// Token ids, 1 to 64.
    pub ids: &'a [u32],
    /// (V)
    pub logits: &'a [f32],
}

/// A checked `model.bin`, ready for an engine; or its head, where the weights stay outside of memory.
pub struct Model {
    file: File,
    /// Place of each part among a layer's tensors.
    parts: [Option<usize>; NAMES.len()],
}

impl Model {
    /// Check every rule of `training/FORMAT.md` and take the bytes over.
    ///
    /// # Errors
    /// [`FormatError`], the first of §4's list that applies.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, FormatError> {
        File::parse(bytes).map(Self::of)
    }

    /// Check and keep what stands before the first tensor of a file of `file_nbytes` bytes: what a GPU needs of a model whose weights it
    /// reads straight from `source` ([`Engine::gpu_from`](crate::Engine::gpu_from)).
    ///
    /// # Errors
    /// As [`parse`](Self::parse), as far as it was read; [`EngineError::Unreadable`], [`EngineError::OutOfMemory`].
    pub fn open(source: &dyn ReadAt, file_nbytes: u64) -> Result<Self, EngineError> {
        File::open(source, file_nbytes).map(Self::of)
    }

    fn of(file: File) -> Self {
        let architecture = file.layout().config.architecture;
        let parts = NAMES.map(|name| architecture.place_in_layer(name));
        Self { file, parts }
    }

    /// Check that the weights are in memory: that the model was parsed, not opened.
    pub(crate) fn check_whole(&self) -> Result<(), EngineError> {
        if self.file.is_whole() {
            return Ok(());
        }
        Err(EngineError::NotWhole {
            needed_bytes: self.file_nbytes(),
        })
    }

    /// The hyperparameters.
    pub fn config(&self) -> &Config {
        &self.file.layout().config
    }

    /// The JSON header as it stands in the file.
    pub fn header_json(&self) -> &str {
        self.file.header_json()
    }

    /// The tokenizer's own flat form, opaque to the engine.
    pub fn tokenizer_bytes(&self) -> &[u8] {
        self.file.section(&self.file.layout().tokenizer)
    }

    /// The chat template, where there is one.
    pub fn chat_template(&self) -> Option<&str> {
        self.file.chat_template()
    }

    /// The bytes of an optional section, by its name.
    pub fn section(&self, name: &str) -> Option<&[u8]> {
        self.file.optional(name)
    }

    /// The golden prompt and its logits.
    pub fn golden(&self) -> Golden<'_> {
        let layout = self.file.layout();
        Golden {
            ids: &layout.golden_ids,
            logits: bytemuck::cast_slice(self.file.section(&layout.golden_logits)),
        }
    }

    /// Length of the file.
    pub fn file_nbytes(&self) -> u64 {
        self.file.layout().file_nbytes
    }

    /// All tensors, in the file's order.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = TensorView<'_>> {
        self.file.tensors()
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<TensorView<'_>> {
        self.tensors().find(|tensor| tensor.name == name)
    }

    /// The dtype of the embedding, which is that of all matrices unless the file mixes them.
    pub fn weight_dtype(&self) -> Dtype {
        self.embedding().dtype
    }

    /// `model.embed_tokens.weight`: (V, C).
    pub fn embedding(&self) -> TensorView<'_> {
        self.file.tensor(0)
    }

    /// The tensor of layer `index`, which is below `n_layer`, that plays `part`; `None` where the architecture has none.
    pub fn layer_tensor(&self, index: usize, part: Part) -> Option<TensorView<'_>> {
        assert!(index < self.config().n_layer as usize);
        let place = self.parts[part as usize]?;
        let first = 1 + index * self.config().architecture.tensors_a_layer();
        Some(self.file.tensor(first + place))
    }

    /// The gain of the last norm: (C).
    pub fn output_norm(&self) -> TensorView<'_> {
        self.file.tensor(self.output_norm_index())
    }

    /// The output projection, (V, C): `lm_head.weight`, or the embedding where they are tied.
    pub fn output(&self) -> TensorView<'_> {
        if self.config().tie_embeddings {
            self.embedding()
        } else {
            self.file.tensor(self.output_norm_index() + 1)
        }
    }

    fn output_norm_index(&self) -> usize {
        let config = self.config();
        1 + config.n_layer as usize * config.architecture.tensors_a_layer()
    }
}
