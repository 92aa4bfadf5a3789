//! The CPU twins of the GPU kernels: the same names, the same fusion, plain functions over slices.
//!
//! Every operation takes T tokens (a prefill chunk, or 1 when decoding) that stand at positions `position … position + T`, and
//! reads each weight once for all of them. Sums are in f32 with several partial sums. The length of each slice is a contract that the
//! caller keeps and `assert!`s state; nothing here allocates.
//!
//! Shapes: T tokens, C `d_model`, H query heads, G key/value heads, D `d_head`, F `d_ff`, V `vocab_size`, S cache positions.

use super::exp::exp;
use super::matmul::{Product, matmul};
use super::portable::dot;
use super::silu::silu;
use super::threads::Cores;
use crate::format::BLOCK;
use crate::rope::RopeTable;
use crate::weights::{Blocks, Qkv, Quant, Weight, Weights};

pub use super::adjust_logits::adjust_logits;
pub use super::attention::{Heads, attention};
pub use super::cache::CacheMut;
pub use super::sample::sample;

/// RMSNorm's gain and epsilon.
#[derive(Debug, Clone, Copy)]
pub struct Norm<'a> {
    /// (C), f32 in every file.
    pub weight: &'a [f32],
    /// Added to the mean square.
    pub eps: f32,
}

/// Look up the embedding's rows. ids: (T); embedding: (V, C); x: (T, C), written.
pub fn embed(ids: &[u32], embedding: Weights<'_>, x: &mut [f32]) {
    fn widen<W: Weight>(row: &[W], out: &mut [f32]) {
        for (out, weight) in out.iter_mut().zip(row) {
            *out = weight.widen();
        }
    }
    fn widen_blocks<Q: Quant>(row: Blocks<'_, Q>, out: &mut [f32]) {
        for (block, out) in out.chunks_exact_mut(BLOCK).enumerate() {
            out.copy_from_slice(&row.widen(block));
        }
    }
    let width = x.len() / ids.len().max(1);
    assert_eq!(x.len(), ids.len() * width);
    let blocks = width / BLOCK;
    for (id, out) in ids.iter().zip(x.chunks_exact_mut(width)) {
        let id = *id as usize;
        match embedding {
            Weights::F32(table) => widen(&table[id * width..(id + 1) * width], out),
            Weights::F16(table) => widen(&table[id * width..(id + 1) * width], out),
            Weights::Q8_0(table) => widen_blocks(table.part(id * blocks, blocks), out),
            Weights::Q4_0(table) => widen_blocks(table.part(id * blocks, blocks), out),
        }
    }
}

/// RMSNorm, then the three projections with their biases. v goes into the layer's cache, and where `rope` is given q and k are rotated
/// and k goes there, too; else k stays in `projected`, for [`qk_norm_rope`].
///
/// x: (T, C); normed: (T, C), scratch; q: (T, H·D), written; projected: (2, T, G·D), written: k, then scratch;
/// k_cache, v_cache: (G, S, D), rows `position … position + T` of each head written.
#[allow(
    clippy::too_many_arguments,
    reason = "one argument a binding of the GPU kernel"
)]
pub fn norm_qkv_rope(
    cores: Cores<'_>,
    heads: Heads,
    x: &[f32],
    norm: Norm<'_>,
    qkv: Qkv<'_>,
    rope: Option<&RopeTable>,
    position: usize,
    normed: &mut [f32],
    q: &mut [f32],
    projected: &mut [f32],
    mut k_cache: CacheMut<'_>,
    mut v_cache: CacheMut<'_>,
) {
    let Heads {
        n_head,
        n_kv_head,
        d_head,
        ctx_len,
    } = heads;
    let width = norm.weight.len();
    let tokens = x.len() / width;
    let (q_width, kv_width) = (n_head * d_head, n_kv_head * d_head);
    assert_eq!(q.len(), tokens * q_width);
    assert_eq!(
        (qkv.q.len(), qkv.k.len(), qkv.v.len()),
        (q_width * width, kv_width * width, kv_width * width)
    );
    assert_eq!(
        (k_cache.len(), v_cache.len()),
        (kv_width * ctx_len, kv_width * ctx_len)
    );
    assert!(position + tokens <= ctx_len);

    rms_norm(x, norm, normed);
    let (keys, values) = projected.split_at_mut(tokens * kv_width);
    let products = &mut [
        Product::new(qkv.q, width, q),
        Product::new(qkv.k, width, keys),
        Product::new(qkv.v, width, values),
    ];
    matmul(cores, normed, width, products);
    if let Some(biases) = qkv.bias {
        let rows = [&mut *q, &mut *keys, &mut *values];
        for (rows, bias) in rows.into_iter().zip(biases) {
            for row in rows.chunks_exact_mut(bias.len()) {
                add(row, bias);
            }
        }
    }
    if let Some(rope) = rope {
        for (rows, width) in [(q, q_width), (&mut *keys, kv_width)] {
            each_head(d_head, rows, width, position, |head, position| {
                rotate_half(head, rope, position);
            });
        }
        keep(heads, keys, position, &mut k_cache);
    }
    keep(heads, values, position, &mut v_cache);
}

