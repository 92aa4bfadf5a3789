//! Everything that lies in GPU memory: weights, tables, the cache and the activations, allocated and filled once.

use alloc::vec::Vec;

use super::context::Context;
use super::filling::Filling;
use super::kernels::SPANS;
use super::matrices::{self, Dtypes};
use super::step::Step;
use crate::adjustments::{Adjustment, Penalties};
use crate::cache::Cache;
use crate::error::EngineError;
use crate::format::{Config, Dtype, ReadAt};
use crate::limits::{PREFILL_CHUNK, RING};
use crate::model::{Model, Part};
use crate::rope::RopeTable;

/// Memory for logits of several positions at once: all of a chunk for small vocabularies, at least one row for large ones.
const LOGITS_BYTES: u64 = 16 << 20;

/// The weights and the cache of one layer.
#[derive(Clone)]
pub(super) struct Layer {
    pub input_gain: wgpu::Buffer,
    /// q's rows, k's, v's: one binding instead of three keeps `norm_qkv_rope` within 8 storage buffers.
    pub w_qkv: wgpu::Buffer,
    /// q's, k's, v's, where the architecture has them.
    pub qkv_bias: Option<wgpu::Buffer>,
    /// (2, D̂): the queries' norm, the keys', where the architecture has them.
    pub qk_gains: Option<wgpu::Buffer>,
    pub k_cache: wgpu::Buffer,
    pub v_cache: wgpu::Buffer,
    pub w_out: wgpu::Buffer,
    pub post_attention_gain: wgpu::Buffer,
    /// Where the architecture has a gate.
    pub w_gate: Option<wgpu::Buffer>,
    pub w_up: wgpu::Buffer,
    pub w_down: wgpu::Buffer,
}

/// All buffers of a model. Shapes are stated in the kernels' files. A clone is the same buffers.
#[derive(Clone)]
pub(super) struct Buffers {
    pub step: wgpu::Buffer,
    pub ids: wgpu::Buffer,
    pub ring: wgpu::Buffer,
    pub embedding: wgpu::Buffer,
    pub layers: Vec<Layer>,
    pub output_gain: wgpu::Buffer,
    /// `None` where the embedding is the output projection.
    pub w_output: Option<wgpu::Buffer>,
    pub rope: wgpu::Buffer,
    pub x: wgpu::Buffer,
    pub q: wgpu::Buffer,
    pub attended: wgpu::Buffer,
    /// Of attention's splits.
    pub partials: wgpu::Buffer,
    pub hidden: wgpu::Buffer,
    pub logits: wgpu::Buffer,
    /// (SPANS), what `survey_logits` found in each span of ids.
    pub spans: wgpu::Buffer,
    /// (V), keys among which the threshold of sampling lies.
    pub members: wgpu::Buffer,
    /// Of penalties and biases: room for every token of the vocabulary.
    pub adjustments: wgpu::Buffer,
    /// Where ids or logits are copied to be mapped.
    pub readback: wgpu::Buffer,
    /// Tokens of one submission.
    pub chunk: u32,
    /// Rows of `logits`.
    pub logits_rows: u32,
}

/// Sizes in bytes, each computed once, so that what is checked is what is allocated.
struct Sizes {
    chunk: u64,
    logits_rows: u64,
    embedding: u64,
    output: u64,
    w_qkv: u64,
    qkv_bias: u64,
    qk_gains: u64,
    cache: u64,
    w_out: u64,
    w_gate: u64,
    w_down: u64,
    gain: u64,
    rope: u64,
    x: u64,
    q: u64,
    attended: u64,
    partials: u64,
    hidden: u64,
    logits: u64,
    adjustments: u64,
    /// Spans and members together.
    survey: u64,
    readback: u64,
}

/// Bytes of a row of f32 values, padded to whole vec4s.
fn row_bytes(n: u32) -> u64 {
    u64::from(n).next_multiple_of(4) * 4
}

