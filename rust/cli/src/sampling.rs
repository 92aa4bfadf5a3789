//! How tokens are chosen, on the command line; and the loop that shows what a generation brings.

use std::io::{self, Write};
use std::time::Instant;

use clap::Args;
use pocketlm_inference::generate::FinishReason;
use pocketlm_inference::{Engine, EngineError, Generator, Sampling};
use pocketlm_tokenizer::{DecodeStream, Tokenizer};

use crate::pace::Pace;

#[derive(Args)]
pub struct Options {
    /// Sample among the K likeliest tokens; 0 for all
    #[arg(long, default_value_t = 0)]
    top_k: u32,
    /// Sample among the likeliest tokens that together have this probability; 1 for all
    #[arg(long, default_value_t = 0.95, value_parser = top_p, allow_negative_numbers = true)]
    top_p: f32,
    /// Sample among the tokens that are at least this times as likely as the likeliest one; 0 for all
    #[arg(long, default_value_t = 0.0, value_parser = min_p, allow_negative_numbers = true)]
    min_p: f32,
    /// Divides the logits of tokens that the prompt or the answer has (multiplies negative ones); 1 for none
    #[arg(long, default_value_t = 1.0, value_parser = repetition_penalty, allow_negative_numbers = true)]
    repetition_penalty: f32,
    /// Taken off the logits of tokens that the answer has; 0 for none
    #[arg(long, default_value_t = 0.0, value_parser = presence_penalty, allow_negative_numbers = true)]
    presence_penalty: f32,
    /// Taken off a token's logit for each time that the answer has it; 0 for none
    #[arg(long, default_value_t = 0.0, value_parser = frequency_penalty, allow_negative_numbers = true)]
    frequency_penalty: f32,
    /// Added to the logit of the token with this id, as 42=-3.5; -inf forbids it; may be given many times
    #[arg(long, value_name = "ID=BIAS", value_parser = logit_bias)]
    logit_bias: Vec<(u32, f32)>,
    /// The same seed gives the same text
    #[arg(long, default_value_t = 0)]
    seed: u32,
    /// Guess up to N tokens from what the text has said before, and read them in one pass, while that is faster; on the CPU. The text is
    /// the same but for rounding
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub guesses: u32,
}

impl Options {
    /// With this temperature.
    pub fn at(&self, temperature: f32) -> Sampling {
        Sampling {
            temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            presence_penalty: self.presence_penalty,
            frequency_penalty: self.frequency_penalty,
            logit_bias: self.logit_bias.clone(),
            seed: self.seed,
            ..Sampling::GREEDY
        }
    }
}

/// An argument that may be a temperature.
pub fn temperature(text: &str) -> Result<f32, String> {
    checked(text, |temperature| Sampling {
        temperature,
        ..Sampling::GREEDY
    })
}

fn top_p(text: &str) -> Result<f32, String> {
    checked(text, |top_p| Sampling {
        top_p,
        ..Sampling::GREEDY
    })
}

fn min_p(text: &str) -> Result<f32, String> {
    checked(text, |min_p| Sampling {
        min_p,
        ..Sampling::GREEDY
    })
}

fn repetition_penalty(text: &str) -> Result<f32, String> {
    checked(text, |repetition_penalty| Sampling {
        repetition_penalty,
        ..Sampling::GREEDY
    })
}

fn presence_penalty(text: &str) -> Result<f32, String> {
    checked(text, |presence_penalty| Sampling {
        presence_penalty,
        ..Sampling::GREEDY
    })
}

fn frequency_penalty(text: &str) -> Result<f32, String> {
    checked(text, |frequency_penalty| Sampling {
        frequency_penalty,
        ..Sampling::GREEDY
    })
}

/// `ID=BIAS`; the engine checks both, which knows the vocabulary.
fn logit_bias(text: &str) -> Result<(u32, f32), String> {
    let (id, bias) = text.split_once('=').ok_or("expected ID=BIAS, as 42=-3.5")?;
    let id = id.parse().map_err(|error| format!("{id}: {error}"))?;
    let bias = bias.parse().map_err(|error| format!("{bias}: {error}"))?;
    Ok((id, bias))
}

/// A number that the sampling made with it allows.
fn checked(text: &str, with: impl Fn(f32) -> Sampling) -> Result<f32, String> {
    let number = text.parse().map_err(|error| format!("{error}"))?;
    with(number)
        .check_numbers()
        .map_err(|error| error.to_string())?;
    Ok(number)
}

/// What a generation brought, and how long it took.
pub struct Outcome {
    pub text: String,
    pub tokens: usize,
    /// How many times guesses were read.
    passes: u32,
    pub first_token_s: Option<f64>,
    pub seconds: f64,
    /// `None` where it was stopped.
    pub finish: Option<FinishReason>,
}

impl Outcome {
    /// How many passes of guesses there were, where guessing was asked for.
    pub fn passes(&self, guesses: u32) -> String {
        if guesses == 0 {
            return String::new();
        }
        format!(", {} passes of guesses", self.passes)
    }
}

/// Run a generation to its end, or until `is_stopped` says so, and write its text on stdout as it comes; up to `guesses` tokens are guessed
/// at once.
///
/// # Errors
/// Those of [`Generator::step`], and of stdout.
pub async fn show(
    generator: &mut Generator,
    engine: &mut Engine,
    tokenizer: &Tokenizer,
    guesses: u32,
    is_stopped: impl Fn() -> bool,
) -> anyhow::Result<Outcome> {
    let mut stream = DecodeStream::new(tokenizer);
    let mut pace = Pace::new(guesses);
    let started = Instant::now();
    let mut outcome = Outcome {
        text: String::new(),
        tokens: 0,
        passes: 0,
        first_token_s: None,
        seconds: 0.0,
        finish: None,
    };
    while outcome.finish.is_none() && !is_stopped() {
        pace.set(generator);
        let step_started = Instant::now();
        let step = generator.step(engine).await?;
        pace.learn(&step, step_started.elapsed().as_secs_f64());
        if !step.ids.is_empty() {
            outcome
                .first_token_s
                .get_or_insert_with(|| started.elapsed().as_secs_f64());
        }
        outcome.tokens += step.ids.len();
        outcome.passes += u32::from(step.guessed > 0);
        let mut text = String::new();
        for id in step.ids {
            text += &stream.push(id)?;
        }
        if step.done.is_some() {
            text += &stream.finish();
        }
        print(&text)?;
        outcome.text += &text;
        outcome.finish = step.done;
    }
    outcome.seconds = started.elapsed().as_secs_f64();
    Ok(outcome)
}

/// The file's tokenizer, which must not know tokens that the model does not.
///
/// # Errors
/// What is wrong with it.
pub fn tokenizer(model: &pocketlm_inference::Model) -> anyhow::Result<Tokenizer> {
    use anyhow::Context;
    let tokenizer = Tokenizer::from_bytes(model.tokenizer_bytes()).context("bad tokenizer")?;
    let (ids, rows) = (tokenizer.vocab_size(), model.config().vocab_size);
    anyhow::ensure!(
        ids <= rows,
        "the tokenizer has {ids} tokens, the model only {rows}"
    );
    Ok(tokenizer)
}

/// The token that begins a document, as a prompt.
///
/// # Errors
/// [`EngineError::EmptyPrompt`] where the model has none.
pub fn beginning(model: &pocketlm_inference::Model) -> Result<Vec<u32>, EngineError> {
    match model.config().bos_token_id {
        Some(bos) => Ok(vec![bos]),
        None => Err(EngineError::EmptyPrompt),
    }
}

/// Write on stdout at once.
///
/// # Errors
/// Those of stdout.
pub fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
