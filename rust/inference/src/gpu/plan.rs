//! The bind groups of a loaded model, and the order in which its kernels run.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use super::buffers::Buffers;
use super::context::{Context, Pass, Work};
use super::kernels::SPANS;
use super::pipelines::{Compiled, Matvec, Pipelines, embed_grid, qk_norm_rope_grid};
use crate::format::Config;

/// The dispatches of a layer: five, and one more where queries and keys are normalised.
struct Layer {
    norm_qkv_rope: wgpu::BindGroup,
    /// Where the architecture normalises queries and keys.
    qk_norm_rope: Option<wgpu::BindGroup>,
    /// Of `attention` and of `attention_tiled`.
    attention: wgpu::BindGroup,
    attention_out: wgpu::BindGroup,
    feed_forward: wgpu::BindGroup,
    down: wgpu::BindGroup,
}

/// Bytes that the kernels read, for a profile.
struct Bytes {
    embedding_row: u64,
    qkv: u64,
    /// Keys and values of one position.
    cached: u64,
    out: u64,
    feed_forward: u64,
    down: u64,
    output: u64,
    logits: u64,
}

/// Pipelines with their bind groups.
pub(super) struct Plan {
    /// Those of all sessions on the device.
    pipelines: Arc<Pipelines>,
    bytes: Bytes,
    embed: wgpu::BindGroup,
    layers: Vec<Layer>,
    /// Where attention may be split.
    attention_reduce: Option<wgpu::BindGroup>,
    norm_logits: wgpu::BindGroup,
    adjust_logits: wgpu::BindGroup,
    /// Where the vocabulary is large.
    survey_logits: Option<wgpu::BindGroup>,
    sample: wgpu::BindGroup,
}

impl Plan {
    /// Make every bind group. The order of buffers is that of the bindings in each kernel's file.
    pub fn new(
        context: &Context,
        config: &Config,
        pipelines: Arc<Pipelines>,
        buffers: &Buffers,
    ) -> Self {
        let Buffers {
            step,
            ids,
            ring,
            embedding,
            x,
            q,
            attended,
            partials,
            hidden,
            logits,
            adjustments,
            spans,
            members,
            rope,
            ..
        } = buffers;
        let p = &pipelines;
        let layers = buffers
            .layers
            .iter()
            .map(|layer| {
                let (k, v) = (&layer.k_cache, &layer.v_cache);
                let gain = &layer.post_attention_gain;
                Layer {
                    norm_qkv_rope: context.create_bind_group(
                        &p.norm_qkv_rope.layout,
                        &[
                            step,
                            x,
                            &layer.input_gain,
                            &layer.w_qkv,
                            rope,
                            q,
                            k,
                            v,
                            layer.qkv_bias.as_ref().unwrap_or(&layer.input_gain),
                        ],
                    ),
                    qk_norm_rope: p.qk_norm_rope.as_ref().zip(layer.qk_gains.as_ref()).map(
                        |(kernel, gains)| {
                            context.create_bind_group(&kernel.layout, &[step, gains, rope, q, k])
                        },
                    ),
                    attention: context.create_bind_group(
                        &p.attention.few.layout,
                        &[step, q, k, v, attended, partials],
                    ),
                    attention_out: context.create_bind_group(
                        &p.attention_out.layout,
                        &[step, attended, &layer.w_out, x],
                    ),
                    feed_forward: match &layer.w_gate {
                        Some(w_gate) => {
                            let bound = [step, x, gain, w_gate, &layer.w_up, hidden];
                            context.create_bind_group(&p.feed_forward.layout, &bound)
                        }
                        None => {
                            let bound = [step, x, gain, &layer.w_up, hidden];
                            context.create_bind_group(&p.feed_forward.layout, &bound)
                        }
                    },
                    down: context
                        .create_bind_group(&p.down.layout, &[step, hidden, &layer.w_down, x]),
                }
            })
            .collect();
        let w_output = buffers.w_output.as_ref().unwrap_or(embedding);
        let vocab_size = u64::from(config.vocab_size);
        let first = &buffers.layers[0];
        let bytes = Bytes {
            embedding_row: embedding.size() / vocab_size,
            qkv: first.w_qkv.size(),
            cached: (first.k_cache.size() + first.v_cache.size()) / u64::from(config.ctx_len),
            out: first.w_out.size(),
            feed_forward: first.w_up.size() + first.w_gate.as_ref().map_or(0, |gate| gate.size()),
            down: first.w_down.size(),
            output: w_output.size(),
            logits: vocab_size * 4,
        };
        Self {
            bytes,
            embed: context.create_bind_group(&p.embed.layout, &[ids, embedding, x]),
            layers,
            attention_reduce: p.attention.reduce.as_ref().map(|kernel| {
                context.create_bind_group(&kernel.layout, &[step, partials, attended])
            }),
            norm_logits: context.create_bind_group(
                &p.norm_logits.layout,
                &[step, x, &buffers.output_gain, w_output, logits],
            ),
            adjust_logits: context
                .create_bind_group(&p.adjust_logits.layout, &[step, ids, adjustments, logits]),
            survey_logits: p
                .survey_logits
                .as_ref()
                .map(|kernel| context.create_bind_group(&kernel.layout, &[step, logits, spans])),
            sample: context
                .create_bind_group(&p.sample.layout, &[step, logits, ids, ring, spans, members]),
            pipelines,
        }
    }