impl Sizes {
    /// `partial_rows`: splits · tokens · heads of attention, at the most.
    fn new(config: &Config, cache: Cache, dtypes: &Dtypes, partial_rows: u32) -> Self {
        let rows = |rows: u32, width: u32, dtype: Dtype| {
            u64::from(rows) * matrices::row_bytes(width, dtype)
        };
        let qkv = config.q_width() + 2 * config.kv_width();
        let [n_head, n_kv_head, ctx_len, vocab_size] = [
            config.n_head,
            config.n_kv_head,
            config.ctx_len,
            config.vocab_size,
        ]
        .map(u64::from);
        let chunk = ctx_len.min(PREFILL_CHUNK as u64);
        let logits_rows = (LOGITS_BYTES / (4 * vocab_size)).clamp(1, chunk);
        let logits = logits_rows * vocab_size * 4;
        // A head lies as two halves, each padded.
        let half = row_bytes(config.d_head / 2);
        let head = 2 * half;
        let cached = match cache {
            Cache::F32 => head,
            Cache::F16 => half,
        };
        let waiting_keys = if config.architecture.has_qk_norm() {
            n_kv_head
        } else {
            0
        };
        Self {
            chunk,
            logits_rows,
            embedding: rows(config.vocab_size, config.d_model, dtypes.embedding),
            output: if config.tie_embeddings {
                0
            } else {
                rows(config.vocab_size, config.d_model, dtypes.output)
            },
            qkv_bias: if config.architecture.has_qkv_bias() {
                row_bytes(qkv)
            } else {
                0
            },
            qk_gains: if config.architecture.has_qk_norm() {
                2 * row_bytes(config.d_head)
            } else {
                0
            },
            w_qkv: rows(qkv, config.d_model, dtypes.qkv),
            cache: n_kv_head * ctx_len * cached,
            w_out: rows(config.d_model, config.q_width(), dtypes.out),
            w_gate: rows(config.d_ff, config.d_model, dtypes.gate_up),
            w_down: rows(config.d_model, config.d_ff, dtypes.down),
            gain: row_bytes(config.d_model),
            rope: ctx_len * u64::from(config.d_head / 2) * 8,
            x: chunk * row_bytes(config.d_model),
            q: chunk * (n_head + waiting_keys) * head,
            attended: chunk * row_bytes(config.q_width()),
            partials: u64::from(partial_rows.max(1)) * (head + 16),
            hidden: chunk * row_bytes(config.d_ff),
            logits,
            adjustments: (size_of::<Penalties>() as u64)
                + vocab_size * size_of::<Adjustment>() as u64,
            survey: u64::from(SPANS) * 16 + vocab_size * 4,
            readback: logits.max(u64::from(RING) * 4),
        }
    }

    /// The buffers that grow with the model, by name.
    fn named(&self) -> [(&'static str, u64); 14] {
        [
            ("the embedding", self.embedding),
            ("the output projection", self.output),
            ("the q, k and v projections of a layer", self.w_qkv),
            ("the keys (or values) of a layer's cache", self.cache),
            ("the attention output projection of a layer", self.w_out),
            ("the gate (or up) projection of a layer", self.w_gate),
            ("the down projection of a layer", self.w_down),
            ("the RoPE table", self.rope),
            ("x", self.x),
            ("q", self.q),
            ("attention's output", self.attended),
            ("the activations of the widest layer", self.hidden),
            ("logits", self.logits),
            ("the adjustments of logits", self.adjustments),
        ]
    }

    /// All bytes that the model takes on the device.
    fn total(&self, config: &Config) -> u64 {
        let layer = self.w_qkv
            + self.qkv_bias
            + self.qk_gains
            + 2 * self.cache
            + self.w_out
            + (1 + u64::from(config.architecture.has_gate())) * self.w_gate
            + self.w_down
            + 2 * self.gain;
        let embeddings = self.embedding + self.output;
        let activations = self.x
            + self.q
            + self.attended
            + self.partials
            + self.hidden
            + self.logits
            + self.adjustments
            + self.survey
            + self.readback;
        embeddings + u64::from(config.n_layer) * layer + self.gain + self.rope + activations
    }
}

/// The largest single buffer that a model needs, in bytes: what the device's limits must allow.
pub fn largest_binding(config: &Config, cache: Cache, dtypes: &Dtypes) -> u64 {
    Sizes::new(config, cache, dtypes, 0)
        .named()
        .into_iter()
        .map(|(_, size)| size)
        .fold(0, u64::max)
}

impl Buffers {
    /// Allocate and fill everything; `progress` is called with the fraction of the layers that are written. The weights are those in
    /// memory, or come from `source`.
    ///
    /// # Errors
    /// [`EngineError::NoAdapter`] where a buffer is larger than the device's limits, naming it; [`EngineError::OutOfMemory`]; those of
    /// [`for_each_part`](crate::weights::for_each_part).
    pub async fn new(
        context: &Context,
        model: &Model,
        source: Option<&dyn ReadAt>,
        cache: Cache,
        partial_rows: u32,
        mut progress: impl FnMut(f32),
    ) -> Result<Self, EngineError> {
        let config = model.config();
        let dtypes = Dtypes::of(model);
        let sizes = Sizes::new(config, cache, &dtypes, partial_rows);
        let limit = context.largest_binding();
        if let Some((name, size)) = sizes.named().into_iter().find(|(_, size)| *size > limit) {
            let reason = alloc::format!(
                "{name} takes {size} bytes, the device's limit for one buffer is {limit}"
            );
            return Err(EngineError::NoAdapter {
                backend: "gpu",
                reason,
            });
        }
        let allocate = |context: &Context| Self::allocate(context, config, &sizes);
        let buffers = context
            .allocating("the model on the GPU", sizes.total(config), allocate)
            .await?;
        let mut filling = Filling::new(context, source);
        buffers
            .fill(&mut filling, model, &dtypes, &mut progress)
            .await?;
        Ok(buffers)
    }

