//! `pocketlm chat MODEL`: a conversation on stdin and stdout; `--prompt TEXT` asks one question and ends.

use std::io::{self, BufRead, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use clap::Args;
use pocketlm_inference::Generator;

use crate::template::{Message, Template};
use crate::{ModelOptions, device, model, report, sampling, turns};

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    model: ModelOptions,
    /// Ask this alone, write the answer, and end
    #[arg(long)]
    prompt: Option<String>,
    /// What the model is told before the conversation [default: what its template says]
    #[arg(long)]
    system: Option<String>,
    /// Write figures on stderr after each answer
    #[arg(long)]
    figures: bool,
    /// An answer ends after this many tokens
    #[arg(long, default_value_t = 512)]
    max_tokens: u32,
    /// Divides the logits; 0 always takes the likeliest token
    #[arg(long, default_value_t = 0.2, value_parser = sampling::temperature, allow_negative_numbers = true)]
    temperature: f32,
    #[command(flatten)]
    sampling: sampling::Options,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let model = model::load(&options.model.model)?;
    let named = || options.model.model.display().to_string();
    let tokenizer = sampling::tokenizer(&model).with_context(named)?;
    let Some(text) = model.chat_template() else {
        bail!(
            "{} has no chat template; `pocketlm generate` continues a text",
            named()
        );
    };
    let token = |id: Option<u32>| {
        let bytes = id
            .and_then(|id| tokenizer.token_bytes(id))
            .unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    };
    let template = Template {
        text,
        bos_token: token(model.config().bos_token_id),
        eos_token: token(model.config().eos_token_id),
        special_tokens: tokenizer.special_tokens().map(|(_, text)| text).collect(),
    };
    let system = options.system.iter().map(|text| Message {
        role: "system",
        content: text.clone(),
    });
    let mut messages: Vec<Message> = system.collect();
    let mut last: Option<Generator> = None;
    let is_stopped = Arc::new(AtomicBool::new(false));
    let mut lines = io::stdin().lock().lines();
    let asks = io::stdin().is_terminal();
    pollster::block_on(async {
        let mut opened = device::open_checked(&model, &options.model).await?;
        if options.prompt.is_none() {
            // The first Ctrl-C stops an answer; where there is none to stop, it ends the program, as ever.
            let flag = is_stopped.clone();
            ctrlc::set_handler(move || {
                if flag.swap(true, Ordering::SeqCst) {
                    std::process::exit(130);
                }
            })
            .context("cannot listen for Ctrl-C")?;
        }
        loop {
            let question = match &options.prompt {
                Some(prompt) => prompt.clone(),
                None => {
                    is_stopped.store(true, Ordering::SeqCst);
                    if asks {
                        sampling::print("> ")?;
                    }
                    match lines.next() {
                        Some(line) => line.context("cannot read stdin")?,
                        None => return Ok(()),
                    }
                }
            };
            if question.trim().is_empty() && options.prompt.is_none() {
                continue;
            }
            is_stopped.store(false, Ordering::SeqCst);
            messages.push(Message {
                role: "user",
                content: question,
            });
            let room = model.config().ctx_len as usize;
            let ids = turns::fit(&mut messages, room, |messages| {
                let parts = template.prompt(messages)?;
                anyhow::Ok(tokenizer.encode_by_turns(&parts))
            })?;
            let engine = &mut opened.engine;
            let chosen = options.sampling.at(options.temperature);
            let mut generator = match last.take() {
                None => Generator::start(engine, &ids, chosen, options.max_tokens)?,
                Some(before) => before.follow(engine, &ids, chosen, options.max_tokens)?,
            };
            let kept = engine.position();
            let stopped = || is_stopped.load(Ordering::SeqCst);
            let guesses = options.sampling.guesses;
            let outcome =
                sampling::show(&mut generator, engine, &tokenizer, guesses, stopped).await?;
            last = Some(generator);
            sampling::print("\n")?;
            if options.prompt.is_some() || options.figures {
                report(&format!(
                    "{} prompt tokens, {kept} of them in the cache, first token after {:.1} ms; {} tokens in {:.3} s{} on {}",
                    ids.len(),
                    outcome.first_token_s.unwrap_or(outcome.seconds) * 1e3,
                    outcome.tokens,
                    outcome.seconds,
                    outcome.passes(guesses),
                    opened.describe(),
                ));
            }
            if options.prompt.is_some() {
                return Ok(());
            }
            messages.push(Message {
                role: "assistant",
                content: outcome.text,
            });
        }
    })
}
