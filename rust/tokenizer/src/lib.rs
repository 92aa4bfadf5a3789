//! Byte-level BPE: train, encode, decode.
//!
//! GPT-2's split, merges and ids identical to Hugging Face `tokenizers` on the same documents. Text comes in, ids go
//! out, and the same crate does it in the training pipeline, in the native program and, as wasm, in the browser.
//!
//! ```
//! use pocketlm_tokenizer::{Tokenizer, train::{TrainConfig, train}};
//!
//! let config = TrainConfig { vocab_size: 270, ..TrainConfig::default() };
//! let tokenizer = train(["to be or not to be", "that is the question"], &config)?;
//! let ids = tokenizer.encode("to be");
//! assert_eq!(tokenizer.decode(&ids)?, b"to be");
//!
//! let again = Tokenizer::from_bytes(&tokenizer.to_bytes())?; // the flat form, FORMAT.md
//! assert_eq!(again.encode("to be"), ids);
//! # Ok::<(), pocketlm_tokenizer::TokenizerError>(())
//! ```
//!
//! In the order data passes through them: [`train`] makes a [`Tokenizer`]; `format` reads and writes its flat form,
//! `interop` reads and writes Hugging Face's and tiktoken's; [`split`] cuts text into pieces (by the kinds of [`unicode`]), `encode` merges
//! within each piece ([`naive`] is its slow twin), `decode` turns ids into bytes and text.
//!
//! # Features
//! - `formats` (default): reading `tokenizer.json`, and `.tiktoken` files.
//! - `regex`: splits by any regular expression (the crate `fancy-regex`; the wasm module and the command line go without it).
//! - `nfc` (implied by `formats`): normalisation form C by tables of the crate; without it the caller brings a function.
//! - `literals` (default): added tokens are looked for some times as fast where there are few, by 20 KB of code.
//! - `std` (default): training, and encoding with threads. Without it the crate is `no_std` + alloc, and builds for `wasm32v1-none`.

#![no_std]
#![deny(unsafe_code)] // but for `prefetch`, and `split::block`'s SSE2

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod added;
mod automaton;
mod byte_level;
mod byte_pairs;
mod decode;
mod encode;
mod error;
mod format;
mod interop;
mod merge;
pub mod naive;
mod normalize;
mod parts;
mod prefetch;
#[cfg(test)]
mod random;
pub mod split;
mod table;
mod tokenizer;
#[cfg(feature = "std")]
pub mod train;
pub mod unicode;
mod unicode_table;
mod vocabulary;

pub use added::AddedToken;
pub use decode::{DecodeStream, Utf8Stream};
pub use encode::{Encoder, character_offsets};
#[cfg(feature = "std")]
pub use encode::{Pool, all_threads};
pub use error::TokenizerError;
#[cfg(feature = "nfc")]
pub use normalize::nfc;
pub use normalize::{Nfc, Normalizer};
pub use parts::MergeOrder;
pub use tokenizer::{MAX_VOCAB_SIZE, Tokenizer};
