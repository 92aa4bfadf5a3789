//! The micro-tune: how the kernels that multiply one token by weights are best cut on this adapter, measured once and kept by the caller.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::context::{Context, Pass, Work};
use super::engine::GpuEngine;
use super::pipelines::{Compiled, Cut, Matvec, layer_weights};
use super::timer::Timer;
use super::tuning::Split;
use crate::error::EngineError;

/// What all measuring of one kernel may take on the device, in nanoseconds; there are five.
const BUDGET: f64 = 50e6;
/// Rounds in which the candidates take turns; the least of a candidate's times counts.
const ROUNDS: u32 = 4;
/// Dispatches of a candidate in a round, at the most.
const MOST: f64 = 64.0;
/// What is at most this share of the other's time is faster; the rest is noise.
const FASTER: f64 = 0.97;

/// Characters of an entry: the number of what was measured in hexadecimal, and the letter of the candidate that was best.
const ENTRY: usize = 17;
/// Entries that are kept: the newest.
const ENTRIES: usize = 500;

impl GpuEngine {
    /// Choose how the kernels that multiply one token by weights are cut, by measuring a few ways of each, 0.3 s in all and their
    /// compilation; what is computed differs by rounding alone. Leaves the cache empty. To be called right after loading: an engine that shares
    /// its kernels with others keeps them as they are.
    ///
    /// `adapter` names the adapter with its driver; `known` is what an earlier call returned, on any adapter, of any version of the engine and for any model, or
    /// empty. What it has is not measured again. Returns the same with what was measured now, for the caller to keep; `None` where nothing was:
    /// all is known, the model is small, the adapter a CPU in disguise, or the device has no timestamps.
    ///
    /// # Errors
    /// [`EngineError::Gpu`], [`EngineError::DeviceLost`].
    pub async fn tune(
        &mut self,
        adapter: &str,
        known: &str,
    ) -> Result<Option<String>, EngineError> {
        let candidates = self.tuning.candidates();
        if !self
            .tuning
            .is_worth_tuning(layer_weights(self.model.config()))
        {
            return Ok(None);
        }
        self.write_chunk(&[0])?;
        let timer = self.context.timer(candidates.len() as u32).ok();
        let mut text = String::new();
        if known.is_ascii() && known.len().is_multiple_of(ENTRY) {
            text.push_str(&known[known.len().saturating_sub(ENTRIES * ENTRY)..]);
        }
        let mut is_new = false;
        for (kernel, groups) in self.plan.products().into_iter().flatten() {
            let key = key(adapter, candidates, &kernel.pipeline);
            let mut entries = text.as_bytes().chunks_exact(ENTRY);
            let entry = entries.find(|entry| entry.starts_with(key.as_bytes()));
            let found = entry.and_then(|entry| entry[ENTRY - 1].checked_sub(b'a'));
            let found = found.and_then(|index| candidates.get(usize::from(index)));
            let cut = match (found, &timer) {
                (Some(split), _) if *split == kernel.pipeline.single_split() => continue,
                (Some(split), _) => kernel.cut(&self.context, *split).await?,
                (None, None) => continue,
                (None, Some(timer)) => {
                    let mut cuts = Vec::with_capacity(candidates.len());
                    for split in candidates {
                        cuts.push(kernel.cut(&self.context, *split).await?);
                    }
                    let best = fastest(&self.context, timer, kernel, &cuts, &groups).await?;
                    text.push_str(&key);
                    text.push(char::from(b'a' + best as u8));
                    is_new = true;
                    cuts.swap_remove(best)
                }
            };
            kernel.pipeline.take(cut);
        }
        self.rewind(0)?;
        Ok(is_new.then_some(text))
    }

    /// How the kernels that multiply one token by weights are cut now, in the order in which a layer runs them.
    pub fn splits(&self) -> [(&'static str, Split); 5] {
        let kernels = self.plan.pipelines().products();
        kernels.map(|kernel| (kernel.name, kernel.pipeline.single_split()))
    }
}

/// The index of the fastest cut; of the one in use, where none is clearly faster.
async fn fastest(
    context: &Context,
    timer: &Timer,
    kernel: &Compiled<Matvec>,
    cuts: &[Cut],
    groups: &[&wgpu::BindGroup],
) -> Result<usize, EngineError> {
    let work = Work {
        name: kernel.name,
        bytes: 0,
    };
    // Layer after layer, so that weights come from where they come from in a token.
    let run = async |times: usize| {
        let passes = cuts.iter().map(|cut| {
            move |pass: &mut Pass<'_>| {
                for group in groups.iter().cycle().take(times) {
                    pass.dispatch(work, &cut.pipeline, group, cut.grid);
                }
            }
        });
        context.timed_passes(timer, passes).await
    };
    // A driver may compile at the first use.
    run(1).await?;
    let mut best = run(1).await?;
    let once = best.iter().sum::<f64>().max(1.0);
    let times = (BUDGET / f64::from(ROUNDS) / once).min(MOST) as usize;
    if times > 0 {
        best.fill(f64::INFINITY);
        for _ in 0..ROUNDS {
            for (best, time) in best.iter_mut().zip(run(times).await?) {
                *best = best.min(time);
            }
        }
    }
    let default = cuts
        .iter()
        .position(|cut| cut.split == kernel.pipeline.single_split());
    let default = default.unwrap_or(0);
    let least = (0..best.len()).min_by(|a, b| best[*a].total_cmp(&best[*b]));
    let is_faster = |index: &usize| best[*index] < FASTER * best[default];
    Ok(least.filter(is_faster).unwrap_or(default))
}

/// FNV-1a of all that decides which candidate is best: adapter, engine, kernel, sizes and the candidates themselves.
fn key(adapter: &str, candidates: &[Split], kernel: &Matvec) -> String {
    let (text, constants, pairs) = kernel.shape();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for text in [adapter, env!("CARGO_PKG_VERSION"), &text] {
        add(text.as_bytes());
        add(&[0xff]); // no UTF-8: an end
    }
    for (_, value) in constants {
        add(&value.to_le_bytes());
    }
    add(&pairs.to_le_bytes());
    for split in candidates {
        add(&[split.workgroup as u8, split.lanes as u8]);
    }
    format!("{hash:016x}")
}
