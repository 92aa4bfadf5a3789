//! `model.bin`, version 2: bytes in, a checked [`File`] out. The specification is `training/FORMAT.md`; this is its one reader in Rust.
//!
//! | module | does |
//! |---|---|
//! | `prefix.rs` | the first 64 bytes |
//! | `canonical.rs`, `field.rs`, `header.rs` | the JSON header: its spelling, its types |
//! | `architecture.rs`, `config.rs`, `family.rs`, `dtype.rs` | families; hyperparameters and bounds; tensors of each family; how weights are stored |
//! | `layout.rs` | [`Layout`]: where everything lies, from the header alone, in files of any size |
//! | `bytes.rs`, `digest.rs`, `file.rs` | [`File`]: a file in memory, whole or without its tensors, every byte checked |
//!
//! Checks are made in the order of the specification's §4, and nothing is allocated from a size that was not compared with the
//! file's length.

mod architecture;
mod bytes;
mod canonical;
mod config;
mod digest;
mod dtype;
mod family;
mod field;
mod file;
mod header;
mod layout;
mod prefix;

pub use architecture::Architecture;
pub use config::Config;
pub use digest::Digester;
pub use dtype::{BLOCK, Dtype};
pub use family::{ExpectedTensor, expected_tensors};
pub use file::{File, ReadAt, TensorView};
pub(crate) use file::{check_finite, check_zeros};
pub use header::Place;
pub use layout::{Layout, TensorPlace};
pub use prefix::Identity;
