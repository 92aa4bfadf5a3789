//! The instructions that the matrix loop may use.
//!
//! The engine cannot ask the processor (detection is `std`'s): its caller does, and passes the answer down.

use super::kernels::Kernels;
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
}

impl Isa {
    /// What every processor of the target has: SSE2 on x86-64, SIMD128 in wasm.
    pub const PORTABLE: Self = Self(Kind::Portable);

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

    /// "portable", "avx2" or "avx512".
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
        }
    }
}
