//! The PocketLM engine: it reads a `model.bin` and turns token ids into logits and new token ids.
//!
//! In the order data passes through:
//!
//! | module | does |
//! |---|---|
//! | [`error`], [`limits`], `memory` | failures as data; constants that several rooms share; large buffers without aborts |
//! | [`mod@format`] | parses `model.bin` with every check of `training/FORMAT.md` |
//! | [`model`] | [`Model`]: which tensor plays which part, by architecture |
//! | [`weights`] | a matrix as it lies in the file, f32 or f16 |
//! | [`rope`] | the tables of cosines and sines that both backends read |
//! | `cursor` | where a backend stands in its cache, which tokens it holds, and what does not fit there |
//! | [`sampling`] | the options, and the counter-based random numbers |
//! | [`adjustments`] | what penalties and biases do to logits before that |
//! | [`cpu`] | the CPU backend: one plain function a GPU kernel, the same names, the oracle of the GPU's |
//! | `gpu` | the wgpu backend (feature `gpu`), kernels in `shaders/` |
//! | [`engine`] | [`Engine`]: one face for both backends |
//! | [`generate`] | [`Generator`]: the loop that the command line and the browser share |
//!
//! Imports only point up in this list.
//!
//! `#![no_std]` + alloc: no files, no threads, no clock. Shapes are named by letters: `T` tokens of this call, `C` `d_model`,
//! `H` heads, `D` `d_head`, `F` `d_ff`, `V` `vocab_size`, `S` positions of the KV cache.
#![no_std]

extern crate alloc;

#[cfg(not(target_endian = "little"))]
compile_error!(
    "model.bin is little-endian and its weights are read in place: a big-endian host is not supported"
);

pub mod adjustments;
pub mod cpu;
mod cursor;
pub mod engine;
pub mod error;
pub mod format;
pub mod generate;
#[cfg(feature = "gpu")]
pub mod gpu;
pub mod limits;
mod memory;
pub mod model;
pub mod rope;
pub mod sampling;
pub mod weights;

pub use engine::Engine;
pub use error::{EngineError, FormatError};
pub use format::{Config, Digester, Identity, ReadAt};
pub use generate::Generator;
pub use model::Model;
pub use sampling::Sampling;
pub use weights::Weights;
