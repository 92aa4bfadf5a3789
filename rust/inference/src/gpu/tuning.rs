//! How kernels are cut into threads on a kind of adapter.

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
