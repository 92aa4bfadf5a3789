//! The PocketLM engine: it reads a `model.bin` and turns token ids into logits and new token ids.
//!
//! In the order data passes through:
//!
//! | module | does |
//! |---|---|
//! | [`error`], [`limits`], `memory` | failures as data; constants that several rooms share; large buffers without aborts |
//! | [`mod@format`] | parses `model.bin` with every check of `training/FORMAT.md` |
//! | [`model`] | [`Model`]: which tensor plays which part, by architecture |
//! | [`cache`] | [`Cache`]: in what keys and values are kept |
//! | [`weights`] | a matrix as it lies in the file, f32 or f16 |
//! | [`rope`] | the tables of cosines and sines that both backends read |
//! | `cursor` | where a backend stands in its cache, which tokens it holds, and what does not fit there |
//! | [`sampling`] | the options, and the counter-based random numbers |
//! | [`adjustments`] | what penalties and biases do to logits before that |
//! | [`cpu`] | the CPU backend: one plain function a GPU kernel, the same names, the oracle of the GPU's |
//! | `gpu` | the wgpu backend (feature `gpu`), kernels in `shaders/` |
//! | [`engine`] | [`Engine`]: one face for both backends; several may share a model's weights |
//! | [`logprobs`] | [`Logprobs`](logprobs::Logprobs): how likely a sampled token was, and which ones were likelier |
//! | [`look`] | where a token attends to, and what the layers would say |
//! | [`generate`] | [`Generator`]: the loop that the command line and the browser share |
//!
//! Imports only point up in this list.
//!
//! Load a model, read a prompt, sample what comes after it. Everything is async because a GPU is waited for; on the CPU a call is done when
//! it is first polled, so any executor will do.
//!
//! ```
//! # #[path = "../tests/model_writer/mod.rs"]
//! # mod model_writer;
//! # use model_writer::{File, Shape};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use pocketlm_inference::{Engine, Generator, Model, Sampling};
//! use pollster::block_on;
//! use std::sync::Arc;
//!
//! # let bytes = File::random(Shape::TINY, 1).bytes();
//! let model = Arc::new(Model::parse(bytes)?); // the bytes of a model.bin, every one checked
//! let mut engine = Engine::cpu(model)?;
//!
//! let prompt = [1, 2, 3]; // ids, by the tokenizer that the file carries
//! block_on(engine.prefill(&prompt))?;
//! let logits = block_on(engine.last_logits())?; // (V), of the last token
//! assert_eq!(logits.len(), 11);
//! let ids = block_on(engine.decode(&Sampling::GREEDY, 4))?; // the likeliest four, one after another
//! assert_eq!((ids.len(), engine.position()), (4, 7));
//!
//! // The loop for a whole text: it ends at the end of a text too, and goes on beyond the end of the context.
//! let sampling = Sampling { temperature: 0.8, top_p: 0.95, seed: 1, ..Sampling::GREEDY };
//! let mut generator = Generator::start(&mut engine, &prompt, sampling, 50)?;
//! let mut text = Vec::new();
//! loop {
//!     let step = block_on(generator.step(&mut engine))?;
//!     text.extend(step.ids);
//!     if step.done.is_some() {
//!         break;
//!     }
//! }
//! assert_eq!(text.len(), 50);
//! # Ok(())
//! # }
//! ```
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
pub mod cache;
pub mod cpu;
mod cursor;
pub mod engine;
pub mod error;
pub mod format;
pub mod generate;
#[cfg(feature = "gpu")]
pub mod gpu;
pub mod limits;
pub mod logprobs;
pub mod look;
mod memory;
pub mod model;
pub mod profile;
pub mod rope;
pub mod sampling;
pub mod weights;

pub use cache::Cache;
pub use engine::Engine;
pub use error::{EngineError, FormatError};
pub use format::{Config, Digester, Identity, ReadAt};
pub use generate::Generator;
pub use model::Model;
pub use sampling::Sampling;
pub use weights::Weights;
