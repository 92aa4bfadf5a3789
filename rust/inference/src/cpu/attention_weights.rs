//! How much a token attends to each position: what neither backend keeps, for whoever wants to look at it.

use alloc::vec::Vec;

use super::attention::Heads;
use super::exp::exp;
use crate::error::EngineError;
use crate::memory::{product, zeros};
use crate::weights::Weights;

/// The softmax of one token's scores, head by head: (H, `seen`); each row's sum is 1.
///
/// q: (H, W); keys: (G, S, W), of which each head's first `seen` rows are read. W is at least D, and what stands beyond adds nothing: a
/// GPU's rows are padded with zeros. The components of both may stand in any order, if it is the same.
///
/// # Errors
/// [`EngineError::OutOfMemory`].
pub(crate) fn attention_weights(
    heads: Heads,
    q: &[f32],
    keys: Weights<'_>,
    seen: usize,
) -> Result<Vec<f32>, EngineError> {
    let width = q.len() / heads.n_head;
    let scale = 1.0 / libm::sqrtf(heads.d_head as f32);
    let what = "attention weights";
    let mut weights = zeros(what, product(what, &[heads.n_head, seen])?)?;
    for (head, (row, q)) in weights
        .chunks_exact_mut(seen)
        .zip(q.chunks_exact(width))
        .enumerate()
    {
        let kv_head = head / (heads.n_head / heads.n_kv_head);
        let mut largest = f32::NEG_INFINITY;
        for (position, score) in row.iter_mut().enumerate() {
            let first = (kv_head * heads.ctx_len + position) * width;
            let products = q.iter().zip(first..).map(|(q, at)| q * keys.get(at));
            *score = products.sum::<f32>() * scale;
            largest = largest.max(*score);
        }
        let mut total = 0.0;
        for weight in row.iter_mut() {
            *weight = exp(*weight - largest);
            total += *weight;
        }
        for weight in row {
            *weight /= total;
        }
    }
    Ok(weights)
}
