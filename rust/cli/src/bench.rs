//! `pocketlm bench MODEL [--json] [--profile] [--at POSITIONS]`: the median of several runs of loading, prefill and decode; where the time goes.

use std::io::{self, Write};
use std::time::Instant;

use clap::Args;
use cpu_time::ProcessTime;
use pocketlm_inference::{Config, Engine, EngineError, Sampling};
use serde_json::{Value, json};

use crate::{ModelOptions, device, model, profile};

#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    model: ModelOptions,
    /// One JSON object instead of lines
    #[arg(long)]
    json: bool,
    /// Runs of each measurement; the median counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Also show what a token takes at these positions of the context, by turns; the least of the runs counts
    #[arg(long, value_name = "POSITION,…", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..))]
    at: Vec<u32>,
    /// Also show where the time goes: on the CPU by operation, with the share of the memory's bandwidth; on a GPU by kernel
    #[arg(long)]
    profile: bool,
}

/// Tokens sampled at once while decoding.
const BATCH: u32 = pocketlm_inference::Generator::BATCH;

pub fn run(options: &Options) -> anyhow::Result<()> {
    let started = Instant::now();
    let model = model::load(&options.model.model)?;
    let parse_ms = started.elapsed().as_secs_f64() * 1e3;
    let started = Instant::now();
    let mut opened = pollster::block_on(device::open_checked(&model, &options.model))?;
    let start_ms = started.elapsed().as_secs_f64() * 1e3;

    let config = model.config();
    // A prompt of half the context, then as many tokens as still fit: decode is measured over the whole second half.
    let prompt_tokens = (config.ctx_len / 2).max(1);
    let decode_tokens = config.ctx_len - prompt_tokens;
    let prompt = prompt(config, prompt_tokens);
    let mut runs = Vec::new();
    for _ in 0..options.runs {
        runs.push(pollster::block_on(measure(
            &mut opened.engine,
            &prompt,
            decode_tokens,
        ))?);
    }
    let at = pollster::block_on(at_positions(&mut opened.engine, &options.at, options.runs))?;
    let cache = opened.engine.cache();
    let cache_bytes = cache.token_nbytes(config) * u64::from(config.ctx_len);
    let profile = if options.profile {
        Some(pollster::block_on(profile::of(
            &mut opened.engine,
            options.runs,
        ))?)
    } else {
        None
    };
    let prefill = f64::from(prompt_tokens) / median(&runs, |run| run.prefill.clock_s);
    let decode = f64::from(decode_tokens) / median(&runs, |run| run.decode.clock_s);
    let text = if options.json {
        let mut figures = json!({
            "device": opened.engine.backend(),
            "adapter": opened.adapter,
            "isa": opened.isa(),
            "threads": opened.threads(),
            "model": options.model.model.display().to_string(),
            "file_bytes": model.file_nbytes(),
            "cache": cache.name(),
            "cache_bytes": cache_bytes,
            "runs": options.runs,
            "parse_ms": parse_ms,
            "start_ms": start_ms,
            "prompt_tokens": prompt_tokens,
            "prefill_tokens_per_s": prefill,
            "prefill_cpu_ms": median(&runs, |run| run.prefill.cpu_s) * 1e3,
            "decode_tokens": decode_tokens,
            "decode_tokens_per_s": decode,
            "decode_cpu_ms": median(&runs, |run| run.decode.cpu_s) * 1e3,
            "at": at.iter().map(At::json).collect::<Vec<_>>(),
        });
        if let Some(profile) = profile {
            figures["profile"] = profile.json();
        }
        format!("{figures}\n")
    } else {
        format!(
            "device          {}\n\
             cache           {} ({cache_bytes} bytes)\n\
             read and check  {parse_ms:.1} ms ({} bytes)\n\
             start           {start_ms:.1} ms (with the self-check)\n\
             prefill         {prefill:.0} tokens/s ({prompt_tokens} tokens, median of {runs})\n\
             decode          {decode:.0} tokens/s ({decode_tokens} tokens, greedy, median of {runs})\n\
             {}{}",
            opened.describe(),
            cache.name(),
            model.file_nbytes(),
            at.iter().map(At::line).collect::<String>(),
            profile.map_or_else(String::new, |profile| profile.tables()),
            runs = options.runs,
        )
    };
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}

