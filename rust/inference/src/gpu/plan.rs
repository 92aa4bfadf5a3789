//! The bind groups of a loaded model, and the order in which its kernels run.

use alloc::vec::Vec;

use super::buffers::Buffers;
use super::context::{Context, Pass};
use super::pipelines::{
    Compiled, Matvec, Pipelines, attention_grid, embed_grid, qk_norm_rope_grid,
};
use crate::format::Config;

/// The dispatches of a layer: five, and one more where queries and keys are normalised.
struct Layer {
    norm_qkv_rope: wgpu::BindGroup,
    /// Where the architecture normalises queries and keys.
    qk_norm_rope: Option<wgpu::BindGroup>,
    attention: wgpu::BindGroup,
    attention_out: wgpu::BindGroup,
    feed_forward: wgpu::BindGroup,
    down: wgpu::BindGroup,
}

/// Pipelines with their bind groups.
pub(super) struct Plan {
    pipelines: Pipelines,
    embed: wgpu::BindGroup,
    layers: Vec<Layer>,
    norm_logits: wgpu::BindGroup,
    adjust_logits: wgpu::BindGroup,
    sample: wgpu::BindGroup,
}

impl Plan {
    /// Make every bind group. The order of buffers is that of the bindings in each kernel's file.
    pub fn new(context: &Context, pipelines: Pipelines, buffers: &Buffers) -> Self {
        let Buffers {
            step,
            ids,
            ring,
            embedding,
            x,
            q,
            attended,
            hidden,
            logits,
            adjustments,
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
                    attention: context
                        .create_bind_group(&p.attention.layout, &[step, q, k, v, attended]),
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
        Self {
            embed: context.create_bind_group(&p.embed.layout, &[ids, embedding, x]),
            layers,
            norm_logits: context.create_bind_group(
                &p.norm_logits.layout,
                &[step, x, &buffers.output_gain, w_output, logits],
            ),
            adjust_logits: context
                .create_bind_group(&p.adjust_logits.layout, &[step, ids, adjustments, logits]),
            sample: context.create_bind_group(&p.sample.layout, &[step, logits, ids, ring]),
            pipelines,
        }
    }

    /// Record embedding, all layers, and the logits of the last `logits_rows` tokens: none, one or all.
    pub fn forward(&self, pass: &mut Pass<'_>, config: &Config, tokens: u32, logits_rows: u32) {
        let p = &self.pipelines;
        pass.dispatch(&p.embed.pipeline, &self.embed, embed_grid(config, tokens));
        for layer in &self.layers {
            matvec(pass, &p.norm_qkv_rope, &layer.norm_qkv_rope, tokens);
            if let Some((kernel, group)) = p.qk_norm_rope.as_ref().zip(layer.qk_norm_rope.as_ref())
            {
                pass.dispatch(&kernel.pipeline, group, qk_norm_rope_grid(config, tokens));
            }
            let grid = attention_grid(config, tokens, p.attention_threads);
            pass.dispatch(&p.attention.pipeline, &layer.attention, grid);
            matvec(pass, &p.attention_out, &layer.attention_out, tokens);
            matvec(pass, &p.feed_forward, &layer.feed_forward, tokens);
            matvec(pass, &p.down, &layer.down, tokens);
        }
        if logits_rows > 0 {
            matvec(pass, &p.norm_logits, &self.norm_logits, logits_rows);
        }
    }

    /// Record the sampling of one token from row 0 of the logits, which are adjusted before where `is_adjusted`.
    pub fn sample(&self, pass: &mut Pass<'_>, is_adjusted: bool) {
        if is_adjusted {
            let kernel = &self.pipelines.adjust_logits;
            pass.dispatch(&kernel.pipeline, &self.adjust_logits, [1, 1, 1]);
        }
        pass.dispatch(&self.pipelines.sample.pipeline, &self.sample, [1, 1, 1]);
    }
}

fn matvec(pass: &mut Pass<'_>, compiled: &Compiled<Matvec>, group: &wgpu::BindGroup, tokens: u32) {
    let (pipeline, grid) = compiled.pipeline.for_tokens(tokens);
    pass.dispatch(pipeline, group, grid);
}
