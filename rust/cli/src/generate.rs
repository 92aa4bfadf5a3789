//! `pocketlm generate MODEL --prompt TEXT`: the continuation on stdout as it is made, figures on stderr.

use std::io::{self, Write};
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use pocketlm_inference::generate::FinishReason;
use pocketlm_inference::{EngineError, Generator, Model, Sampling};
use pocketlm_tokenizer::{DecodeStream, Tokenizer};

use crate::{ModelOptions, device, model, report};

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    model: ModelOptions,
    /// The text to continue; special tokens written literally count as such
    #[arg(long)]
    prompt: String,
    /// Stop after this many tokens
    #[arg(long, default_value_t = 200)]
    max_tokens: u32,
    /// Divides the logits; 0 always takes the likeliest token
    #[arg(long, default_value_t = 0.8, value_parser = temperature, allow_negative_numbers = true)]
    temperature: f32,
    /// Sample among the K likeliest tokens; 0 for all
    #[arg(long, default_value_t = 0)]
    top_k: u32,
    /// Sample among the likeliest tokens that together have this probability; 1 for all
    #[arg(long, default_value_t = 0.95, value_parser = top_p, allow_negative_numbers = true)]
    top_p: f32,
    /// The same seed gives the same text
    #[arg(long, default_value_t = 0)]
    seed: u32,
}

fn temperature(text: &str) -> Result<f32, String> {
    let temperature = text.parse().map_err(|error| format!("{error}"))?;
    Sampling {
        temperature,
        ..Sampling::GREEDY
    }
    .check()
    .map_err(|error| error.to_string())?;
    Ok(temperature)
}

fn top_p(text: &str) -> Result<f32, String> {
    let top_p = text.parse().map_err(|error| format!("{error}"))?;
    Sampling {
        top_p,
        ..Sampling::GREEDY
    }
    .check()
    .map_err(|error| error.to_string())?;
    Ok(top_p)
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let model = model::load(&options.model.model)?;
    let tokenizer = tokenizer(&model).with_context(|| options.model.model.display().to_string())?;
    let prompt = encode(&tokenizer, &model, &options.prompt)?;
    pollster::block_on(async {
        let mut opened = device::open_checked(&model, options.model.device).await?;
        let sampling = Sampling {
            temperature: options.temperature,
            top_k: options.top_k,
            top_p: options.top_p,
            seed: options.seed,
        };
        let engine = &mut opened.engine;
        let mut stream = DecodeStream::new(&tokenizer);
        let mut generator = Generator::start(engine, &prompt, sampling, options.max_tokens)?;
        let started = Instant::now();
        let (mut produced, mut first_token_s) = (0, None);
        let finish = loop {
            let step = generator.step(engine).await?;
            if !step.ids.is_empty() {
                first_token_s.get_or_insert_with(|| started.elapsed().as_secs_f64());
            }
            produced += step.ids.len();
            let mut text = String::new();
            for id in step.ids {
                text += &stream.push(id)?;
            }
            if step.done.is_some() {
                text += &stream.finish();
            }
            print(&text)?;
            if let Some(finish) = step.done {
                break finish;
            }
        };
        let seconds = started.elapsed().as_secs_f64();
        report(&format!(
            "{} prompt tokens, first token after {:.1} ms; {produced} tokens in {seconds:.3} s, {:.0} tokens/s on {}; {}",
            prompt.len(),
            first_token_s.unwrap_or(seconds) * 1e3,
            produced as f64 / seconds,
            opened.describe(),
            match finish {
                FinishReason::Eos => "the text ended",
                FinishReason::MaxTokens => "the limit was reached",
            },
        ));
        Ok(())
    })
}

/// The file's tokenizer, which must not know tokens that the model does not.
fn tokenizer(model: &Model) -> anyhow::Result<Tokenizer> {
    let tokenizer = Tokenizer::from_bytes(model.tokenizer_bytes()).context("bad tokenizer")?;
    let (ids, rows) = (tokenizer.vocab_size(), model.config().vocab_size);
    anyhow::ensure!(
        ids <= rows,
        "the tokenizer has {ids} tokens, the model only {rows}"
    );
    Ok(tokenizer)
}

/// The prompt's tokens; an empty prompt is the token that begins a document.
fn encode(tokenizer: &Tokenizer, model: &Model, prompt: &str) -> Result<Vec<u32>, EngineError> {
    match (prompt, model.config().bos_token_id) {
        ("", Some(bos)) => Ok(vec![bos]),
        ("", None) => Err(EngineError::EmptyPrompt),
        _ => Ok(tokenizer.encode_with_special(prompt)),
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