/// How long something took.
#[derive(Clone, Copy)]
struct Took {
    clock_s: f64,
    /// Of all threads of this process: what a busy machine spoils least.
    cpu_s: f64,
}

impl Took {
    /// What each of `n` parts took.
    fn shared_by(self, n: u32) -> Self {
        Self {
            clock_s: self.clock_s / f64::from(n),
            cpu_s: self.cpu_s / f64::from(n),
        }
    }

    /// The least of both, by either clock.
    fn min(self, other: Self) -> Self {
        Self {
            clock_s: self.clock_s.min(other.clock_s),
            cpu_s: self.cpu_s.min(other.cpu_s),
        }
    }
}

struct Stopwatch {
    clock: Instant,
    cpu: ProcessTime,
}

impl Stopwatch {
    fn start() -> Self {
        Self {
            clock: Instant::now(),
            cpu: ProcessTime::now(),
        }
    }

    fn took(&self) -> Took {
        Took {
            clock_s: self.clock.elapsed().as_secs_f64(),
            cpu_s: self.cpu.elapsed().as_secs_f64(),
        }
    }
}

struct Run {
    prefill: Took,
    decode: Took,
}

/// Read the prompt, then sample `tokens` tokens after it.
async fn measure(engine: &mut Engine, prompt: &[u32], tokens: u32) -> Result<Run, EngineError> {
    engine.rewind(0)?;
    let watch = Stopwatch::start();
    engine.prefill(prompt).await?;
    engine.last_logits().await?; // on the GPU: wait until it is computed
    let prefill = watch.took();
    let watch = Stopwatch::start();
    let mut left = tokens;
    while left > 0 {
        let n = left.min(BATCH);
        engine.decode(&Sampling::GREEDY, n).await?;
        left -= n;
    }
    let decode = watch.took();
    Ok(Run { prefill, decode })
}

/// What a token takes at a position.
struct At {
    position: u32,
    took: Took,
}

impl At {
    fn json(&self) -> Value {
        json!({"position": self.position, "ms": self.took.clock_s * 1e3, "cpu_ms": self.took.cpu_s * 1e3})
    }

    fn line(&self) -> String {
        format!(
            "at {:<12} {:.3} ms a token, {:.3} ms of the processor's time\n",
            self.position,
            self.took.clock_s * 1e3,
            self.took.cpu_s * 1e3,
        )
    }
}

/// What a token takes at each position: of a few tokens from there on, the least of `runs` rounds through all positions. Each has a
/// session of its own, that stands there.
async fn at_positions(
    engine: &mut Engine,
    positions: &[u32],
    runs: u32,
) -> Result<Vec<At>, EngineError> {
    const TOKENS: u32 = 4;
    let model = engine.model().clone();
    let mut sessions = Vec::new();
    for position in positions {
        let prompt = prompt(model.config(), *position);
        let mut session = engine.another().await?;
        session.prefill(&prompt).await?;
        sessions.push((session, prompt));
    }
    let mut least: Vec<Option<Took>> = positions.iter().map(|_| None).collect();
    for _ in 0..runs {
        for ((session, prompt), least) in sessions.iter_mut().zip(&mut least) {
            // The token before is read again: after a rewind there are no logits to go on from.
            session.rewind(prompt.len() as u32 - 1)?;
            session.prefill(&prompt[prompt.len() - 1..]).await?;
            let watch = Stopwatch::start();
            session.decode(&Sampling::GREEDY, TOKENS).await?;
            let took = watch.took().shared_by(TOKENS);
            *least = Some(least.take().map_or(took, |least| least.min(took)));
        }
    }
    let found = positions.iter().zip(least);
    Ok(found
        .filter_map(|(position, took)| {
            let position = *position;
            took.map(|took| At { position, took })
        })
        .collect())
}

/// Ids all over the vocabulary.
fn prompt(config: &Config, tokens: u32) -> Vec<u32> {
    (0..tokens)
        .map(|i| i.wrapping_mul(2_654_435_761) % config.vocab_size)
        .collect()
}

fn median(runs: &[Run], figure: impl Fn(&Run) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(figure).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
