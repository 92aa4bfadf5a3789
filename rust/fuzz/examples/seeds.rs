//! `cargo run --example seeds`: write the first inputs of every corpus into `corpus/TARGET/`.

use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    for target in [
        "model_file",
        "model_header",
        "tokenizer_file",
        "regex_split",
        "tokenizer_text",
    ] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(target);
        fs::create_dir_all(&folder)?;
        for (index, seed) in pocketlm_fuzz::seeds(target).into_iter().enumerate() {
            fs::write(folder.join(format!("seed-{index}")), seed)?;
        }
    }
    Ok(())
}
