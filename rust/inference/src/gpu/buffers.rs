//! Everything that lies in GPU memory: weights, tables, the cache and the activations, allocated and filled once.

use alloc::borrow::Cow;
use alloc::vec;
use alloc::vec::Vec;

use super::context::Context;
use super::step::Step;
use crate::error::EngineError;
use crate::format::{Config, Dtype};
use crate::limits::{PREFILL_CHUNK, RING};
use crate::model::Model;
use crate::rope::RopeTable;
use crate::weights::{LayerWeights, Weights, gain};

/// Memory for logits of several positions at once: all of a chunk for small vocabularies, at least one row for large ones.
const LOGITS_BYTES: u64 = 16 << 20;

/// The weights and the cache of one layer.
pub(super) struct Layer {
    pub input_gain: wgpu::Buffer,
    /// q's rows, k's, v's: one binding instead of three keeps `norm_qkv_rope` within 8 storage buffers.
    pub w_qkv: wgpu::Buffer,
    pub k_cache: wgpu::Buffer,
    pub v_cache: wgpu::Buffer,
    pub w_out: wgpu::Buffer,
    pub post_attention_gain: wgpu::Buffer,
    pub w_gate: wgpu::Buffer,
    pub w_up: wgpu::Buffer,
    pub w_down: wgpu::Buffer,
}

/// All buffers of a model. Shapes are stated in the kernels' files.
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
    pub hidden: wgpu::Buffer,
    pub logits: wgpu::Buffer,
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
    dtype: Dtype,
    embedding: u64,
    w_qkv: u64,
    cache: u64,
    w_out: u64,
    w_gate: u64,
    w_down: u64,
    gain: u64,
    rope: u64,
    x: u64,
    q: u64,
    attended: u64,
    hidden: u64,
    logits: u64,
    readback: u64,
}

/// Bytes of a row of f32 values, padded to whole vec4s.
fn row_bytes(n: u32) -> u64 {
    u64::from(n).next_multiple_of(4) * 4
}

/// Bytes of a row of weights, padded to whole vec4<u32>s.
fn weight_row_bytes(n: u32, dtype: Dtype) -> u64 {
    dtype.nbytes(u64::from(n)).next_multiple_of(16)
}

impl Sizes {
    fn new(config: &Config, dtype: Dtype) -> Self {
        let rows = |rows: u32, width: u32| u64::from(rows) * weight_row_bytes(width, dtype);
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
        let head = row_bytes(config.d_head);
        Self {
            chunk,
            logits_rows,
            dtype,
            embedding: rows(config.vocab_size, config.d_model),
            w_qkv: rows(config.q_width() + 2 * config.kv_width(), config.d_model),
            cache: n_kv_head * ctx_len * head,
            w_out: rows(config.d_model, config.q_width()),
            w_gate: rows(config.d_ff, config.d_model),
            w_down: rows(config.d_model, config.d_ff),
            gain: row_bytes(config.d_model),
            rope: ctx_len * u64::from(config.d_head / 2) * 8,
            x: chunk * row_bytes(config.d_model),
            q: chunk * n_head * head,
            attended: chunk * row_bytes(config.q_width()),
            hidden: chunk * row_bytes(config.d_ff),
            logits,
            readback: logits.max(u64::from(RING) * 4),
        }
    }

