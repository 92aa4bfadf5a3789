//! The instructions that the matrix loop may use.
//!
//! The engine cannot ask the processor (detection is `std`'s): its caller does, and passes the answer down.

use super::kernels::Kernels;
#[cfg(target_arch = "aarch64")]
use super::neon;
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};

/// A set of instructions for the matrix loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Isa(pub(super) Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(target_arch = "aarch64")]
    Dotprod,
}

impl Isa {
    /// The loop that is the same everywhere, in what every processor of the target has: SSE2 on x86-64, NEON on aarch64, SIMD128 in
    /// wasm.
    pub const PORTABLE: Self = Self(Kind::Portable);

    /// The best that every processor of the target has: a loop of NEON's own on aarch64, else the portable one.
    #[cfg(not(target_arch = "aarch64"))]
    pub const BASELINE: Self = Self::PORTABLE;
    /// The best that every processor of the target has: a loop of NEON's own on aarch64, else the portable one.
    #[cfg(target_arch = "aarch64")]
    pub const BASELINE: Self = Self(Kind::Neon);

    /// AVX2 with FMA and F16C, as every x86-64 processor has since 2015.
    ///
    /// # Safety
    /// The processor must have all three: `is_x86_feature_detected!` of `std` tells.
    #[cfg(target_arch = "x86_64")]
    pub const unsafe fn avx2() -> Self {
        Self(Kind::Avx2)
    }

    /// AVX-512's foundation, with AVX2, FMA and F16C.
    ///
    /// # Safety
    /// The processor must have all four, and the operating system keep their registers: `is_x86_feature_detected!` of `std` tells.
    #[cfg(target_arch = "x86_64")]
    pub const unsafe fn avx512() -> Self {
        Self(Kind::Avx512)
    }

    /// NEON with dot products of bytes, as Apple's processors have, and nearly all others of aarch64 since 2018.
    ///
    /// # Safety
    /// The processor must have `dotprod`: `is_aarch64_feature_detected!` of `std` tells.
    #[cfg(target_arch = "aarch64")]
    pub const unsafe fn dotprod() -> Self {
        Self(Kind::Dotprod)
    }

    /// "portable", "avx2", "avx512", "neon" or "dotprod".
    ///
    /// ```
    /// assert_eq!(pocketlm_inference::cpu::Isa::PORTABLE.name(), "portable");
    /// ```
    pub const fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512",
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => "neon",
            #[cfg(target_arch = "aarch64")]
            Kind::Dotprod => "dotprod",
        }
    }

    /// The table of these instructions; `None` for the portable loop. Whoever made the Isa promised that the processor has them.
    pub(super) fn kernels(self) -> Option<&'static Kernels> {
        match self.0 {
            Kind::Portable => None,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => Some(&avx2::KERNELS),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => Some(&avx512::KERNELS),
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => Some(&neon::KERNELS),
            #[cfg(target_arch = "aarch64")]
            Kind::Dotprod => Some(&neon::KERNELS_WITH_DOTPROD),
        }
    }
}
