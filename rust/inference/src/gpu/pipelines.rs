//! The compiled kernels, and the grids that they are dispatched over.

use super::context::Context;
use super::kernels::{
    ADJUST_LOGITS, ATTENTION, Constants, EMBED, Grid, Kernel, MATMUL_RESIDUAL, NORM_GATE_UP_SILU,
    NORM_LOGITS, NORM_QKV_ROPE, NORM_UP_RELU2, QK_NORM_ROPE, SAMPLE, constants,
};
use super::matrices::Dtypes;
use super::tuning::{Split, Tuning};
use crate::error::EngineError;
use crate::format::Config;

/// Threads a workgroup of `embed`.
const EMBED_THREADS: u32 = 64;

/// The most workgroups in one dimension of a grid under WebGPU's default limits.
const MAX_GRID: u32 = 65_535;

/// Tokens that share one reading of the weights in the tiled pipelines.
const TILE: u32 = 4;

/// A kernel that multiplies by weights, compiled for one token and for tiles of [`TILE`].
pub(super) struct Matvec {
    single: wgpu::ComputePipeline,
    tiled: wgpu::ComputePipeline,
    /// Workgroups over all pairs of rows.
    blocks: u32,
}

impl Matvec {
    /// The pipeline and the grid for so many tokens.
    pub fn for_tokens(&self, tokens: u32) -> (&wgpu::ComputePipeline, Grid) {
        let y = self.blocks.div_ceil(MAX_GRID);
        let x = self.blocks.div_ceil(y);
        if tokens == 1 {
            (&self.single, [x, y, 1])
        } else {
            (&self.tiled, [x, y, tokens.div_ceil(TILE)])
        }
    }
}

/// Every pipeline that a model needs, and the layouts of their bind groups.
pub(super) struct Pipelines {
    pub embed: Compiled,
    pub norm_qkv_rope: Compiled<Matvec>,
    /// Where the architecture normalises queries and keys.
    pub qk_norm_rope: Option<Compiled>,
    pub attention: Compiled,
    /// Threads a workgroup of `attention`.
    pub attention_threads: u32,
    /// The output projection of attention.
    pub attention_out: Compiled<Matvec>,
    /// `norm_gate_up_silu`, or `norm_up_relu2` where the architecture has no gate.
    pub feed_forward: Compiled<Matvec>,
    /// The output projection of the SwiGLU or ReLU² layer.
    pub down: Compiled<Matvec>,
    pub norm_logits: Compiled<Matvec>,
    /// Runs only where penalties or biases are asked for.
    pub adjust_logits: Compiled,
    pub sample: Compiled,
}

/// A compiled kernel and the layout of its bind groups.
pub(super) struct Compiled<P = wgpu::ComputePipeline> {
    pub pipeline: P,
    pub layout: wgpu::BindGroupLayout,
}

impl Pipelines {
    /// Kernels to compile at the most; `progress` is called before each and at the end.
    pub const COUNT: u32 = 10;