    /// The buffers that grow with the model, by name.
    fn named(&self) -> [(&'static str, u64); 12] {
        [
            ("the embedding", self.embedding),
            ("the q, k and v projections of a layer", self.w_qkv),
            ("the keys (or values) of a layer's cache", self.cache),
            ("the attention output projection of a layer", self.w_out),
            ("the gate (or up) projection of a layer", self.w_gate),
            ("the down projection of a layer", self.w_down),
            ("the RoPE table", self.rope),
            ("x", self.x),
            ("q", self.q),
            ("attention's output", self.attended),
            ("the SwiGLU activations", self.hidden),
            ("logits", self.logits),
        ]
    }

    /// All bytes that the model takes on the device.
    fn total(&self, config: &Config) -> u64 {
        let layer = self.w_qkv
            + 2 * self.cache
            + self.w_out
            + 2 * self.w_gate
            + self.w_down
            + 2 * self.gain;
        let embeddings = self.embedding * if config.tie_embeddings { 1 } else { 2 };
        let activations =
            self.x + self.q + self.attended + self.hidden + self.logits + self.readback;
        embeddings + u64::from(config.n_layer) * layer + self.gain + self.rope + activations
    }
}

/// The largest single buffer that a model needs, in bytes: what the device's limits must allow.
pub fn largest_binding(config: &Config, dtype: Dtype) -> u64 {
    Sizes::new(config, dtype)
        .named()
        .into_iter()
        .map(|(_, size)| size)
        .fold(0, u64::max)
}

impl Buffers {
    /// Allocate and fill everything; `progress` is called with the fraction of the layers that are written.
    ///
    /// # Errors
    /// [`EngineError::NoAdapter`] where a buffer is larger than the device's limits, naming it; [`EngineError::OutOfMemory`].
    pub async fn new(
        context: &Context,
        model: &Model,
        mut progress: impl FnMut(f32),
    ) -> Result<Self, EngineError> {
        let config = model.config();
        let sizes = Sizes::new(config, model.weight_dtype());
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
        buffers.fill(context, model, sizes.dtype, &mut progress)?;
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
        let layers = (0..config.n_layer)
            .map(|_| Layer {
                input_gain: filled("input_layernorm", sizes.gain),
                w_qkv: filled("w_qkv", sizes.w_qkv),
                k_cache: scratch("k_cache", sizes.cache),
                v_cache: scratch("v_cache", sizes.cache),
                w_out: filled("o_proj", sizes.w_out),
                post_attention_gain: filled("post_attention_layernorm", sizes.gain),
                w_gate: filled("gate_proj", sizes.w_gate),
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
            w_output: (!config.tie_embeddings).then(|| filled("lm_head", sizes.embedding)),
            rope: filled("rope", sizes.rope),
            x: scratch("x", sizes.x),
            q: scratch("q", sizes.q),
            attended: scratch("attended", sizes.attended),
            hidden: scratch("hidden", sizes.hidden),
            logits: copied_from("logits", sizes.logits),
            readback: context.create_buffer(
                "readback",
                sizes.readback,
                Usage::MAP_READ | Usage::COPY_DST,
            ),
            chunk: sizes.chunk as u32,
            logits_rows: sizes.logits_rows as u32,
        }
    }

    fn fill(
        &self,
        context: &Context,
        model: &Model,
        dtype: Dtype,
        progress: &mut impl FnMut(f32),
    ) -> Result<(), EngineError> {
        let config = model.config();
        let rows = |buffer: &wgpu::Buffer, offset: u64, weights: Weights<'_>, width: u32| {
            context.write(buffer, offset, &padded(weights, width as usize));
        };
        let norm = |buffer: &wgpu::Buffer, values: &[f32]| {
            rows(buffer, 0, Weights::F32(values), config.d_model)
        };

        let table = RopeTable::new(config)?;
        let pairs: Vec<[f32; 2]> = table
            .cos
            .into_iter()
            .zip(table.sin)
            .map(|(cos, sin)| [cos, sin])
            .collect();
        context.write(&self.rope, 0, bytemuck::cast_slice(&pairs));
        let embedding = Weights::of(model.embedding());
        rows(&self.embedding, 0, embedding, config.d_model);
        norm(&self.output_gain, gain(model.output_norm()));
        if let Some(buffer) = &self.w_output {
            rows(buffer, 0, Weights::of(model.output()), config.d_model);
        }
        let row = weight_row_bytes(config.d_model, dtype);
        for (index, layer) in self.layers.iter().enumerate() {
            progress(index as f32 / self.layers.len() as f32);
            let weights = LayerWeights::of(model, index);
            norm(&layer.input_gain, weights.input_layernorm);
            rows(&layer.w_qkv, 0, weights.q_proj, config.d_model);
            rows(
                &layer.w_qkv,
                u64::from(config.q_width()) * row,
                weights.k_proj,
                config.d_model,
            );
            rows(
                &layer.w_qkv,
                u64::from(config.q_width() + config.kv_width()) * row,
                weights.v_proj,
                config.d_model,
            );
            rows(&layer.w_out, 0, weights.o_proj, config.q_width());
            norm(&layer.post_attention_gain, weights.post_attention_layernorm);
            rows(&layer.w_gate, 0, weights.gate_proj, config.d_model);
            rows(&layer.w_up, 0, weights.up_proj, config.d_model);
            rows(&layer.w_down, 0, weights.down_proj, config.d_ff);
            context.flush();
        }
        Ok(())
    }
}

/// The bytes of rows of `width` weights, each padded with zeros to a multiple of 16 bytes.
fn padded(weights: Weights<'_>, width: usize) -> Cow<'_, [u8]> {
    let (bytes, row): (&[u8], usize) = match weights {
        Weights::F32(values) => (bytemuck::cast_slice(values), width * 4),
        Weights::F16(values) => (bytemuck::cast_slice(values), width * 2),
        Weights::Q8_0(_) | Weights::Q4_0(_) => unreachable!("refused when the engine was made"),
    };
    if row.is_multiple_of(16) {
        return Cow::Borrowed(bytes);
    }
    let stride = row.next_multiple_of(16);
    let mut all = vec![0; bytes.len() / row * stride];
    for (to, from) in all.chunks_exact_mut(stride).zip(bytes.chunks_exact(row)) {
        to[..row].copy_from_slice(from);
    }
    Cow::Owned(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_padded_with_zeros_to_16_bytes() {
        let values = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0];
        let rows = padded(Weights::F32(&values), 3);
        assert_eq!(
            bytemuck::pod_collect_to_vec::<u8, f32>(&rows),
            [1.0, 2.0, 3.0, 0.0, 4.0, 5.0, 6.0, 0.0]
        );
        let halves: [u16; 9] = core::array::from_fn(|i| i as u16 + 1);
        let rows = padded(Weights::F16(&halves), 9);
        let expected = [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(bytemuck::pod_collect_to_vec::<u8, u16>(&rows), expected);
    }

    #[test]
    fn whole_rows_are_not_copied() {
        assert!(matches!(
            padded(Weights::F32(&[1.0; 8]), 4),
            Cow::Borrowed(_)
        ));
    }
}