    fn allocate(context: &Context, config: &Config, sizes: &Sizes) -> Self {
        use wgpu::BufferUsages as Usage;
        let filled = |label: &str, size| {
            context.create_buffer(label, size, Usage::STORAGE | Usage::COPY_DST)
        };
        let scratch = |label: &str, size| context.create_buffer(label, size, Usage::STORAGE);
        let copied_from = |label: &str, size| {
            context.create_buffer(label, size, Usage::STORAGE | Usage::COPY_SRC)
        };
        let copied = |label: &str, size| {
            let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
            context.create_buffer(label, size, usage)
        };
        let has_gate = config.architecture.has_gate();
        let layers = (0..config.n_layer)
            .map(|_| Layer {
                input_gain: filled("input_layernorm", sizes.gain),
                w_qkv: filled("w_qkv", sizes.w_qkv),
                qkv_bias: (sizes.qkv_bias > 0).then(|| filled("qkv_bias", sizes.qkv_bias)),
                qk_gains: (sizes.qk_gains > 0).then(|| filled("qk_gains", sizes.qk_gains)),
                k_cache: copied("k_cache", sizes.cache),
                v_cache: copied("v_cache", sizes.cache),
                w_out: filled("o_proj", sizes.w_out),
                post_attention_gain: filled("post_attention_layernorm", sizes.gain),
                w_gate: has_gate.then(|| filled("gate_proj", sizes.w_gate)),
                w_up: filled("up_proj", sizes.w_gate),
                w_down: filled("down_proj", sizes.w_down),
            })
            .collect();
        let step_usage = Usage::UNIFORM | Usage::STORAGE | Usage::COPY_DST;
        Self {
            step: context.create_buffer("step", size_of::<Step>() as u64, step_usage),
            ids: filled("ids", sizes.chunk * 4),
            ring: copied_from("ring", u64::from(RING) * 4),
            embedding: filled("embed_tokens", sizes.embedding),
            layers,
            output_gain: filled("norm", sizes.gain),
            w_output: (!config.tie_embeddings).then(|| filled("lm_head", sizes.output)),
            rope: filled("rope", sizes.rope),
            x: scratch("x", sizes.x),
            q: copied_from("q", sizes.q),
            attended: scratch("attended", sizes.attended),
            partials: scratch("partials", sizes.partials),
            hidden: scratch("hidden", sizes.hidden),
            logits: copied("logits", sizes.logits),
            spans: scratch("spans", u64::from(SPANS) * 16),
            members: scratch("members", u64::from(config.vocab_size) * 4),
            adjustments: filled("adjustments", sizes.adjustments),
            readback: context.create_buffer(
                "readback",
                sizes.readback,
                Usage::MAP_READ | Usage::COPY_DST,
            ),
            chunk: sizes.chunk as u32,
            logits_rows: sizes.logits_rows as u32,
        }
    }

