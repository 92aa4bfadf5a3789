//! The CPU backend: [`CpuEngine`] runs the operations of [`ops`] over a preallocated cache and preallocated activations.
//!
//! It is the oracle of the GPU kernels and the fallback where there is no WebGPU. Nothing is allocated per token.

mod adjust_logits;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod columns;
mod engine;
mod exp;
mod integers;
mod isa;
mod lanes;
mod matmul;
pub mod ops;
mod portable;
mod sample;
mod tiles;

pub use engine::CpuEngine;
pub use isa::Isa;
