//! `pocketlm logits MODEL --ids 12,7,9`: what the engine computes, for comparing it with others.

use std::io::{self, Write};

use clap::Args;
use pocketlm_inference::EngineError;

use crate::{ModelOptions, device, model};

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    model: ModelOptions,
    /// Token ids, with commas between them; at most ctx_len
    #[arg(long, value_delimiter = ',', required = true)]
    ids: Vec<u32>,
    /// Ids read at a time; 1 is token by token [default: all]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    chunk: Option<u32>,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let model = model::load(&options.model.model)?;
    let logits = pollster::block_on(async {
        // No self-check unless `auto` has to choose: what this command is for is to see how a backend differs.
        let mut opened = device::open(&model, &options.model).await?;
        let chunk = options
            .chunk
            .map_or(options.ids.len(), |chunk| chunk as usize);
        let mut logits = Vec::new();
        for ids in options.ids.chunks(chunk) {
            logits.extend(opened.engine.logits(ids).await?);
        }
        anyhow::Ok(logits)
    })?;
    if logits.is_empty() {
        return Err(EngineError::EmptyPrompt.into());
    }
    print(&logits)
}

/// Numbers to stdout, in little-endian f32.
pub fn print(numbers: &[f32]) -> anyhow::Result<()> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut stdout = io::stdout().lock();
    stdout.write_all(&bytes)?;
    stdout.flush()?;
    Ok(())
}