    /// The same weights with a cache and activations of their own.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`].
    pub async fn another(&self, context: &Context) -> Result<Self, EngineError> {
        let mut new = self.clone();
        let needed_bytes = new.written().map(|buffer| buffer.size()).sum();
        let what = "another session on the GPU";
        context
            .allocating(what, needed_bytes, |context| {
                new.written()
                    .for_each(|buffer| *buffer = context.create_like(buffer));
                new
            })
            .await
    }

    /// What a session writes: all but the weights and the table.
    fn written(&mut self) -> impl Iterator<Item = &mut wgpu::Buffer> {
        let caches = self
            .layers
            .iter_mut()
            .flat_map(|layer| [&mut layer.k_cache, &mut layer.v_cache]);
        let others = [
            &mut self.step,
            &mut self.ids,
            &mut self.ring,
            &mut self.x,
            &mut self.q,
            &mut self.attended,
            &mut self.partials,
            &mut self.hidden,
            &mut self.logits,
            &mut self.spans,
            &mut self.members,
            &mut self.adjustments,
            &mut self.readback,
        ];
        caches.chain(others)
    }

    /// What a session knows of the tokens before, in a fixed order.
    pub fn remembered(&self) -> impl Iterator<Item = &wgpu::Buffer> {
        let caches = self
            .layers
            .iter()
            .flat_map(|layer| [&layer.k_cache, &layer.v_cache]);
        caches.chain([&self.logits])
    }

    async fn fill(
        &self,
        filling: &mut Filling<'_>,
        model: &Model,
        dtypes: &Dtypes,
        progress: &mut impl FnMut(f32),
    ) -> Result<(), EngineError> {
        let config = model.config();
        filling.table(&self.rope, &RopeTable::new(config)?);
        let embedding = model.embedding();
        filling
            .matrix(&self.embedding, 0, embedding, dtypes.embedding)
            .await?;
        filling.gain(&self.output_gain, 0, model.output_norm())?;
        if let Some(buffer) = &self.w_output {
            let output = model.output();
            filling.matrix(buffer, 0, output, dtypes.output).await?;
        }
        let row = matrices::row_bytes(config.d_model, dtypes.qkv);
        let key_row = config.q_width();
        let value_row = key_row + config.kv_width();
        for (index, layer) in self.layers.iter().enumerate() {
            progress(index as f32 / self.layers.len() as f32);
            let tensor = |part| model.layer_tensor(index, part);
            let gains = [
                (Some(&layer.input_gain), Part::InputNorm, 0),
                (layer.qkv_bias.as_ref(), Part::QueryBias, 0),
                (
                    layer.qkv_bias.as_ref(),
                    Part::KeyBias,
                    u64::from(key_row) * 4,
                ),
                (
                    layer.qkv_bias.as_ref(),
                    Part::ValueBias,
                    u64::from(value_row) * 4,
                ),
                (layer.qk_gains.as_ref(), Part::QueryNorm, 0),
                (
                    layer.qk_gains.as_ref(),
                    Part::KeyNorm,
                    row_bytes(config.d_head),
                ),
                (Some(&layer.post_attention_gain), Part::PostAttentionNorm, 0),
            ];
            for (buffer, part, offset) in gains {
                if let Some((buffer, tensor)) = buffer.zip(tensor(part)) {
                    filling.gain(buffer, offset, tensor)?;
                }
            }
            let matrices = [
                (Some(&layer.w_qkv), Part::Query, 0, dtypes.qkv),
                (
                    Some(&layer.w_qkv),
                    Part::Key,
                    u64::from(key_row) * row,
                    dtypes.qkv,
                ),
                (
                    Some(&layer.w_qkv),
                    Part::Value,
                    u64::from(value_row) * row,
                    dtypes.qkv,
                ),
                (Some(&layer.w_out), Part::Output, 0, dtypes.out),
                (layer.w_gate.as_ref(), Part::Gate, 0, dtypes.gate_up),
                (Some(&layer.w_up), Part::Up, 0, dtypes.gate_up),
                (Some(&layer.w_down), Part::Down, 0, dtypes.down),
            ];
            for (buffer, part, offset, dtype) in matrices {
                if let Some(buffer) = buffer {
                    let tensor = tensor(part).expect("every architecture has this part");
                    filling.matrix(buffer, offset, tensor, dtype).await?;
                }
            }
        }
        Ok(())
    }
}
