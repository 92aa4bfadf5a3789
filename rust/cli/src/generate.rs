//! `pocketlm generate MODEL --prompt TEXT`: the continuation on stdout as it is made, figures on stderr.

use anyhow::Context;
use clap::Args;
use pocketlm_inference::Generator;
use pocketlm_inference::generate::FinishReason;

use crate::{ModelOptions, device, model, report, sampling};

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    model: ModelOptions,
    /// The text to continue; special tokens in it are ordinary text
    #[arg(long)]
    prompt: String,
    /// Stop after this many tokens
    #[arg(long, default_value_t = 200)]
    max_tokens: u32,
    /// Divides the logits; 0 always takes the likeliest token
    #[arg(long, default_value_t = 0.8, value_parser = sampling::temperature, allow_negative_numbers = true)]
    temperature: f32,
    #[command(flatten)]
    sampling: sampling::Options,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let model = model::load(&options.model.model)?;
    let tokenizer =
        sampling::tokenizer(&model).with_context(|| options.model.model.display().to_string())?;
    let prompt = if options.prompt.is_empty() {
        sampling::beginning(&model)?
    } else {
        tokenizer.encode(&options.prompt)
    };
    pollster::block_on(async {
        let mut opened = device::open_checked(&model, &options.model).await?;
        let chosen = options.sampling.at(options.temperature);
        let engine = &mut opened.engine;
        let mut generator = Generator::start(engine, &prompt, chosen, options.max_tokens)?;
        let outcome = sampling::show(
            &mut generator,
            engine,
            &tokenizer,
            options.sampling.guesses,
            || false,
        )
        .await?;
        let (produced, seconds) = (outcome.tokens, outcome.seconds);
        report(&format!(
            "{} prompt tokens, first token after {:.1} ms; {produced} tokens in {seconds:.3} s, {:.0} tokens/s{} on {}; {}",
            prompt.len(),
            outcome.first_token_s.unwrap_or(seconds) * 1e3,
            produced as f64 / seconds,
            outcome.passes(options.sampling.guesses),
            opened.describe(),
            match outcome.finish {
                Some(FinishReason::Eos) => "the text ended",
                _ => "the limit was reached",
            },
        ));
        Ok(())
    })
}
