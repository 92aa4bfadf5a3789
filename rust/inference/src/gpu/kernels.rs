//! The kernels: their texts, their bindings, the constants that fix a model's sizes, and the compiled pipelines.

use alloc::vec::Vec;

use super::context::Context;
use crate::error::EngineError;
use crate::format::{Config, Dtype};

/// Threads a workgroup of `embed`.
const EMBED_THREADS: u32 = 64;

/// The most workgroups in one dimension of a grid under WebGPU's default limits.
const MAX_GRID: u32 = 65_535;

/// Tokens that share one reading of the weights in the tiled pipelines.
const TILE: u32 = 4;

/// Join the shared parts and a kernel's own text, in the order that `shaders/common.wgsl` states.
macro_rules! text {
    ($($part:literal),+) => { concat!($(include_str!(concat!("../../../../shaders/", $part, ".wgsl"))),+) };
}

/// A kernel of `shaders/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel {
    /// Name of the file, the entry point and the CPU twin.
    pub name: &'static str,
    /// The whole text.
    pub text: &'static str,
    /// What stands at bindings 0, 1, …
    pub bindings: &'static [Binding],
}

/// How a kernel uses a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// `var<uniform>`: the step.
    Uniform,
    /// `var<storage, read>`.
    Read,
    /// `var<storage, read_write>`.
    Write,
}

use Binding::{Read, Uniform, Write};

pub(super) const EMBED: Kernel = Kernel {
    name: "embed",
    text: text!("common", "embed"),
    bindings: &[Read, Read, Write],
};
pub(super) const NORM_QKV_ROPE: Kernel = Kernel {
    name: "norm_qkv_rope",
    text: text!("common", "matvec", "norm_qkv_rope"),
    bindings: &[Uniform, Read, Read, Read, Read, Write, Write, Write],
};
pub(super) const ATTENTION: Kernel = Kernel {
    name: "attention",
    text: text!("common", "attention"),
    bindings: &[Uniform, Read, Read, Read, Write],
};
pub(super) const MATMUL_RESIDUAL: Kernel = Kernel {
    name: "matmul_residual",
    text: text!("common", "matvec", "matmul_residual"),
    bindings: &[Uniform, Read, Read, Write],
};
pub(super) const NORM_GATE_UP_SILU: Kernel = Kernel {
    name: "norm_gate_up_silu",
    text: text!("common", "matvec", "norm_gate_up_silu"),
    bindings: &[Uniform, Read, Read, Read, Read, Write],
};
pub(super) const NORM_LOGITS: Kernel = Kernel {
    name: "norm_logits",
    text: text!("common", "matvec", "norm_logits"),
    bindings: &[Uniform, Read, Read, Read, Write],
};
pub(super) const SAMPLE: Kernel = Kernel {
    name: "sample",
    text: text!("common", "sample"),
    bindings: &[Write, Read, Write, Write],
};

/// All kernels, in the order data passes through them; tests compile each.
pub const KERNELS: [Kernel; 7] = [
    EMBED,
    NORM_QKV_ROPE,
    ATTENTION,
    MATMUL_RESIDUAL,
    NORM_GATE_UP_SILU,
    NORM_LOGITS,
    SAMPLE,
];

/// Override constants by name.
pub type Constants = Vec<(&'static str, f64)>;

/// The override constants of `shaders/common.wgsl` for a model.
pub fn constants(config: &Config, dtype: Dtype) -> Constants {
    let mut constants: Constants = [
        ("D_MODEL", config.d_model),
        ("N_HEAD", config.n_head),
        ("N_KV_HEAD", config.n_kv_head),
        ("D_HEAD", config.d_head),
        ("D_FF", config.d_ff),
        ("VOCAB_SIZE", config.vocab_size),
        ("CTX_LEN", config.ctx_len),
        ("WEIGHT_F16", u32::from(dtype == Dtype::F16)),
    ]
    .map(|(name, value)| (name, f64::from(value)))
    .to_vec();
    constants.push(("NORM_EPS", config.norm_eps));
    constants
}

/// How the matrix loop (`shaders/matvec.wgsl`) is cut into threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// Threads a workgroup.
    pub workgroup: u32,
    /// Threads that share a pair of rows.
    pub lanes: u32,
}

/// How kernels are cut into threads on a kind of adapter.
///
/// A CPU adapter runs a workgroup's threads as SIMD lanes of one core and pays for every thread at every barrier. Chosen by measurement
/// on llvmpipe (C 128, D 64, V 1024), in µs of CPU time: one token's matrix kernels 1,500 with one lane, 2,900 with eight;
/// attention over 64 tokens 1,900 with 16 threads, 3,700 with 64; sampling with top-k and top-p 206 with 16 threads, 378 with 128.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    is_cpu: bool,
}

impl Tuning {
    /// For this kind of adapter.
    pub fn new(device_type: wgpu::DeviceType) -> Self {
        Self {
            is_cpu: device_type == wgpu::DeviceType::Cpu,
        }
    }

