//! The kernels: their texts, their bindings and the constants that fix a model's sizes.

use alloc::string::String;
use alloc::vec::Vec;

use super::text;
use crate::cache::Cache;
use crate::format::{Config, Dtype};

/// A kernel's grid of workgroups.
pub(super) type Grid = [u32; 3];

/// A file of `shaders/`, as short as it can be. The parts of a kernel's text are joined where it is compiled: the binary holds each
/// once.
macro_rules! shader {
    ($name:literal) => {{
        const TEXT: &str = include_str!(concat!("../../../../shaders/", $name, ".wgsl"));
        const N: usize = TEXT.len();
        const SHORT: [u8; text::len::<N>(TEXT)] = text::squeeze::<N, _>(TEXT);
        match core::str::from_utf8(&SHORT) {
            Ok(short) => short,
            Err(_) => panic!("a shader that is not UTF-8"),
        }
    }};
}

const COMMON: &str = shader!("common");
const MATVEC: &str = shader!("matvec");
const MATMUL: &str = shader!("matmul");
const SPLITS: &str = shader!("splits");
const KEYS: &str = shader!("keys");

/// A kernel of `shaders/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel {
    /// Name of the file, the entry point and the CPU twin.
    pub name: &'static str,
    part: Part,
    own: &'static str,
    /// What stands at bindings 0, 1, …
    pub bindings: &'static [Binding],
}

/// The text between `common.wgsl` and a kernel's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Nothing,
    /// The loop of a kernel that multiplies by weights.
    Matvec,
    /// The same for many tokens, by tiles.
    Matmul,
    /// How attention is split over the cache.
    Splits,
    /// The order of logits, of the kernels that sample.
    Keys,
}

impl Part {
    fn text(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Matvec => MATVEC,
            Self::Matmul => MATMUL,
            Self::Splits => SPLITS,
            Self::Keys => KEYS,
        }
    }
}

impl Kernel {
    /// The whole WGSL text.
    pub fn text(&self) -> String {
        [COMMON, self.part.text(), self.own].concat()
    }

    /// The kernel for many tokens, by tiles (`shaders/matmul.wgsl`), where it multiplies by weights.
    pub fn tiled(self) -> Option<Self> {
        let part = Part::Matmul;
        (self.part == Part::Matvec).then_some(Self { part, ..self })
    }
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
    part: Part::Nothing,
    own: shader!("embed"),
    bindings: &[Read, Read, Write],
};
pub(super) const NORM_QKV_ROPE: Kernel = Kernel {
    name: "norm_qkv_rope",
    part: Part::Matvec,
    own: shader!("norm_qkv_rope"),
    bindings: &[Uniform, Read, Read, Read, Read, Write, Write, Write, Read],
};
pub(super) const QK_NORM_ROPE: Kernel = Kernel {
    name: "qk_norm_rope",
    part: Part::Nothing,
    own: shader!("qk_norm_rope"),
    bindings: &[Uniform, Read, Read, Write, Write],
};
pub(super) const ATTENTION: Kernel = Kernel {
    name: "attention",
    part: Part::Splits,
    own: shader!("attention"),
    bindings: &[Uniform, Read, Read, Read, Write, Write],
};
pub(super) const ATTENTION_TILED: Kernel = Kernel {
    name: "attention_tiled",
    part: Part::Splits,
    own: shader!("attention_tiled"),
    bindings: ATTENTION.bindings,
};
pub(super) const ATTENTION_REDUCE: Kernel = Kernel {
    name: "attention_reduce",
    part: Part::Splits,
    own: shader!("attention_reduce"),
    bindings: &[Uniform, Read, Write],
};
pub(super) const MATMUL_RESIDUAL: Kernel = Kernel {
    name: "matmul_residual",
    part: Part::Matvec,
    own: shader!("matmul_residual"),
    bindings: &[Uniform, Read, Read, Write],
};
pub(super) const NORM_GATE_UP_SILU: Kernel = Kernel {
    name: "norm_gate_up_silu",
    part: Part::Matvec,
    own: shader!("norm_gate_up_silu"),
    bindings: &[Uniform, Read, Read, Read, Read, Write],
};
pub(super) const NORM_UP_RELU2: Kernel = Kernel {
    name: "norm_up_relu2",
    part: Part::Matvec,
    own: shader!("norm_up_relu2"),
    bindings: &[Uniform, Read, Read, Read, Write],
};
pub(super) const NORM_LOGITS: Kernel = Kernel {
    name: "norm_logits",
    part: Part::Matvec,
    own: shader!("norm_logits"),
    bindings: &[Uniform, Read, Read, Read, Write],
};
pub(super) const ADJUST_LOGITS: Kernel = Kernel {
    name: "adjust_logits",
    part: Part::Nothing,
    own: shader!("adjust_logits"),
    bindings: &[Uniform, Read, Write, Write],
};
pub(super) const SURVEY_LOGITS: Kernel = Kernel {
    name: "survey_logits",
    part: Part::Keys,
    own: shader!("survey_logits"),
    bindings: &[Uniform, Read, Write],
};
pub(super) const SAMPLE: Kernel = Kernel {
    name: "sample",
    part: Part::Keys,
    own: shader!("sample"),
    bindings: &[Write, Read, Write, Write, Read, Write],
};

/// Spans of ids that `survey_logits` looks at: a workgroup each.
pub const SPANS: u32 = 256;

/// All kernels, in the order data passes through them; tests compile each.
pub const KERNELS: [Kernel; 13] = [
    EMBED,
    NORM_QKV_ROPE,
    QK_NORM_ROPE,
    ATTENTION,
    ATTENTION_TILED,
    ATTENTION_REDUCE,
    MATMUL_RESIDUAL,
    NORM_GATE_UP_SILU,
    NORM_UP_RELU2,
    NORM_LOGITS,
    ADJUST_LOGITS,
    SURVEY_LOGITS,
    SAMPLE,
];

/// The number of a dtype in `shaders/common.wgsl`.
fn dtype_number(dtype: Dtype) -> u32 {
    match dtype {
        Dtype::F32 => 0,
        Dtype::F16 => 1,
        Dtype::Q8_0 => 2,
        Dtype::Q4_0 => 3,
    }
}

/// Override constants by name.
pub type Constants = Vec<(&'static str, f64)>;

/// The override constants of `shaders/common.wgsl` for a model with such a cache, and for a kernel whose matrices have this dtype.
pub fn constants(config: &Config, cache: Cache, dtype: Dtype) -> Constants {
    let mut constants: Constants = [
        ("D_MODEL", config.d_model),
        ("N_HEAD", config.n_head),
        ("N_KV_HEAD", config.n_kv_head),
        ("D_HEAD", config.d_head),
        ("D_FF", config.d_ff),
        ("VOCAB_SIZE", config.vocab_size),
        ("CTX_LEN", config.ctx_len),
        ("WEIGHT_DTYPE", dtype_number(dtype)),
        ("CACHE_DTYPE", dtype_number(cache.dtype())),
    ]
    .map(|(name, value)| (name, f64::from(value)))
    .to_vec();
    constants.push(("NORM_EPS", config.norm_eps));
    constants
}
