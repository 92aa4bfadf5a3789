//! What the fuzz targets share: the workspace's own test modules, a bound on memory, and the first inputs of each corpus.

mod memory;
mod seeds;

#[path = "../../inference/tests/hostile/mod.rs"]
pub mod hostile_model;
#[path = "../../tokenizer/tests/hostile/mod.rs"]
pub mod hostile_tokenizer;
#[path = "../../inference/tests/model_writer/mod.rs"]
pub mod model_writer;

pub use memory::bounded;
pub use seeds::{model_file, quantised_file, seeds};
