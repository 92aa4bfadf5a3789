//! `pocketlm look MODEL --ids 12,7,9 --layer 2`: what one can see of a text in the model, for comparing it with others.

use clap::{Args, ValueEnum};
use pocketlm_inference::look;

use crate::{ModelOptions, device, logits, model};

/// What of the last token is looked at.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum At {
    /// How much each head attends to each of the ids: a row a head
    Attention,
    /// The logits that the output layer makes after this layer and each later one: a row a layer
    Lens,
}

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    model: ModelOptions,
    /// Token ids, with commas between them; at most ctx_len
    #[arg(long, value_delimiter = ',', required = true)]
    ids: Vec<u32>,
    /// The layer, counted from 0
    #[arg(long)]
    layer: u32,
    /// What of the last token is looked at
    #[arg(long, value_enum)]
    at: At,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let model = model::load(&options.model.model)?;
    let numbers = pollster::block_on(async {
        let mut opened = device::open(&model, &options.model).await?;
        let seen = match options.at {
            At::Attention => look::attention(&mut opened.engine, &options.ids, options.layer).await,
            At::Lens => look::lens(&mut opened.engine, &options.ids, options.layer).await,
        };
        anyhow::Ok(seen?)
    })?;
    logits::print(&numbers)
}
