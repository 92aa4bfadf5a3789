//! What the browser's Web Worker calls: the engine and the tokenizer behind one class.
//!
//! Bytes of a `model.bin` and prompts come in, text goes out. Conversions only: [`session`] joins tokenizer, engine and the
//! generation loop, `merges` is how a token comes about, and both are plain Rust that the native tests run; `bindings` is its JavaScript face, `measure` what it is measured by,
//! `file` that of a model.bin and `webgpu` the browser's device, all four for wasm32 alone.

extern crate alloc;

pub mod failure;
mod merges;
pub mod session;

#[cfg(target_arch = "wasm32")]
mod bindings;
#[cfg(target_arch = "wasm32")]
mod file;
#[cfg(target_arch = "wasm32")]
mod measure;
#[cfg(target_arch = "wasm32")]
mod types;
#[cfg(target_arch = "wasm32")]
mod webgpu;
