//! `pocketlm bench --profile`: where a token's time goes, operation by operation, and how near its reading of the weights comes to what the
//! memory gives.

use std::time::Instant;

use pocketlm_inference::cpu::CpuEngine;
use pocketlm_inference::gpu::{GpuEngine, KernelTime};
use pocketlm_inference::model::Part;
use pocketlm_inference::{Cache, Engine, EngineError, Model, Sampling};
use serde_json::{Value, json};

use crate::model::cached_numbers;

/// Tokens of a round: those of a prompt's chunk at once, then as many decoded one by one.
const TOKENS: u32 = Engine::PREFILL_CHUNK as u32;
/// Bytes that are summed to see what the memory gives: more than caches hold.
const STREAM_BYTES: usize = 256 << 20;

/// Kernels, and operations of their names, that read the cache or the logits in place of weights.
const READ_NO_WEIGHTS: [&str; 6] = [
    "attention",
    "attention_tiled",
    "attention_reduce",
    "adjust_logits",
    "survey_logits",
    "sample",
];

/// One operation over all layers.
pub struct Operation {
    pub name: &'static str,
    /// Of a chunk, or of a token.
    pub ms: f64,
    /// Read from weights and cache.
    pub bytes: u64,
}

/// Where the time of a chunk or of a token goes.
pub struct Phase {
    pub tokens: u32,
    pub operations: Vec<Operation>,
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

/// Measure `runs` rounds of the CPU's engine; an operation's time is the median of them.
///
/// # Errors
/// Those of the engine; [`EngineError::ContextFull`] where the context holds less than two tokens.
pub fn of_cpu(engine: &mut CpuEngine, runs: u32) -> Result<Profile, EngineError> {
    let (model, cache) = (engine.model().clone(), engine.cache());
    let ctx_len = model.config().ctx_len;
    let (before, chunk) = prompts(&model);
    let tokens = chunk.len() as u32;
    engine.rewind(0)?;
    engine.prefill(&before)?;
    let (mut prefill, mut decode) = (Clock::default(), Clock::default());
    for _ in 0..runs {
        engine.rewind(before.len() as u32)?;
        prefill.begin_round();
        engine.prefill_marked(&chunk, &mut |name| prefill.mark(name))?;
        decode.begin_round();
        engine.decode_marked(&Sampling::GREEDY, tokens, &mut |name| decode.mark(name))?;
    }
    engine.rewind(0)?;
    let middle = u64::from(ctx_len) - u64::from(tokens) / 2;
    let before = before.len() as u64 + u64::from(tokens) / 2;
    Ok(Profile {
        prefill: prefill.phase(tokens, 1, |name| {
            bytes_read(&model, cache, name, u64::from(tokens), before)
        }),
        decode: decode.phase(1, tokens, |name| bytes_read(&model, cache, name, 1, middle)),
        stream_bytes_per_s: Some(stream_bytes_per_s()),
    })
}

/// Measure `runs` rounds of a GPU's engine by the device's timestamps; a kernel's time is the median of them.
///
/// # Errors
/// As [`of_cpu`], and [`EngineError::NoTimestamps`].
pub async fn of_gpu(engine: &mut GpuEngine, runs: u32) -> Result<Profile, EngineError> {
    let (before, chunk) = prompts(engine.model());
    let tokens = chunk.len() as u32;
    engine.rewind(0)?;
    if !before.is_empty() {
        engine.prefill(&before).await?;
    }
    let (mut prefill, mut decode) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        engine.rewind(before.len() as u32)?;
        prefill.push(engine.profile(&chunk, &Sampling::GREEDY, 0).await?);
        decode.push(engine.profile(&[], &Sampling::GREEDY, tokens).await?);
    }
    engine.rewind(0)?;
    Ok(Profile {
        prefill: Phase::of_kernels(tokens, 1, &prefill),
        decode: Phase::of_kernels(1, tokens, &decode),
        stream_bytes_per_s: None,
    })
}

/// Seconds between marks, by name and round.
struct Clock {
    last: Instant,
    /// In the order in which they first came; one number a round.
    names: Vec<(&'static str, Vec<f64>)>,
    rounds: usize,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            last: Instant::now(),
            names: Vec::new(),
            rounds: 0,
        }
    }
}

impl Clock {
    fn begin_round(&mut self) {
        self.rounds += 1;
        self.last = Instant::now();
    }

