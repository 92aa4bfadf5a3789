//! How long each operation takes, by the caller's clock, and what it reads.

use alloc::vec::Vec;

use super::CpuEngine;
use crate::error::EngineError;
use crate::format::TensorView;
use crate::limits::PREFILL_CHUNK;
use crate::model::Part;
use crate::profile::{KernelTime, add};
use crate::sampling::Sampling;

impl CpuEngine {
    /// Read `ids`, then sample `tokens` tokens, as [`prefill`](Self::prefill) and [`decode`](Self::decode) do, and look at the clock behind
    /// each operation. Returns the operations in the order in which each ran first. `now`: nanoseconds since any moment.
    ///
    /// # Errors
    /// Those of [`prefill`](Self::prefill) and [`decode`](Self::decode).
    pub fn profile(
        &mut self,
        ids: &[u32],
        sampling: &Sampling,
        tokens: u32,
        now: &mut dyn FnMut() -> f64,
    ) -> Result<Vec<KernelTime>, EngineError> {
        self.cursor.check_room(ids.len() + tokens as usize)?;
        let begun = self.position();
        let mut operations = Vec::new();
        let mut last = now();
        let mut mark = |name| {
            let ended = now();
            add(&mut operations, name, ended - last, 0);
            last = ended;
        };
        self.prefill_marked(ids, &mut mark)?;
        if tokens > 0 {
            self.decode_marked(sampling, tokens, &mut mark)?;
        }
        let mut end = begun;
        let mut count = |n: u32, has_logits: bool| {
            end += n;
            for operation in &mut operations {
                if has_logits || operation.name != "norm_logits" {
                    operation.bytes += self.bytes_read(operation.name, n, end);
                }
            }
        };
        let mut chunks = ids.chunks(PREFILL_CHUNK).peekable();
        while let Some(chunk) = chunks.next() {
            count(chunk.len() as u32, chunks.peek().is_none());
        }
        for _ in 0..tokens {
            count(1, true);
        }
        Ok(operations)
    }

    /// Bytes of weights that an operation reads in all layers, for `tokens` tokens; for attention those of the `end` positions of the cache
    /// that they see.
    fn bytes_read(&self, operation: &str, tokens: u32, end: u32) -> u64 {
        use Part::{
            Down, Gate, InputNorm, Key, KeyBias, KeyNorm, Output, PostAttentionNorm, Query,
            QueryBias, QueryNorm, Up, Value, ValueBias,
        };
        let model = &self.model;
        let config = model.config();
        let parts: &[Part] = match operation {
            "embed" => {
                let row = model.weight_dtype().nbytes(u64::from(config.d_model));
                return u64::from(tokens) * row;
            }
            "norm_qkv_rope" => &[InputNorm, Query, QueryBias, Key, KeyBias, Value, ValueBias],
            "qk_norm_rope" => &[QueryNorm, KeyNorm],
            "attention" => return u64::from(end) * self.cache().token_nbytes(config),
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
}

fn nbytes(tensor: &TensorView<'_>) -> u64 {
    tensor.dtype.nbytes(tensor.shape.iter().product())
}
