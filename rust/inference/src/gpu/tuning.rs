//! How kernels are cut into threads on a kind of adapter.

/// How the matrix loop (`shaders/matvec.wgsl`) is cut into threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// Threads a workgroup.
    pub workgroup: u32,
    /// Threads that share a pair of rows.
    pub lanes: u32,
}

/// How the matrix loop for many tokens (`shaders/matmul.wgsl`) is cut into threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiling {
    /// Threads a workgroup.
    pub workgroup: u32,
    /// Threads over the rows; each takes 8.
    pub row_threads: u32,
    /// Quads of tokens a thread.
    pub quads: u32,
}

impl Tiling {
    /// Weight rows that a workgroup multiplies; half as many pairs.
    pub fn rows(self) -> u32 {
        8 * self.row_threads
    }

    /// Tokens that a workgroup multiplies.
    pub fn tokens(self) -> u32 {
        4 * self.quads * (self.workgroup / self.row_threads)
    }
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

    /// Whether the matrix loop for many tokens is worth its compilation in a model whose layers have so many weights.
    ///
    /// SwiftShader takes 0.7 s of CPU time a kernel, llvmpipe 0.4; a chunk of 64 tokens saves some 0.05 s for each million weights.
    pub fn is_worth_tiling(self, weights: u64) -> bool {
        !self.is_cpu || weights >= 1 << 23
    }

    /// The matrix loop for many tokens.
    ///
    /// A CPU adapter pays for each read of memory more than for registers: tiles of 8 rows and 16 tokens a thread. On a GPU 128 sums a
    /// thread would leave too few threads on a core, or spill on a phone's; 64 sums are what matrix kernels commonly keep.
    pub fn tiling(self) -> Tiling {
        let (workgroup, row_threads, quads) = if self.is_cpu { (16, 4, 4) } else { (64, 8, 2) };
        Tiling {
            workgroup,
            row_threads,
            quads,
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

    /// Whether a vocabulary is large enough for `survey_logits` to run before `sample`.
    ///
    /// With 16k tokens llvmpipe takes 0.15 ms more for it where the likeliest token is taken, and 0.3 ms of 1.9 to 2.7 where top-k or
    /// top-p are asked for.
    pub fn is_worth_surveying(self, vocab_size: u32) -> bool {
        vocab_size >= 1 << 15
    }

    /// Threads a workgroup of `survey_logits`, at most 64.
    pub fn survey_threads(self) -> u32 {
        if self.is_cpu { 16 } else { 64 }
    }
}
