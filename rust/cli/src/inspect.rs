//! `pocketlm inspect MODEL [--json]`: the header and the tensors.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::Args;
use pocketlm_inference::{Cache, Model};

use crate::model;

#[derive(Args)]
pub struct Options {
    /// The model.bin
    model: PathBuf,
    /// Print the file's JSON header as it is
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let model = model::load(&options.model)?;
    let text = if options.json {
        format!("{}\n", model.header_json())
    } else {
        describe(&model)?
    };
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}

/// The provenance is free text of whoever made the file: what a terminal would obey is shown as an escape.
fn printable(text: &str) -> String {
    text.chars().fold(String::new(), |mut shown, c| {
        if c.is_ascii_graphic() || c == ' ' || c.is_alphanumeric() {
            shown.push(c);
        } else {
            shown.extend(c.escape_debug());
        }
        shown
    })
}

fn describe(model: &Model) -> anyhow::Result<String> {
    let header: serde_json::Value = serde_json::from_str(model.header_json())?;
    let weights: u64 = model
        .tensors()
        .map(|tensor| tensor.shape.iter().product::<u64>())
        .sum();
    let cache = Cache::of(model);
    let mut text = String::new();
    writeln!(
        text,
        "{weights} weights in {} bytes, every check passed",
        model.file_nbytes()
    )?;
    writeln!(
        text,
        "KV cache: {} bytes a token ({})",
        cache.token_nbytes(model.config()),
        cache.name()
    )?;
    for part in ["config", "provenance"] {
        writeln!(text, "\n{part}")?;
        for (key, value) in header[part].as_object().into_iter().flatten() {
            let (key, value) = (printable(key), printable(&value.to_string()));
            writeln!(text, "  {key:<15} {value}")?;
        }
    }
    writeln!(text, "\ntokenizer: {} bytes", model.tokenizer_bytes().len())?;
    writeln!(text, "golden: {} ids\n\ntensors", model.golden().ids.len())?;
    for tensor in model.tensors() {
        let shape = tensor
            .shape
            .iter()
            .map(u64::to_string)
            .collect::<Vec<_>>()
            .join(" × ");
        writeln!(
            text,
            "  {:<50} {} {shape}",
            tensor.name,
            tensor.dtype.name()
        )?;
    }
    Ok(text)
}