    /// The same kernels over other buffers.
    pub fn over(&self, context: &Context, config: &Config, buffers: &Buffers) -> Self {
        Self::new(context, config, self.pipelines.clone(), buffers)
    }

    /// What runs.
    pub fn pipelines(&self) -> &Pipelines {
        &self.pipelines
    }

    /// The kernels that multiply by weights, to be changed, each with its bind groups of all layers; `None` where other sessions run them too.
    pub fn products(&mut self) -> Option<[(&mut Compiled<Matvec>, Vec<&wgpu::BindGroup>); 5]> {
        let p = Arc::get_mut(&mut self.pipelines)?;
        let layers = &self.layers;
        let all = |of: fn(&Layer) -> &wgpu::BindGroup| layers.iter().map(of).collect();
        Some([
            (&mut p.norm_qkv_rope, all(|layer| &layer.norm_qkv_rope)),
            (&mut p.attention_out, all(|layer| &layer.attention_out)),
            (&mut p.feed_forward, all(|layer| &layer.feed_forward)),
            (&mut p.down, all(|layer| &layer.down)),
            (&mut p.norm_logits, Vec::from([&self.norm_logits])),
        ])
    }

    /// Dispatches of a sampled token and of its way through the model, at the most.
    pub fn dispatches(&self) -> u32 {
        8 * self.layers.len() as u32 + 5
    }

    /// Record embedding, all layers, and the logits of the last `logits_rows` tokens: none, one or all. The tokens' first stands at
    /// `position`.
    pub fn forward(
        &self,
        pass: &mut Pass<'_>,
        config: &Config,
        position: u32,
        tokens: u32,
        logits_rows: u32,
    ) {
        self.layers(pass, config, position, tokens, 0..self.layers.len());
        self.logits(pass, logits_rows);
    }

    /// Record some layers, before the first of them the embedding; what the layers before them left of the same tokens stands in `x`.
    pub fn layers(
        &self,
        pass: &mut Pass<'_>,
        config: &Config,
        position: u32,
        tokens: u32,
        layers: Range<usize>,
    ) {
        let (p, bytes) = (&self.pipelines, &self.bytes);
        if layers.start == 0 {
            let grid = embed_grid(config, tokens);
            p.embed.dispatch(
                pass,
                &self.embed,
                grid,
                u64::from(tokens) * bytes.embedding_row,
            );
        }
        for layer in &self.layers[layers] {
            matvec(
                pass,
                &p.norm_qkv_rope,
                &layer.norm_qkv_rope,
                tokens,
                bytes.qkv,
            );
            if let Some((kernel, group)) = p.qk_norm_rope.as_ref().zip(layer.qk_norm_rope.as_ref())
            {
                kernel.dispatch(pass, group, qk_norm_rope_grid(config, tokens), 0);
            }
            let (kernel, grid, reduce_grid) = p.attention.for_tokens(config, position, tokens);
            let seen = u64::from(position + tokens) * bytes.cached;
            kernel.dispatch(pass, &layer.attention, grid, seen);
            let reduce = p.attention.reduce.as_ref();
            if let Some(((kernel, group), grid)) =
                reduce.zip(self.attention_reduce.as_ref()).zip(reduce_grid)
            {
                kernel.dispatch(pass, group, grid, 0);
            }
            matvec(
                pass,
                &p.attention_out,
                &layer.attention_out,
                tokens,
                bytes.out,
            );
            let (kernel, group) = (&p.feed_forward, &layer.feed_forward);
            matvec(pass, kernel, group, tokens, bytes.feed_forward);
            matvec(pass, &p.down, &layer.down, tokens, bytes.down);
        }
    }

    /// Record the logits of the last `rows` tokens.
    pub fn logits(&self, pass: &mut Pass<'_>, rows: u32) {
        if rows > 0 {
            let (kernel, group) = (&self.pipelines.norm_logits, &self.norm_logits);
            matvec(pass, kernel, group, rows, self.bytes.output);
        }
    }

    /// Record the sampling of one token from row 0 of the logits, which are adjusted before where `is_adjusted`.
    pub fn sample(&self, pass: &mut Pass<'_>, is_adjusted: bool) {
        let (p, one, logits) = (&self.pipelines, [1, 1, 1], self.bytes.logits);
        if is_adjusted {
            p.adjust_logits.dispatch(pass, &self.adjust_logits, one, 0);
        }
        if let Some((kernel, group)) = p.survey_logits.as_ref().zip(self.survey_logits.as_ref()) {
            kernel.dispatch(pass, group, [SPANS, 1, 1], logits);
        }
        p.sample.dispatch(pass, &self.sample, one, logits);
    }
}

fn matvec(
    pass: &mut Pass<'_>,
    compiled: &Compiled<Matvec>,
    group: &wgpu::BindGroup,
    tokens: u32,
    bytes: u64,
) {
    let (pipeline, grid) = compiled.pipeline.for_tokens(tokens);
    let name = compiled.name;
    pass.dispatch(Work { name, bytes }, pipeline, group, grid);
}
