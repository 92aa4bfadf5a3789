//! The CPU backend: [`CpuEngine`] runs the operations of [`ops`] over a preallocated cache and preallocated activations.
//!
//! It is the oracle of the GPU kernels and the fallback where there is no WebGPU. Nothing is allocated per token. Its caller says which
//! instructions ([`Isa`]) and which threads ([`Threads`]) there are.

mod adjust_logits;
mod attend;
mod attention;
mod attention_weights;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod cache;
mod columns;
#[cfg(target_arch = "aarch64")]
mod dotprod;
mod engine;
pub(crate) mod exp;
mod integers;
mod isa;
#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(dead_code, reason = "no vector instructions there yet")
)]
mod kernels;
mod lanes;
mod matmul;
#[cfg(target_arch = "aarch64")]
mod neon;
pub mod ops;
mod portable;
#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(dead_code, reason = "no vector instructions there yet")
)]
mod quads;
#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(dead_code, reason = "no vector instructions there yet")
)]
mod rows;
mod sample;
mod silu;
mod softmax;
mod threads;
mod tiles;
#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(dead_code, reason = "no vector instructions there yet")
)]
mod vector;

#[cfg(feature = "gpu")]
pub(crate) use attention_weights::attention_weights;
pub use engine::CpuEngine;
pub use isa::Isa;
pub use threads::{Cores, OneThread, Threads};