    fn mark(&mut self, name: &'static str) {
        let now = Instant::now();
        let place = self.names.iter().position(|(known, _)| *known == name);
        let place = place.unwrap_or_else(|| {
            self.names.push((name, Vec::new()));
            self.names.len() - 1
        });
        let seconds = &mut self.names[place].1;
        seconds.resize(self.rounds, 0.0);
        seconds[self.rounds - 1] += (now - self.last).as_secs_f64();
        self.last = now;
    }

    /// `steps`: how many of what is told a round consists of.
    fn phase(self, tokens: u32, steps: u32, bytes: impl Fn(&str) -> u64) -> Phase {
        let operations = self.names.into_iter().map(|(name, seconds)| Operation {
            name,
            ms: median(seconds) * 1e3 / f64::from(steps),
            bytes: bytes(name),
        });
        Phase {
            tokens,
            operations: operations.collect(),
        }
    }
}

/// Bytes of weights that an operation reads in all layers, for `tokens` tokens that stand about `position`; of the cache, for attention.
fn bytes_read(model: &Model, cache: Cache, operation: &str, tokens: u64, position: u64) -> u64 {
    use Part::{
        Down, Gate, InputNorm, Key, KeyBias, KeyNorm, Output, PostAttentionNorm, Query, QueryBias,
        QueryNorm, Up, Value, ValueBias,
    };
    let config = model.config();
    let parts: &[Part] = match operation {
        "embed" => return tokens * model.weight_dtype().nbytes(u64::from(config.d_model)),
        "norm_qkv_rope" => &[InputNorm, Query, QueryBias, Key, KeyBias, Value, ValueBias],
        "qk_norm_rope" => &[QueryNorm, KeyNorm],
        "attention" => {
            return tokens * position * cache.nbytes(cached_numbers(config));
        }
        "matmul_residual (attention)" => &[Output],
        "norm_gate_up_silu" | "norm_up_relu2" => &[PostAttentionNorm, Gate, Up],
        "matmul_residual (down)" => &[Down],
        "norm_logits" => return nbytes(&model.output()) + nbytes(&model.output_norm()),
        _ => return 0,
    };
    (0..config.n_layer as usize)
        .flat_map(|layer| parts.iter().map(move |part| (layer, *part)))
        .filter_map(|(layer, part)| model.layer_tensor(layer, part))
        .map(|tensor| nbytes(&tensor))
        .sum()
}

fn nbytes(tensor: &pocketlm_inference::format::TensorView<'_>) -> u64 {
    tensor.dtype.nbytes(tensor.shape.iter().product())
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

/// The value in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

impl Phase {
    /// `steps`: how many of what is told each of the rounds consists of. Every round has the same kernels in the same order.
    fn of_kernels(tokens: u32, steps: u32, rounds: &[Vec<KernelTime>]) -> Self {
        let operations = rounds[0].iter().enumerate().map(|(index, kernel)| {
            let nanoseconds = rounds.iter().map(|round| round[index].nanoseconds);
            Operation {
                name: kernel.name,
                ms: median(nanoseconds.collect()) / 1e6 / f64::from(steps),
                bytes: kernel.bytes / u64::from(steps),
            }
        });
        Self {
            tokens,
            operations: operations.collect(),
        }
    }

    fn ms(&self) -> f64 {
        self.operations.iter().map(|operation| operation.ms).sum()
    }

    /// Of weights alone.
    fn weight_bytes(&self) -> u64 {
        self.operations
            .iter()
            .filter(|operation| !READ_NO_WEIGHTS.contains(&operation.name))
            .map(|operation| operation.bytes)
            .sum()
    }

    fn json(&self, stream_bytes_per_s: Option<f64>) -> Value {
        let operations = self.operations.iter().map(|operation| {
            json!({"name": operation.name, "ms": operation.ms, "bytes": operation.bytes})
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
        let ms = self.ms();
        let mut text = format!("{title:<30} {:>9} {:>7} {:>9}\n", "ms", "share", "MB read");
        for operation in &self.operations {
            text += &format!(
                "  {:<28} {:>9.3} {:>6.1}% {:>9.2}\n",
                operation.name,
                operation.ms,
                100.0 * operation.ms / ms,
                operation.bytes as f64 / 1e6,
            );
        }
        let share = stream_bytes_per_s.map_or_else(String::new, |stream| {
            format!(", {:.0} % of the memory's", 100.0 * self.share(stream))
        });
        text + &format!(
            "  {:<28} {ms:>9.3}         weights {:.2} MB at {:.2} GB/s{share}\n",
            "together",
            self.weight_bytes() as f64 / 1e6,
            self.weight_bytes() as f64 / ms / 1e6,
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