/// Write rows (T, G·D) of keys or of values to the cache (G, S, D), from `position` on.
fn keep(heads: Heads, rows: &[f32], position: usize, cache: &mut CacheMut<'_>) {
    let d_head = heads.d_head;
    for (t, row) in rows.chunks_exact(heads.n_kv_head * d_head).enumerate() {
        for (head, row) in row.chunks_exact(d_head).enumerate() {
            cache.write((head * heads.ctx_len + position + t) * d_head, row);
        }
    }
}

/// RMSNorm of each head's query and key over its own width, then RoPE: what Qwen 3 does between the projections and attention.
///
/// gains: (D) of the queries' norm and of the keys'; q: (T, H·D), updated; keys: (T, G·D), updated; k_cache: (G, S, D), rows
/// `position … position + T` of each head written.
#[allow(
    clippy::too_many_arguments,
    reason = "one argument a binding of the GPU kernel"
)]
pub fn qk_norm_rope(
    heads: Heads,
    gains: [&[f32]; 2],
    eps: f32,
    rope: &RopeTable,
    position: usize,
    q: &mut [f32],
    keys: &mut [f32],
    mut k_cache: CacheMut<'_>,
) {
    assert!(gains.iter().all(|gain| gain.len() == heads.d_head));
    let d_head = heads.d_head;
    let [q_width, kv_width] = [heads.n_head, heads.n_kv_head].map(|heads| heads * d_head);
    for (rows, width, gain) in [(q, q_width, gains[0]), (&mut *keys, kv_width, gains[1])] {
        each_head(d_head, rows, width, position, |head, position| {
            let scale = 1.0 / libm::sqrtf(dot(head, head) / head.len() as f32 + eps);
            for (x, gain) in head.iter_mut().zip(gain) {
                *x *= scale * gain;
            }
            rotate_half(head, rope, position);
        });
    }
    keep(heads, keys, position, &mut k_cache);
}

/// Call `update` with each head of rows (T, `width`), the first of which stands at `position`, and with its position.
fn each_head(
    d_head: usize,
    rows: &mut [f32],
    width: usize,
    position: usize,
    mut update: impl FnMut(&mut [f32], usize),
) {
    for (t, row) in rows.chunks_exact_mut(width).enumerate() {
        for head in row.chunks_exact_mut(d_head) {
            update(head, position + t);
        }
    }
}

/// `residual += x · wᵀ`: the output projections of attention and of the SwiGLU layer.
///
/// x: (T, K); w: (C, K); product: (T, C), scratch; residual: (T, C), updated.
pub fn matmul_residual(
    cores: Cores<'_>,
    x: &[f32],
    w: Weights<'_>,
    width: usize,
    product: &mut [f32],
    residual: &mut [f32],
) {
    let k = w.len() / width;
    assert_eq!(x.len() / k, residual.len() / width);
    matmul(cores, x, k, &mut [Product::new(w, k, product)]);
    add(residual, product);
}

/// `sum += more`, element by element.
fn add(sum: &mut [f32], more: &[f32]) {
    for (sum, more) in sum.iter_mut().zip(more) {
        *sum += more;
    }
}