    /// Compile everything once.
    ///
    /// # Errors
    /// [`EngineError::Gpu`] with the kernel's name and the driver's words.
    pub async fn compile(
        context: &Context,
        config: &Config,
        dtypes: &Dtypes,
        mut progress: impl FnMut(f32),
    ) -> Result<Self, EngineError> {
        let tuning = Tuning::new(context.device_type());
        let mut done = 0;
        let mut step = || {
            progress(done as f32 / Self::COUNT as f32);
            done += 1;
        };
        let mut matvec = async |kernel: Kernel, dtype, pairs: u32, own: &[(&'static str, f64)]| {
            step();
            let mut base = constants(config, dtype);
            base.extend_from_slice(own);
            Self::matvec(context, kernel, &base, tuning.split(pairs), pairs).await
        };
        let architecture = config.architecture;
        let qkv = [
            ("QKV_BIAS", f64::from(architecture.has_qkv_bias())),
            ("ROPE", f64::from(!architecture.has_qk_norm())),
        ];
        let half_pairs = (config.n_head + 2 * config.n_kv_head) * (config.d_head / 2);
        let norm_qkv_rope = matvec(NORM_QKV_ROPE, dtypes.qkv, half_pairs, &qkv).await?;
        let model_pairs = config.d_model.div_ceil(2);
        let attention_out = matvec(
            MATMUL_RESIDUAL,
            dtypes.out,
            model_pairs,
            &[("WIDTH_IN", f64::from(config.q_width()))],
        )
        .await?;
        let (kernel, pairs) = if architecture.has_gate() {
            (NORM_GATE_UP_SILU, config.d_ff)
        } else {
            (NORM_UP_RELU2, config.d_ff.div_ceil(2))
        };
        let feed_forward = matvec(kernel, dtypes.gate_up, pairs, &[]).await?;
        let down = matvec(
            MATMUL_RESIDUAL,
            dtypes.down,
            model_pairs,
            &[("WIDTH_IN", f64::from(config.d_ff))],
        )
        .await?;
        let norm_logits = matvec(
            NORM_LOGITS,
            dtypes.output,
            config.vocab_size.div_ceil(2),
            &[("LOGIT_CAP", config.logit_cap.unwrap_or(0.0))],
        )
        .await?;
        let mut plain = async |kernel: Kernel, threads: Option<u32>| {
            step();
            let mut constants = constants(config, dtypes.embedding);
            constants.extend(threads.map(|threads| ("THREADS", f64::from(threads))));
            let layout = context.create_bind_group_layout(kernel);
            let pipeline = context.create_pipeline(kernel, &layout, &constants).await?;
            Ok::<_, EngineError>(Compiled { pipeline, layout })
        };
        let attention_threads = tuning.attention_threads();
        let embed = plain(EMBED, None).await?;
        let qk_norm_rope = if config.architecture.has_qk_norm() {
            Some(plain(QK_NORM_ROPE, Some(attention_threads)).await?)
        } else {
            None
        };
        let attention = plain(ATTENTION, Some(attention_threads)).await?;
        let adjust_logits = plain(ADJUST_LOGITS, None).await?;
        let sample = plain(SAMPLE, Some(tuning.sample_threads())).await?;
        progress(1.0);
        Ok(Self {
            embed,
            norm_qkv_rope,
            qk_norm_rope,
            attention,
            attention_threads,
            attention_out,
            feed_forward,
            down,
            norm_logits,
            adjust_logits,
            sample,
        })
    }

    async fn matvec(
        context: &Context,
        kernel: Kernel,
        base: &Constants,
        split: Split,
        pairs: u32,
    ) -> Result<Compiled<Matvec>, EngineError> {
        let layout = context.create_bind_group_layout(kernel);
        let variant = |tile: u32| {
            let mut constants = base.clone();
            constants.extend([
                ("WORKGROUP", f64::from(split.workgroup)),
                ("LANES", f64::from(split.lanes)),
                ("TILE", f64::from(tile)),
            ]);
            constants
        };
        let single = context
            .create_pipeline(kernel, &layout, &variant(1))
            .await?;
        let tiled = context
            .create_pipeline(kernel, &layout, &variant(TILE))
            .await?;
        let blocks = pairs.div_ceil(split.workgroup / split.lanes);
        Ok(Compiled {
            pipeline: Matvec {
                single,
                tiled,
                blocks,
            },
            layout,
        })
    }
}

/// `embed`'s grid.
pub(super) fn embed_grid(config: &Config, tokens: u32) -> Grid {
    [
        config.d_model.div_ceil(4).div_ceil(EMBED_THREADS),
        tokens,
        1,
    ]
}

/// `qk_norm_rope`'s grid.
pub(super) fn qk_norm_rope_grid(config: &Config, tokens: u32) -> Grid {
    [config.n_head + config.n_kv_head, tokens, 1]
}

/// `attention`'s grid.
pub(super) fn attention_grid(config: &Config, tokens: u32, threads: u32) -> Grid {
    [
        config.n_head,
        tokens,
        config.d_head.div_ceil(4).div_ceil(threads),
    ]
}
