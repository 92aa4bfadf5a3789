//! How kernels are cut into threads on a kind of adapter.

/// How the matrix loop (`shaders/matvec.wgsl`) is cut into threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// Threads a workgroup.
    pub workgroup: u32,
    /// Threads that share a pair of rows.
    pub lanes: u32,
}

impl Split {
    /// Pairs of rows a workgroup.
    pub fn pairs(self) -> u32 {
        self.workgroup / self.lanes
    }

    /// The override constants of `shaders/matvec.wgsl`, where `tile` tokens, 1 or 4, share a reading of the weights.
    pub fn constants(self, tile: u32) -> [(&'static str, f64); 3] {
        [
            ("WORKGROUP", f64::from(self.workgroup)),
            ("LANES", f64::from(self.lanes)),
            ("TILE", f64::from(tile)),
        ]
    }
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
    forced: Forced,
}

/// What is done whatever is thought best on the adapter, for tests; `None` leaves it to [`Tuning`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forced {
    /// Tiles for many tokens, in matrix products and in attention.
    pub tiles: Option<bool>,
    /// The workgroups that attention is split into, and the least positions of a split.
    pub splits: Option<(u32, u32)>,
    /// A survey of the logits before sampling.
    pub survey: Option<bool>,
    /// How the matrix loop is cut.
    pub split: Option<Split>,
    /// Whether [`GpuEngine::tune`](super::GpuEngine::tune) measures.
    pub tune: Option<bool>,
}

/// How attention is split over the cache; the same as `shaders/splits.wgsl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Splitting {
    /// Workgroups wanted at least; 1 never splits.
    pub workgroups: u32,
    /// Positions of a split, but of the last.
    pub least: u32,
    /// Tokens a workgroup from [`TILED_FROM`] tokens on.
    pub tile_tokens: u32,
}

/// From so many tokens on tiles take over. Below, most of one would be empty.
pub const TILED_FROM: u32 = 8;

impl Splitting {
    /// Splits of the cache for tokens that begin at `position`.
    pub fn count(self, n_head: u32, position: u32, tokens: u32) -> u32 {
        let tile = if tokens >= TILED_FROM {
            self.tile_tokens
        } else {
            1
        };
        let most = (self.workgroups / (n_head * tokens.div_ceil(tile))).max(1);
        let seen = position + tokens;
        seen.div_ceil(seen.div_ceil(most).max(self.least))
    }

    /// Splits · tokens · heads, at the most.
    pub fn rows(self) -> u32 {
        self.workgroups * self.tile_tokens
    }
}

impl Tuning {
    /// For this kind of adapter.
    pub fn new(device_type: wgpu::DeviceType) -> Self {
        Self::forced(device_type, Forced::default())
    }

    /// For this kind of adapter, but for what is forced.
    pub fn forced(device_type: wgpu::DeviceType, forced: Forced) -> Self {
        Self {
            is_cpu: device_type == wgpu::DeviceType::Cpu,
            forced,
        }
    }

    /// The matrix loop over `pairs` pairs of rows.
    ///
    /// A GPU reads whole cache lines when at least 8 neighbours read 16 bytes each, and wants tens of thousands of threads: more lanes
    /// where there are few rows.
    pub fn split(self, pairs: u32) -> Split {
        if let Some(split) = self.forced.split {
            return split;
        }
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

    /// What [`GpuEngine::tune`](super::GpuEngine::tune) measures against [`split`](Self::split) for one token: which is best depends on a
    /// GPU's caches and on how many threads it takes to keep its memory busy.
    pub fn candidates(self) -> &'static [Split] {
        const fn split(workgroup: u32, lanes: u32) -> Split {
            Split { workgroup, lanes }
        }
        const CPU: [Split; 4] = [split(16, 1), split(64, 1), split(16, 2), split(64, 8)];
        const GPU: [Split; 6] = [
            split(64, 4),
            split(64, 8),
            split(64, 16),
            split(64, 32),
            split(64, 64),
            split(32, 32),
        ];
        if self.is_cpu { &CPU } else { &GPU }
    }

    /// Whether measuring the candidates is worth their compilation in a model whose layers have so many weights.
    ///
    /// On llvmpipe and SwiftShader one lane is best in every dtype and shape, and what the workgroup's size changes is within the noise. On a GPU a small
    /// model's token is a matter of dispatches, not of how they read.
    pub fn is_worth_tuning(self, weights: u64) -> bool {
        let is_worth_it = !self.is_cpu && weights >= 1 << 23;
        self.forced.tune.unwrap_or(is_worth_it)
    }

    /// Whether the matrix loop for many tokens is worth its compilation in a model whose layers have so many weights.
    ///
    /// SwiftShader takes 0.7 s of CPU time a kernel, llvmpipe 0.4; a chunk of 64 tokens saves some 0.05 s for each million weights.
    pub fn is_worth_tiling(self, weights: u64) -> bool {
        let is_worth_it = !self.is_cpu || weights >= 1 << 23;
        self.forced.tiles.unwrap_or(is_worth_it)
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

    /// Threads a workgroup of `attention` for heads of twice `width` vec4s, at most 64: enough for all of them on a CPU adapter, where a second
    /// workgroup would compute the scores again.
    pub fn attention_threads(self, width: u32) -> u32 {
        if self.is_cpu {
            width.next_multiple_of(8).clamp(16, 64)
        } else {
            64
        }
    }

    /// Threads of `attention` that read a key of twice `width` vec4s side by side.
    ///
    /// A GPU reads whole cache lines where 8 neighbours read 16 bytes each.
    pub fn key_lanes(self, width: u32) -> u32 {
        match width {
            _ if self.is_cpu => 1,
            0..8 => 1 << width.ilog2(),
            _ => 8,
        }
    }

    /// Threads over the queries of `attention_tiled`, and over its keys; it takes 4 of each a thread.
    pub fn attention_rows(self) -> u32 {
        if self.is_cpu { 4 } else { 8 }
    }

    /// How attention is split, with or without tiles.
    ///
    /// A CPU adapter has few cores, which the heads of one token keep busy. What fills a GPU was not measured: 256 workgroups are two
    /// for each core of a large one.
    pub fn splitting(self, is_tiled: bool) -> Splitting {
        let default = if self.is_cpu { (1, 64) } else { (256, 64) };
        let (workgroups, least) = self.forced.splits.unwrap_or(default);
        let tile_tokens = if is_tiled {
            4 * self.attention_rows()
        } else {
            1
        };
        Splitting {
            workgroups,
            least,
            tile_tokens,
        }
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
        self.forced.survey.unwrap_or(vocab_size >= 1 << 15)
    }

    /// Threads a workgroup of the small kernels.
    pub fn threads(self) -> u32 {
        if self.is_cpu { 16 } else { 64 }
    }
}
