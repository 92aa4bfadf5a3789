//! The compiled kernels, and the grids that they are dispatched over.

use alloc::string::String;

use super::context::{Context, Pass, Work};
use super::kernels::{
    ADJUST_LOGITS, ATTENTION, ATTENTION_REDUCE, ATTENTION_TILED, Constants, EMBED, Grid, Kernel,
    MATMUL_RESIDUAL, NORM_GATE_UP_SILU, NORM_LOGITS, NORM_QKV_ROPE, NORM_UP_RELU2, QK_NORM_ROPE,
    SAMPLE, SURVEY_LOGITS, constants,
};
use super::matrices::Dtypes;
use super::tuning::{Split, Splitting, TILED_FROM, Tiling, Tuning};
use crate::cache::Cache;
use crate::error::EngineError;
use crate::format::Config;

/// Threads a workgroup of `embed`.
const EMBED_THREADS: u32 = 64;

/// vec4s of each half of a head that a workgroup of `attention_tiled` sums.
const TILED_VALUES: u32 = 8;

/// The most workgroups in one dimension of a grid under WebGPU's default limits.
const MAX_GRID: u32 = 65_535;

/// Tokens that share one reading of the weights in `matvec.wgsl`'s pipelines for a few.
const TILE: u32 = 4;

/// A kernel that multiplies by weights, compiled for one token, for a few and for many.
pub(super) struct Matvec {
    kernel: Kernel,
    /// Without those of how it is cut.
    constants: Constants,
    single: wgpu::ComputePipeline,
    single_split: Split,
    few: wgpu::ComputePipeline,
    /// Where it is worth its compilation.
    many: Option<wgpu::ComputePipeline>,
    /// Pairs of rows.
    pairs: u32,
    /// For a few.
    split: Split,
    tiling: Tiling,
}

/// One token's kernel, cut in a certain way.
pub(super) struct Cut {
    pub pipeline: wgpu::ComputePipeline,
    pub split: Split,
    pub grid: Grid,
}

impl Matvec {
    /// The pipeline and the grid for so many tokens.
    pub fn for_tokens(&self, tokens: u32) -> (&wgpu::ComputePipeline, Grid) {
        let tiling = self.tiling;
        let (pipeline, pairs, tile) = match (tokens, &self.many) {
            (1, _) => (&self.single, self.single_split.pairs(), 1),
            (TILED_FROM.., Some(many)) => (many, tiling.rows() / 2, tiling.tokens()),
            _ => (&self.few, self.split.pairs(), TILE),
        };
        (pipeline, grid(self.pairs, pairs, tokens.div_ceil(tile)))
    }

    /// What one token's time depends on besides the adapter: the kernel's text, its constants, its pairs of rows.
    pub fn shape(&self) -> (String, &Constants, u32) {
        (self.kernel.text(), &self.constants, self.pairs)
    }

    /// How one token's kernel is cut.
    pub fn single_split(&self) -> Split {
        self.single_split
    }

    /// Run one token so from now on.
    pub fn take(&mut self, cut: Cut) {
        self.single = cut.pipeline;
        self.single_split = cut.split;
    }
}

/// `pairs` of rows, so many a workgroup, and tiles of tokens.
fn grid(pairs: u32, of_workgroup: u32, tiles: u32) -> Grid {
    let blocks = pairs.div_ceil(of_workgroup);
    let y = blocks.div_ceil(MAX_GRID);
    [blocks.div_ceil(y), y, tiles]
}

/// Every pipeline that a model needs, and the layouts of their bind groups.
pub(super) struct Pipelines {
    pub embed: Compiled,
    pub norm_qkv_rope: Compiled<Matvec>,
    /// Where the architecture normalises queries and keys.
    pub qk_norm_rope: Option<Compiled>,
    pub attention: Attention,
    /// The output projection of attention.
    pub attention_out: Compiled<Matvec>,
    /// `norm_gate_up_silu`, or `norm_up_relu2` where the architecture has no gate.
    pub feed_forward: Compiled<Matvec>,
    /// The output projection of the SwiGLU or ReLU² layer.
    pub down: Compiled<Matvec>,
    pub norm_logits: Compiled<Matvec>,
    /// Runs only where penalties or biases are asked for.
    pub adjust_logits: Compiled,
    /// Where the vocabulary is large.
    pub survey_logits: Option<Compiled>,
    pub sample: Compiled,
}