/// RMSNorm, then `silu(x · gateᵀ) ⊙ (x · upᵀ)`, where silu(z) = z / (1 + e^−z).
///
/// x: (T, C); w_gate, w_up: (F, C); normed: (T, C) and up: (T, F), scratch; hidden: (T, F), written.
/// Source: Shazeer 2020, arXiv:2002.05202.
#[allow(
    clippy::too_many_arguments,
    reason = "one argument a binding of the GPU kernel, and scratch"
)]
pub fn norm_gate_up_silu(
    cores: Cores<'_>,
    x: &[f32],
    norm: Norm<'_>,
    w_gate: Weights<'_>,
    w_up: Weights<'_>,
    normed: &mut [f32],
    up: &mut [f32],
    hidden: &mut [f32],
) {
    let width = norm.weight.len();
    let d_ff = w_gate.len() / width;
    assert_eq!(w_gate.len(), w_up.len());
    assert_eq!(hidden.len() / d_ff, x.len() / width);
    rms_norm(x, norm, normed);
    let products = &mut [
        Product::new(w_gate, width, hidden),
        Product::new(w_up, width, up),
    ];
    matmul(cores, normed, width, products);
    silu(cores, hidden, up);
}

/// RMSNorm, then `relu(x · upᵀ)²`.
///
/// x: (T, C); w_up: (F, C); normed: (T, C), scratch; hidden: (T, F), written.
/// Source: So et al. 2021, arXiv:2109.08668.
pub fn norm_up_relu2(
    cores: Cores<'_>,
    x: &[f32],
    norm: Norm<'_>,
    w_up: Weights<'_>,
    normed: &mut [f32],
    hidden: &mut [f32],
) {
    let width = norm.weight.len();
    assert_eq!(hidden.len() / (w_up.len() / width), x.len() / width);
    rms_norm(x, norm, normed);
    matmul(
        cores,
        normed,
        width,
        &mut [Product::new(w_up, width, hidden)],
    );
    for up in hidden.iter_mut() {
        let positive = up.max(0.0);
        *up = positive * positive;
    }
}

/// RMSNorm, then the output projection; where `cap` is given, each logit z becomes cap · tanh(z / cap).
///
/// x: (T, C); w: (V, C); normed: (T, C), scratch; logits: (T, V), written.
/// Source of the cap: Gemma Team 2024, arXiv:2408.00118.
pub fn norm_logits(
    cores: Cores<'_>,
    x: &[f32],
    norm: Norm<'_>,
    w: Weights<'_>,
    cap: Option<f32>,
    normed: &mut [f32],
    logits: &mut [f32],
) {
    let width = norm.weight.len();
    let vocab_size = w.len() / width;
    assert_eq!(logits.len() / vocab_size, x.len() / width);
    rms_norm(x, norm, normed);
    matmul(cores, normed, width, &mut [Product::new(w, width, logits)]);
    if let Some(cap) = cap {
        for logit in logits.iter_mut() {
            // tanh(|z|) = (1 − e^−2|z|) / (1 + e^−2|z|): nothing overflows.
            let shrunk = exp(-2.0 * (*logit / cap).abs());
            *logit = (cap * ((1.0 - shrunk) / (1.0 + shrunk))).copysign(*logit);
        }
    }
}

/// Scale each row of x to unit RMS, then by the gain. x, out: (T, C).
///
/// Source: Zhang & Sennrich 2019, arXiv:1910.07467.
pub fn rms_norm(x: &[f32], norm: Norm<'_>, out: &mut [f32]) {
    let width = norm.weight.len();
    assert_eq!(x.len(), out.len());
    for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let mean_square = dot(x, x) / width as f32;
        let scale = 1.0 / libm::sqrtf(mean_square + norm.eps);
        for ((out, x), weight) in out.iter_mut().zip(x).zip(norm.weight) {
            *out = x * scale * weight;
        }
    }
}

/// Rotate one head in place: component j pairs with j + D/2 (Hugging Face's `rotate_half`). head: (D).
fn rotate_half(head: &mut [f32], rope: &RopeTable, position: usize) {
    let half = head.len() / 2;
    let row = position * half..(position + 1) * half;
    let (low, high) = head.split_at_mut(half);
    for (((low, high), cos), sin) in low
        .iter_mut()
        .zip(high)
        .zip(&rope.cos[row.clone()])
        .zip(&rope.sin[row])
    {
        (*low, *high) = (*low * cos - *high * sin, *high * cos + *low * sin);
    }
}
