//! `pocketlm bench --profile`: where a token's time goes, operation by operation, and how near its reading of the weights comes to what the
//! memory gives.

use std::time::Instant;

use pocketlm_inference::profile::KernelTime;
use pocketlm_inference::{Engine, EngineError, Model, Sampling};
use serde_json::{Value, json};

/// Tokens of a round: those of a prompt's chunk at once, then as many decoded one by one.
const TOKENS: u32 = Engine::PREFILL_CHUNK as u32;
/// Bytes that are summed to see what the memory gives: more than caches hold.
const STREAM_BYTES: usize = 256 << 20;

/// Where the time of a chunk or of a token goes.
pub struct Phase {
    pub tokens: u32,
    /// Each over all layers; its time is the median of the rounds.
    pub operations: Vec<KernelTime>,
}

/// What was measured, at the end of a context that is full but for one chunk of decoded tokens.
pub struct Profile {
    pub prefill: Phase,
    pub decode: Phase,
    /// What a thread of the CPU reads of memory; of a GPU it is not known.
    pub stream_bytes_per_s: Option<f64>,
}

/// What a round reads: what stands in the cache before it, and a chunk, after which as many tokens fit.
fn prompts(model: &Model) -> (Vec<u32>, Vec<u32>) {
    let config = model.config();
    let tokens = TOKENS.min(config.ctx_len / 2).max(1);
    let ids = |n| (0..n).map(|i| i % config.vocab_size).collect();
    (ids(config.ctx_len - 2 * tokens), ids(tokens))
}

/// Measure `runs` rounds: on the CPU by its clock, on a GPU by the device's timestamps.
///
/// # Errors
/// Those of [`Engine::profile`]; [`EngineError::ContextFull`] where the context holds less than two tokens.
pub async fn of(engine: &mut Engine, runs: u32) -> Result<Profile, EngineError> {
    let (before, chunk) = prompts(engine.model());
    let tokens = chunk.len() as u32;
    let started = Instant::now();
    let mut now = || started.elapsed().as_nanos() as f64;
    engine.rewind(0)?;
    if !before.is_empty() {
        engine.prefill(&before).await?;
    }
    let (mut prefill, mut decode) = (Vec::new(), Vec::new());
    let greedy = &Sampling::GREEDY;
    for _ in 0..runs {
        engine.rewind(before.len() as u32)?;
        prefill.push(engine.profile(&chunk, greedy, 0, &mut now).await?);
        decode.push(engine.profile(&[], greedy, tokens, &mut now).await?);
    }
    engine.rewind(0)?;
    Ok(Profile {
        prefill: Phase::of(tokens, 1, &prefill),
        decode: Phase::of(1, tokens, &decode),
        stream_bytes_per_s: match engine {
            Engine::Cpu(_) => Some(stream_bytes_per_s()),
            Engine::Gpu(_) => None,
        },
    })
}

/// What one thread reads of a buffer that no cache holds, at best of five.
fn stream_bytes_per_s() -> f64 {
    let words = vec![1u64; STREAM_BYTES / size_of::<u64>()];
    let mut best_s = f64::INFINITY;
    for _ in 0..5 {
        let started = Instant::now();
        let sum = words.iter().fold(0u64, |sum, word| sum.wrapping_add(*word));
        std::hint::black_box(sum);
        best_s = best_s.min(started.elapsed().as_secs_f64());
    }
    STREAM_BYTES as f64 / best_s
}

fn ms(operation: &KernelTime) -> f64 {
    operation.nanoseconds / 1e6
}

/// The value in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

impl Phase {
    /// `steps`: how many of what is told each of the rounds consists of. Every round has the same kernels in the same order.
    fn of(tokens: u32, steps: u32, rounds: &[Vec<KernelTime>]) -> Self {
        let operations = rounds[0].iter().enumerate().map(|(index, kernel)| {
            let nanoseconds = rounds.iter().map(|round| round[index].nanoseconds);
            KernelTime {
                nanoseconds: median(nanoseconds.collect()) / f64::from(steps),
                bytes: kernel.bytes / u64::from(steps),
                ..*kernel
            }
        });
        Self {
            tokens,
            operations: operations.collect(),
        }
    }

    fn ms(&self) -> f64 {
        self.operations.iter().map(ms).sum()
    }

    /// Of weights alone.
    fn weight_bytes(&self) -> u64 {
        self.operations
            .iter()
            .filter(|operation| operation.reads_weights())
            .map(|operation| operation.bytes)
            .sum()
    }

    fn json(&self, stream_bytes_per_s: Option<f64>) -> Value {
        let operations = self.operations.iter().map(|operation| {
            json!({"name": operation.name, "ms": ms(operation), "bytes": operation.bytes})
        });
        json!({
            "tokens": self.tokens,
            "ms": self.ms(),
            "weight_bytes": self.weight_bytes(),
            "share_of_stream": stream_bytes_per_s.map(|stream| self.share(stream)),
            "operations": operations.collect::<Vec<_>>(),
        })
    }

    /// The rate at which the weights are read, by that at which memory can be.
    fn share(&self, stream_bytes_per_s: f64) -> f64 {
        self.weight_bytes() as f64 / (self.ms() / 1e3) / stream_bytes_per_s
    }

    fn table(&self, title: &str, stream_bytes_per_s: Option<f64>) -> String {
        let all_ms = self.ms();
        let mut text = format!("{title:<30} {:>9} {:>7} {:>9}\n", "ms", "share", "MB read");
        for operation in &self.operations {
            text += &format!(
                "  {:<28} {:>9.3} {:>6.1}% {:>9.2}\n",
                operation.name,
                ms(operation),
                100.0 * ms(operation) / all_ms,
                operation.bytes as f64 / 1e6,
            );
        }
        let share = stream_bytes_per_s.map_or_else(String::new, |stream| {
            format!(", {:.0} % of the memory's", 100.0 * self.share(stream))
        });
        text + &format!(
            "  {:<28} {all_ms:>9.3}         weights {:.2} MB at {:.2} GB/s{share}\n",
            "together",
            self.weight_bytes() as f64 / 1e6,
            self.weight_bytes() as f64 / all_ms / 1e6,
        )
    }
}

impl Profile {
    /// As a part of the figures.
    pub fn json(&self) -> Value {
        json!({
            "stream_bytes_per_s": self.stream_bytes_per_s,
            "decode": self.decode.json(self.stream_bytes_per_s),
            "prefill": self.prefill.json(self.stream_bytes_per_s),
        })
    }

    /// For people.
    pub fn tables(&self) -> String {
        let tokens = self.prefill.tokens;
        let stream = self.stream_bytes_per_s;
        let memory = stream.map_or_else(String::new, |stream| {
            format!(
                "memory          {:.1} GB/s (one thread's sum of {} MiB)\n",
                stream / 1e9,
                STREAM_BYTES >> 20,
            )
        });
        format!(
            "{memory}\n{}\n{}",
            self.decode.table("decode, a token", stream),
            self.prefill
                .table(&format!("prefill, {tokens} tokens"), stream),
        )
    }
}