/// A compiled kernel and the layout of its bind groups.
pub(super) struct Compiled<P = wgpu::ComputePipeline> {
    pub name: &'static str,
    pub pipeline: P,
    pub layout: wgpu::BindGroupLayout,
}

impl Compiled {
    /// Record it over a grid; `bytes` as in [`Work`].
    pub fn dispatch(&self, pass: &mut Pass<'_>, group: &wgpu::BindGroup, grid: Grid, bytes: u64) {
        let name = self.name;
        pass.dispatch(Work { name, bytes }, &self.pipeline, group, grid);
    }
}

impl Compiled<Matvec> {
    /// One token's kernel, cut in a certain way; compiled, if it is not the one in use.
    pub async fn cut(&self, context: &Context, split: Split) -> Result<Cut, EngineError> {
        let matvec = &self.pipeline;
        let pipeline = if split == matvec.single_split {
            matvec.single.clone()
        } else {
            let mut constants = matvec.constants.clone();
            constants.extend(split.constants(1));
            let compiling = context.create_pipeline(matvec.kernel, &self.layout, &constants);
            compiling.await?
        };
        Ok(Cut {
            pipeline,
            split,
            grid: grid(matvec.pairs, split.pairs(), 1),
        })
    }
}

/// Attention for a few tokens and for many, and how both are split.
pub(super) struct Attention {
    pub few: Compiled,
    /// Where it is worth its compilation.
    pub many: Option<Compiled>,
    /// Where splits are possible.
    pub reduce: Option<Compiled>,
    splitting: Splitting,
    /// Threads a workgroup for a few.
    threads: u32,
}

impl Attention {
    /// Splits · tokens · heads, at the most.
    pub fn partial_rows(&self) -> u32 {
        self.splitting.rows()
    }

    /// The kernel and the grid for tokens that begin at `position`, and the grid of `reduce` where it must follow.
    pub fn for_tokens(
        &self,
        config: &Config,
        position: u32,
        tokens: u32,
    ) -> (&Compiled, Grid, Option<Grid>) {
        let splits = self.splitting.count(config.n_head, position, tokens);
        let (kernel, tile, block) = match &self.many {
            Some(many) if tokens >= TILED_FROM => (many, self.splitting.tile_tokens, TILED_VALUES),
            _ => (&self.few, 1, self.threads),
        };
        let blocks = half_vec4s(config).div_ceil(block);
        let grid = [config.n_head, tokens.div_ceil(tile), splits * blocks];
        (
            kernel,
            grid,
            (splits > 1).then_some([config.n_head, tokens, 1]),
        )
    }
}

impl Pipelines {
    /// The kernels that multiply by weights, in the order in which a layer runs them.
    pub fn products(&self) -> [&Compiled<Matvec>; 5] {
        [
            &self.norm_qkv_rope,
            &self.attention_out,
            &self.feed_forward,
            &self.down,
            &self.norm_logits,
        ]
    }

    /// Kernels to compile at the most; `progress` is called before each and at the end.
    pub const COUNT: u32 = 13;

