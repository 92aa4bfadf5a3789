//! The wgpu backend: [`GpuEngine`] runs the kernels of `shaders/` over buffers, pipelines and bind groups that are made when loading.
//!
//! | module | does |
//! |---|---|
//! | [`request`] (`adapter.rs`) | gets a device, natively and in the browser |
//! | `context.rs` | wraps the device: counts calls, keeps failures, waits without spinning |
//! | `kernels.rs`, `step.rs` | the kernels' texts, bindings and constants: plain data |
//! | `matrices.rs` | in which dtype the kernels read a matrix, and how a row lies in memory |
//! | `tuning.rs` | how kernels are cut into threads on a kind of adapter |
//! | `pipelines.rs` | the compiled kernels |
//! | `filling.rs` | how weights come into GPU memory |
//! | `buffers.rs` | weights, cache and activations in GPU memory |
//! | `plan.rs` | the bind groups, and the order of the dispatches |
//! | `engine.rs` | [`GpuEngine`]: what is submitted for a prompt and for new tokens |
//! | `timed.rs`, `timer.rs` | kernels between timestamps; where these are written |
//! | `profile.rs` | how long each kernel takes |
//! | `tune.rs` | how one token's kernels are best cut, by measurement |
//!
//! A token is 5 dispatches a layer and 3 more (4 with a large vocabulary), in one compute pass and one submission; [`GpuEngine::decode`] puts up to
//! [`RING`](crate::limits::RING) tokens into one submission: `sample` leaves the id where `embed` finds it and advances the step, both on the GPU, and
//! the ids come back together. Nothing is created per token but WebGPU's single-use command encoder, one a submission.

mod adapter;
mod buffers;
mod context;
mod engine;
mod filling;
mod kernels;
mod look;
mod matrices;
mod pipelines;
mod plan;
mod profile;
mod step;
mod text;
mod timed;
mod timer;
mod tune;
mod tuning;

pub use adapter::{Adapter, request};
pub use buffers::largest_binding;
pub use context::Counts;
pub use engine::{GpuEngine, Phase};
pub use kernels::{Binding, Constants, KERNELS, Kernel, SPANS, constants};
pub use matrices::Dtypes;
pub use step::Step;
pub use tuning::{Forced, Split, Splitting, TILED_FROM, Tiling, Tuning};
