//! What a profile tells, of either backend: [`Engine::profile`](crate::Engine::profile).

use alloc::vec::Vec;

/// What one kernel took, over all of its dispatches; on the CPU the operation of its name.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelTime {
    /// The kernel's, as its file in `shaders/` is named; where the CPU runs it in two places, with the place behind it.
    pub name: &'static str,
    /// How often it ran.
    pub dispatches: u32,
    /// On a GPU by the device's clock, on the CPU by the caller's.
    pub nanoseconds: f64,
    /// Bytes of weights, cache and logits that it read, each counted once a dispatch; activations are not counted.
    pub bytes: u64,
}

impl KernelTime {
    /// Whether it reads the cache or the logits in place of weights.
    ///
    /// ```
    /// use pocketlm_inference::profile::KernelTime;
    /// let time = |name| KernelTime { name, dispatches: 1, nanoseconds: 0.0, bytes: 0 };
    /// assert!(time("norm_logits").reads_weights() && !time("attention").reads_weights());
    /// ```
    pub fn reads_weights(&self) -> bool {
        const OTHERS: [&str; 6] = [
            "attention",
            "attention_tiled",
            "attention_reduce",
            "adjust_logits",
            "survey_logits",
            "sample",
        ];
        !OTHERS.contains(&self.name)
    }
}

/// Add a dispatch to those of its kernel.
pub(crate) fn add(kernels: &mut Vec<KernelTime>, name: &'static str, nanoseconds: f64, bytes: u64) {
    let known = kernels.iter().position(|kernel| kernel.name == name);
    let place = known.unwrap_or_else(|| {
        kernels.push(KernelTime {
            name,
            dispatches: 0,
            nanoseconds: 0.0,
            bytes: 0,
        });
        kernels.len() - 1
    });
    let kernel = &mut kernels[place];
    kernel.dispatches += 1;
    kernel.nanoseconds += nanoseconds;
    kernel.bytes += bytes;
}