    /// Compile everything once.
    ///
    /// # Errors
    /// [`EngineError::Gpu`] with the kernel's name and the driver's words.
    pub async fn compile(
        context: &Context,
        config: &Config,
        cache: Cache,
        dtypes: &Dtypes,
        tuning: Tuning,
        mut progress: impl FnMut(f32),
    ) -> Result<Self, EngineError> {
        let is_tiled = tuning.is_worth_tiling(layer_weights(config));
        let mut done = 0;
        let mut step = || {
            progress(done as f32 / Self::COUNT as f32);
            done += 1;
        };
        let mut matvec = async |kernel: Kernel, dtype, pairs: u32, own: &[(&'static str, f64)]| {
            step();
            let mut base = constants(config, cache, dtype);
            base.extend_from_slice(own);
            Self::matvec(context, kernel, base, tuning, is_tiled, pairs).await
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
        let mut plain = async |kernel: Kernel, own: &[(&'static str, u32)]| {
            step();
            let mut constants = constants(config, cache, dtypes.embedding);
            constants.extend(own.iter().map(|(name, value)| (*name, f64::from(*value))));
            let layout = context.create_bind_group_layout(kernel);
            let pipeline = context.create_pipeline(kernel, &layout, &constants).await?;
            let name = kernel.name;
            Ok::<_, EngineError>(Compiled {
                name,
                pipeline,
                layout,
            })
        };
        let threads = ("THREADS", tuning.threads());
        let embed = plain(EMBED, &[]).await?;
        let qk_norm_rope = if config.architecture.has_qk_norm() {
            Some(plain(QK_NORM_ROPE, &[threads]).await?)
        } else {
            None
        };
        let width = half_vec4s(config);
        let splitting = tuning.splitting(is_tiled);
        let splits = [
            ("WORKGROUPS", splitting.workgroups),
            ("LEAST_SPLIT", splitting.least),
            ("TILE_TOKENS", splitting.tile_tokens),
        ];
        let of_few = [
            ("THREADS", tuning.attention_threads(width)),
            ("LANES", tuning.key_lanes(width)),
        ];
        let of_many = [("ROWS", tuning.attention_rows())];
        let attention = Attention {
            few: plain(ATTENTION, &[&splits[..], &of_few].concat()).await?,
            many: if is_tiled {
                Some(plain(ATTENTION_TILED, &[&splits[..], &of_many].concat()).await?)
            } else {
                None
            },
            reduce: if splitting.workgroups > 1 {
                Some(plain(ATTENTION_REDUCE, &[&splits[..], &[threads]].concat()).await?)
            } else {
                None
            },
            splitting,
            threads: of_few[0].1,
        };
        let adjust_logits = plain(ADJUST_LOGITS, &[]).await?;
        let is_surveyed = tuning.is_worth_surveying(config.vocab_size);
        let survey_logits = if is_surveyed {
            Some(plain(SURVEY_LOGITS, &[threads]).await?)
        } else {
            None
        };
        let in_sample = [
            ("THREADS", tuning.sample_threads()),
            ("SURVEYED", u32::from(is_surveyed)),
        ];
        let sample = plain(SAMPLE, &in_sample).await?;
        progress(1.0);
        Ok(Self {
            embed,
            norm_qkv_rope,
            qk_norm_rope,
            attention,
            attention_out,
            feed_forward,
            down,
            norm_logits,
            adjust_logits,
            survey_logits,
            sample,
        })
    }

    async fn matvec(
        context: &Context,
        kernel: Kernel,
        base: Constants,
        tuning: Tuning,
        is_tiled: bool,
        pairs: u32,
    ) -> Result<Compiled<Matvec>, EngineError> {
        let layout = context.create_bind_group_layout(kernel);
        let (split, tiling) = (tuning.split(pairs), tuning.tiling());
        let compile = async |kernel: Kernel, own: &[(&'static str, f64)]| {
            let mut constants = base.clone();
            constants.extend_from_slice(own);
            context.create_pipeline(kernel, &layout, &constants).await
        };
        let many = [
            ("WORKGROUP", tiling.workgroup),
            ("ROW_THREADS", tiling.row_threads),
            ("QUADS", tiling.quads),
        ]
        .map(|(name, value)| (name, f64::from(value)));
        let tiled = kernel.tiled().expect("it multiplies by weights");
        let pipeline = Matvec {
            kernel,
            single: compile(kernel, &split.constants(1)).await?,
            single_split: split,
            few: compile(kernel, &split.constants(TILE)).await?,
            many: if is_tiled {
                Some(compile(tiled, &many).await?)
            } else {
                None
            },
            pairs,
            split,
            tiling,
            constants: base,
        };
        Ok(Compiled {
            name: kernel.name,
            pipeline,
            layout,
        })
    }
}

/// vec4s of half a head.
fn half_vec4s(config: &Config) -> u32 {
    (config.d_head / 2).div_ceil(4)
}

/// Weights of all layers' matrices.
pub(super) fn layer_weights(config: &Config) -> u64 {
    let [n_layer, q_width, kv_width, d_model, d_ff] = [
        config.n_layer,
        config.q_width(),
        config.kv_width(),
        config.d_model,
        config.d_ff,
    ]
    .map(u64::from);
    n_layer * d_model * (2 * (q_width + kv_width) + 3 * d_ff)
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