    /// The matrix loop over `pairs` pairs of rows.
    ///
    /// A GPU reads whole cache lines when at least 8 neighbours read 16 bytes each, and wants tens of thousands of threads: more lanes
    /// where there are few rows.
    pub fn split(self, pairs: u32) -> Split {
        if self.is_cpu {
            return Split {
                workgroup: 16,
                lanes: 1,
            };
        }
        let lanes = [8, 16]
            .into_iter()
            .find(|lanes| pairs * lanes >= 32_768)
            .unwrap_or(32);
        Split {
            workgroup: 64,
            lanes,
        }
    }

    /// Threads a workgroup of `attention`, at most 64.
    pub fn attention_threads(self) -> u32 {
        if self.is_cpu { 16 } else { 64 }
    }

    /// Threads of `sample`'s one workgroup, 8 to 256.
    pub fn sample_threads(self) -> u32 {
        if self.is_cpu { 16 } else { 256 }
    }
}

/// A kernel's grid of workgroups.
pub(super) type Grid = [u32; 3];

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
    pub attention: Compiled,
    /// Threads a workgroup of `attention`.
    pub attention_threads: u32,
    /// The output projection of attention.
    pub attention_out: Compiled<Matvec>,
    pub norm_gate_up_silu: Compiled<Matvec>,
    /// The output projection of the SwiGLU layer.
    pub down: Compiled<Matvec>,
    pub norm_logits: Compiled<Matvec>,
    pub sample: Compiled,
}

/// A compiled kernel and the layout of its bind groups.
pub(super) struct Compiled<P = wgpu::ComputePipeline> {
    pub pipeline: P,
    pub layout: wgpu::BindGroupLayout,
}

impl Pipelines {
    /// Kernels to compile; `progress` is called before each and at the end.
    pub const COUNT: u32 = 8;

    /// Compile everything once.
    ///
    /// # Errors
    /// [`EngineError::Gpu`] with the kernel's name and the driver's words.
    pub async fn compile(
        context: &Context,
        config: &Config,
        dtype: Dtype,
        mut progress: impl FnMut(f32),
    ) -> Result<Self, EngineError> {
        let tuning = Tuning::new(context.device_type());
        let base = constants(config, dtype);
        let mut done = 0;
        let mut step = || {
            progress(done as f32 / Self::COUNT as f32);
            done += 1;
        };
        let mut matvec = async |kernel: Kernel, pairs: u32, width_in: Option<u32>| {
            step();
            Self::matvec(context, kernel, &base, tuning.split(pairs), pairs, width_in).await
        };
        let half_pairs = (config.n_head + 2 * config.n_kv_head) * (config.d_head / 2);
        let norm_qkv_rope = matvec(NORM_QKV_ROPE, half_pairs, None).await?;
        let model_pairs = config.d_model.div_ceil(2);
        let attention_out = matvec(MATMUL_RESIDUAL, model_pairs, Some(config.q_width())).await?;
        let norm_gate_up_silu = matvec(NORM_GATE_UP_SILU, config.d_ff, None).await?;
        let down = matvec(MATMUL_RESIDUAL, model_pairs, Some(config.d_ff)).await?;
        let norm_logits = matvec(NORM_LOGITS, config.vocab_size.div_ceil(2), None).await?;
        let mut plain = async |kernel: Kernel, threads: Option<u32>| {
            step();
            let mut constants = base.clone();
            constants.extend(threads.map(|threads| ("THREADS", f64::from(threads))));
            let layout = context.create_bind_group_layout(kernel);
            let pipeline = context.create_pipeline(kernel, &layout, &constants).await?;
            Ok::<_, EngineError>(Compiled { pipeline, layout })
        };
        let attention_threads = tuning.attention_threads();
        let embed = plain(EMBED, None).await?;
        let attention = plain(ATTENTION, Some(attention_threads)).await?;
        let sample = plain(SAMPLE, Some(tuning.sample_threads())).await?;
        progress(1.0);
        Ok(Self {
            embed,
            norm_qkv_rope,
            attention,
            attention_threads,
            attention_out,
            norm_gate_up_silu,
            down,
            norm_logits,
            sample,
        })
    }

    async fn matvec(
        context: &Context,
        kernel: Kernel,
        base: &Constants,
        split: Split,
        pairs: u32,
        width_in: Option<u32>,
    ) -> Result<Compiled<Matvec>, EngineError> {
        let layout = context.create_bind_group_layout(kernel);
        let variant = |tile: u32| {
            let mut constants = base.clone();
            constants.extend([
                ("WORKGROUP", f64::from(split.workgroup)),
                ("LANES", f64::from(split.lanes)),
                ("TILE", f64::from(tile)),
            ]);
            constants.extend(width_in.map(|width| ("WIDTH_IN", f64::from(width))));
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

/// `attention`'s grid.
pub(super) fn attention_grid(config: &Config, tokens: u32, threads: u32) -> Grid {
    [
        config.n_head,
        tokens,
        config.d_head.div_ceil(4).div_ceil(threads),
    ]
}
