//! Each CPU operation against a naive f64 twin, on random shapes: 1, odd, and not a multiple of any block.
//!
//! Tolerance: 1e-5 of the largest expected value, or of 1; sums here have at most 100 terms of size 1, and f32 has 24 bits. Where
//! activations are rounded to 16 bits, 3e-4: a gate times its input has the errors of both.

mod cached;
mod engine_support;
mod model_writer;

use cached::{CACHES, Kept};
use engine_support::isas;
use model_writer::{Random, stored};
use pocketlm_inference::Cache;
use pocketlm_inference::cpu::ops::{self, Heads, Norm};
use pocketlm_inference::cpu::{Cores, Isa, OneThread};
use pocketlm_inference::format::{Architecture, Config, Dtype};
use pocketlm_inference::rope::RopeTable;
use pocketlm_inference::weights::{Qkv, Weights};
use proptest::prelude::*;

/// A matrix in the dtype under test. Its bytes begin at a multiple of 4, as a file's sections do.
struct Matrix {
    dtype: Dtype,
    words: Vec<u32>,
    nbytes: usize,
}

impl Matrix {
    fn random(random: &mut Random, len: usize, dtype: Dtype) -> Self {
        let mut bytes = stored(&random.vec(len), dtype);
        let nbytes = bytes.len();
        bytes.resize(nbytes.next_multiple_of(4), 0);
        Self {
            dtype,
            words: bytemuck::pod_collect_to_vec(&bytes),
            nbytes,
        }
    }

    fn weights(&self) -> Weights<'_> {
        let bytes = &bytemuck::cast_slice(&self.words)[..self.nbytes];
        Weights::of_bytes(self.dtype, bytes)
    }

    fn f64(&self) -> Vec<f64> {
        let weights = self.weights();
        let values = (0..weights.len()).map(|index| weights.get(index));
        values.map(f64::from).collect()
    }
}

/// Any dtype.
fn dtype() -> impl Strategy<Value = Dtype> {
    prop::sample::select(Dtype::ALL.to_vec())
}

/// These instructions on one thread.
fn alone(isa: Isa) -> Cores<'static> {
    Cores {
        isa,
        threads: &OneThread,
    }
}

fn isa() -> impl Strategy<Value = Isa> {
    prop::sample::select(isas())
}

/// A width that this dtype can have: whole blocks in a block format.
fn fit(width: usize, dtype: Dtype) -> usize {
    width.next_multiple_of(dtype.block() as usize)
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

fn assert_close(op: &str, got: &[f32], expected: &[f64]) {
    assert_within(1e-5, op, got, expected);
}

/// What products with weights of this dtype are held to.
fn tolerance(isa: Isa, dtype: Dtype) -> f64 {
    let in_floats = isa.name().starts_with("avx") || dtype.block() == 1;
    if in_floats { 1e-5 } else { 3e-4 }
}

fn assert_within(tolerance: f64, op: &str, got: &[f32], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{op}");
    let largest = expected
        .iter()
        .fold(1.0f64, |largest, value| largest.max(value.abs()));
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        let difference = (f64::from(*got) - expected).abs();
        assert!(
            difference <= tolerance * largest,
            "{op}[{index}]: expected {expected}, got {got}, largest {largest}"
        );
    }
}

/// x: (T, K); w: (N, K). (T, N)
fn matmul(x: &[f64], w: &[f64], k: usize) -> Vec<f64> {
    let row = |x: &[f64], w: &[f64]| x.iter().zip(w).map(|(x, w)| x * w).sum();
    x.chunks(k)
        .flat_map(|x| w.chunks(k).map(move |w| row(x, w)))
        .collect()
}

fn rms_norm(x: &[f64], gain: &[f64], eps: f64) -> Vec<f64> {
    let width = gain.len();
    let scale =
        |row: &[f64]| 1.0 / (row.iter().map(|x| x * x).sum::<f64>() / width as f64 + eps).sqrt();
    x.chunks(width)
        .flat_map(|row| {
            row.iter()
                .zip(gain)
                .map(move |(x, gain)| x * scale(row) * gain)
        })
        .collect()
}

fn rotate(head: &[f64], position: usize, theta: f64) -> Vec<f64> {
    let (d, half) = (head.len(), head.len() / 2);
    let angle = |j: usize| position as f64 * theta.powf(-2.0 * j as f64 / d as f64);
    let low = |j: usize| head[j] * angle(j).cos() - head[j + half] * angle(j).sin();
    let high = |j: usize| head[j + half] * angle(j).cos() + head[j] * angle(j).sin();
    (0..half).map(low).chain((0..half).map(high)).collect()
}

fn heads() -> impl Strategy<Value = Heads> {
    (1usize..4, 1usize..6, 1usize..19).prop_map(|(n_kv_head, group, half)| Heads {
        n_head: n_kv_head * group,
        n_kv_head,
        d_head: 2 * half,
        ctx_len: 40,
    })
}

fn rope(heads: Heads, theta: f64) -> RopeTable {
    RopeTable::new(&Config {
        architecture: Architecture::Llama,
        n_layer: 1,
        n_head: heads.n_head as u32,
        n_kv_head: heads.n_kv_head as u32,
        d_model: 1,
        d_head: heads.d_head as u32,
        d_ff: 1,
        vocab_size: 1,
        ctx_len: heads.ctx_len as u32,
        rope_theta: theta,
        norm_eps: 1e-5,
        logit_cap: None,
        tie_embeddings: true,
        bos_token_id: None,
        eos_token_id: None,
        stop_token_ids: None,
    })
    .unwrap()
}

fn cache() -> impl Strategy<Value = Cache> {
    prop::sample::select(CACHES.to_vec())
}

/// What a cache's numbers are held to where those that are written are held to `tolerance`: half a last bit more in f16.
fn when_kept(tolerance: f64, cache: Cache) -> f64 {
    match cache {
        Cache::F32 => tolerance,
        Cache::F16 => tolerance + 2f64.powi(-11),
    }
}

/// What attention gives: (T, H·D). q: (T, H·D); k, v: (G, S, D).
fn attended(heads: Heads, q: &[f32], k: &Kept, v: &Kept, position: usize) -> Vec<f64> {
    let (d, s, q_width) = (heads.d_head, heads.ctx_len, heads.n_head * heads.d_head);
    let (q, k, v) = (wide(q), wide(&k.values()), wide(&v.values()));
    let mut expected = Vec::new();
    for t in 0..q.len() / q_width {
        for head in 0..heads.n_head {
            let row = |p: usize| (head * heads.n_kv_head / heads.n_head * s + p) * d;
            let q = &q[t * q_width + head * d..][..d];
            let score =
                |p: usize| (0..d).map(|i| q[i] * k[row(p) + i]).sum::<f64>() / (d as f64).sqrt();
            let weights: Vec<f64> = (0..=position + t).map(|p| score(p).exp()).collect();
            let total: f64 = weights.iter().sum();
            expected.extend((0..d).map(|i| {
                let sum: f64 = (0..weights.len()).map(|p| weights[p] * v[row(p) + i]).sum();
                sum / total
            }));
        }
    }
    expected
}

#[test]
fn rope_tables_are_f64_values_rounded_once() {
    let heads = Heads {
        n_head: 1,
        n_kv_head: 1,
        d_head: 6,
        ctx_len: 700,
    };
    let table = rope(heads, 500.0);
    for position in [0, 1, 2, 699] {
        for j in 0..3 {
            let angle = position as f64 * 500f64.powf(-2.0 * j as f64 / 6.0);
            assert_eq!(
                table.cos[position * 3 + j],
                angle.cos() as f32,
                "cos {position} {j}"
            );
            assert_eq!(
                table.sin[position * 3 + j],
                angle.sin() as f32,
                "sin {position} {j}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn embed(seed: u64, tokens in 1usize..7, width in 1usize..40, dtype in dtype()) {
        let random = &mut Random(seed);
        let width = fit(width, dtype);
        let table = Matrix::random(random, 13 * width, dtype);
        let ids = random.ids(tokens, 13);
        let mut x = vec![0.0; tokens * width];
        ops::embed(&ids, table.weights(), &mut x);
        let table = table.weights();
        let expected: Vec<f32> = ids.iter().flat_map(|id| (0..width).map(|i| table.get(*id as usize * width + i))).collect();
        prop_assert_eq!(x, expected);
    }

    #[test]
    fn norm_qkv_rope(seed: u64, heads in heads(), tokens in 1usize..11, width in 1usize..40, position in 0usize..30, dtype in dtype(), cache in cache(), has_bias: bool, isa in isa()) {
        let (random, width) = (&mut Random(seed), fit(width, dtype));
        let theta = 10_000.0;
        let (q_width, kv_width) = (heads.n_head * heads.d_head, heads.n_kv_head * heads.d_head);
        let (x, gain) = (random.vec(tokens * width), random.vec(width));
        let wq = Matrix::random(random, q_width * width, dtype);
        let wk = Matrix::random(random, kv_width * width, dtype);
        let wv = Matrix::random(random, kv_width * width, dtype);
        let (mut normed, mut q) = (vec![0.0; x.len()], vec![0.0; tokens * q_width]);
        let [mut k_cache, mut v_cache] = [(); 2].map(|()| Kept::of(&vec![7.0; kv_width * heads.ctx_len], cache));
        let norm = Norm { weight: &gain, eps: 1e-5 };
        let biases = [q_width, kv_width, kv_width].map(|width| random.vec(width));
        let bias = has_bias.then(|| [&biases[0][..], &biases[1], &biases[2]]);
        let qkv = Qkv { q: wq.weights(), k: wk.weights(), v: wv.weights(), bias };
        let table = rope(heads, theta);
        ops::norm_qkv_rope(alone(isa), heads, &x, norm, qkv, Some(&table), position, &mut normed, &mut q, &mut vec![0.0; 2 * tokens * kv_width], k_cache.writable(), v_cache.writable());
        let project = |x: &[f64], w: &Matrix, part: usize| {
            let values = matmul(x, &w.f64(), width).into_iter().enumerate();
            let bias = |n: usize| if has_bias { f64::from(biases[part][n % biases[part].len()]) } else { 0.0 };
            values.map(|(i, value)| value + bias(i)).collect::<Vec<f64>>()
        };

        let x = rms_norm(&wide(&x), &wide(&gain), 1e-5);
        let rotated = |values: Vec<f64>, width: usize| -> Vec<f64> {
            values.chunks(heads.d_head).enumerate()
                .flat_map(|(i, head)| rotate(head, position + i * heads.d_head / width, theta)).collect()
        };
        assert_within(tolerance(isa, dtype), "q", &q, &rotated(project(&x, &wq, 0), q_width));
        // The cache is (G, S, D): only the rows of these tokens change.
        let in_cache = |rows: &[f64]| {
            let mut cache = vec![7.0; kv_width * heads.ctx_len];
            for (i, value) in rows.iter().enumerate() {
                let (t, head, d) = (i / kv_width, i % kv_width / heads.d_head, i % heads.d_head);
                cache[(head * heads.ctx_len + position + t) * heads.d_head + d] = *value;
            }
            cache
        };
        let tolerance = when_kept(tolerance(isa, dtype), cache);
        assert_within(tolerance, "k", &k_cache.values(), &in_cache(&rotated(project(&x, &wk, 1), kv_width)));
        assert_within(tolerance, "v", &v_cache.values(), &in_cache(&project(&x, &wv, 2)));
    }

    #[test]
    fn qk_norm_rope(seed: u64, heads in heads(), tokens in 1usize..7, position in 0usize..30, cache in cache()) {
        let random = &mut Random(seed);
        let (d, theta, eps) = (heads.d_head, 10_000.0, 1e-3f32);
        let [mut q, mut keys] = [heads.n_head, heads.n_kv_head].map(|n| random.vec(tokens * n * d));
        let gains = [random.vec(d), random.vec(d)];
        let expected = |values: &[f32], gain: &[f32], n: usize| -> Vec<f64> {
            values.chunks(d).enumerate()
                .flat_map(|(row, head)| rotate(&rms_norm(&wide(head), &wide(gain), eps.into()), position + row / n, theta)).collect()
        };
        let (expected_q, expected_keys) = (expected(&q, &gains[0], heads.n_head), expected(&keys, &gains[1], heads.n_kv_head));
        let mut k_cache = Kept::of(&vec![7.0; heads.n_kv_head * heads.ctx_len * d], cache);
        ops::qk_norm_rope(heads, [&gains[0], &gains[1]], eps, &rope(heads, theta), position, &mut q, &mut keys, k_cache.writable());
        assert_close("q", &q, &expected_q);
        let mut expected = vec![7.0; heads.n_kv_head * heads.ctx_len * d];
        for (row, key) in expected_keys.chunks(d).enumerate() {
            let (t, head) = (row / heads.n_kv_head, row % heads.n_kv_head);
            expected[(head * heads.ctx_len + position + t) * d..][..d].copy_from_slice(key);
        }
        assert_within(when_kept(1e-5, cache), "k", &k_cache.values(), &expected);
    }

    #[test]
    fn attention(seed: u64, heads in heads(), tokens in 1usize..9, position in 0usize..31, cache in cache(), isa in isa()) {
        let random = &mut Random(seed);
        let (d, s, q_width) = (heads.d_head, heads.ctx_len, heads.n_head * heads.d_head);
        let q: Vec<f32> = random.vec(tokens * q_width).iter().map(|q| q * 4.0).collect();
        let [k, v] = [(); 2].map(|()| Kept::of(&random.vec(heads.n_kv_head * s * d), cache));
        let mut out = vec![0.0; q.len()];
        ops::attention(alone(isa), heads, &q, k.weights(), v.weights(), position, &mut out);

        let expected = attended(heads, &q, &k, &v, position);
        assert_close("attention", &out, &expected);
    }

    #[test]
    fn matmul_residual(seed: u64, tokens in 1usize..14, width in 1usize..40, k in 1usize..90, dtype in dtype(), isa in isa()) {
        let (random, k) = (&mut Random(seed), fit(k, dtype));
        let (x, w, residual) = (random.vec(tokens * k), Matrix::random(random, width * k, dtype), random.vec(tokens * width));
        let mut got = residual.clone();
        ops::matmul_residual(alone(isa), &x, w.weights(), width, &mut vec![0.0; tokens * width], &mut got);
        let added = matmul(&wide(&x), &w.f64(), k);
        let expected: Vec<f64> = wide(&residual).iter().zip(added).map(|(a, b)| a + b).collect();
        assert_within(tolerance(isa, dtype), "matmul_residual", &got, &expected);
    }

    #[test]
    fn norm_gate_up_silu(seed: u64, tokens in 1usize..14, width in 1usize..60, d_ff in 1usize..40, dtype in dtype(), isa in isa()) {
        let (random, width) = (&mut Random(seed), fit(width, dtype));
        let (x, gain) = (random.vec(tokens * width), random.vec(width));
        let (gate, up) = (Matrix::random(random, d_ff * width, dtype), Matrix::random(random, d_ff * width, dtype));
        let (mut normed, mut hidden) = (vec![0.0; x.len()], vec![0.0; tokens * d_ff]);
        let norm = Norm { weight: &gain, eps: 1e-2 };
        ops::norm_gate_up_silu(alone(isa), &x, norm, gate.weights(), up.weights(), &mut normed, &mut vec![0.0; tokens * d_ff], &mut hidden);
        let x = rms_norm(&wide(&x), &wide(&gain), 1e-2);
        let (gate, up) = (matmul(&x, &gate.f64(), width), matmul(&x, &up.f64(), width));
        let expected: Vec<f64> = gate.iter().zip(up).map(|(gate, up)| gate / (1.0 + (-gate).exp()) * up).collect();
        assert_within(tolerance(isa, dtype), "norm_gate_up_silu", &hidden, &expected);
    }

    #[test]
    fn norm_up_relu2(seed: u64, tokens in 1usize..14, width in 1usize..60, d_ff in 1usize..40, dtype in dtype(), isa in isa()) {
        let (random, width) = (&mut Random(seed), fit(width, dtype));
        let (x, gain, up) = (random.vec(tokens * width), random.vec(width), Matrix::random(random, d_ff * width, dtype));
        let (mut normed, mut hidden) = (vec![0.0; x.len()], vec![0.0; tokens * d_ff]);
        ops::norm_up_relu2(alone(isa), &x, Norm { weight: &gain, eps: 1e-2 }, up.weights(), &mut normed, &mut hidden);
        let up = matmul(&rms_norm(&wide(&x), &wide(&gain), 1e-2), &up.f64(), width);
        let expected: Vec<f64> = up.iter().map(|up| if *up > 0.0 { up * up } else { 0.0 }).collect();
        assert_within(tolerance(isa, dtype), "norm_up_relu2", &hidden, &expected);
    }

    #[test]
    fn norm_logits(seed: u64, tokens in 1usize..7, width in 1usize..60, vocab_size in 1usize..50, dtype in dtype(), isa in isa(), cap in proptest::option::of(1f32..50.0)) {
        let (random, width) = (&mut Random(seed), fit(width, dtype));
        let (x, gain) = (random.vec(tokens * width), random.vec(width));
        let w = Matrix::random(random, vocab_size * width, dtype);
        let (mut normed, mut logits) = (vec![0.0; x.len()], vec![0.0; tokens * vocab_size]);
        ops::norm_logits(alone(isa), &x, Norm { weight: &gain, eps: 1e-5 }, w.weights(), cap, &mut normed, &mut logits);
        let x = rms_norm(&wide(&x), &wide(&gain), 1e-5);
        let capped = |logit: f64| cap.map_or(logit, |cap| f64::from(cap) * (logit / f64::from(cap)).tanh());
        let expected: Vec<f64> = matmul(&x, &w.f64(), width).into_iter().map(capped).collect();
        assert_within(tolerance(isa, dtype), "norm_logits", &logits, &expected);
    }
}

/// Rows longer than the buffer in which pairs of f16 rows are widened.
#[test]
fn long_f16_rows() {
    let random = &mut Random(9);
    let (k, width, tokens) = (2051, 5, 9);
    let (x, w) = (
        random.vec(tokens * k),
        Matrix::random(random, width * k, Dtype::F16),
    );
    for isa in isas() {
        let mut got = vec![0.0; tokens * width];
        ops::matmul_residual(
            alone(isa),
            &x,
            w.weights(),
            width,
            &mut vec![0.0; tokens * width],
            &mut got,
        );
        assert_close("matmul_residual", &got, &matmul(&wide(&x), &w.f64(), k));
    }
}

/// Every finite f16, against the definition: sign · 2^(e−15) · (1 + m/1024), or m · 2^−24 for subnormals.
#[test]
fn f16_widens_exactly() {
    for bits in 0..=u16::MAX {
        let (exponent, mantissa) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
        if exponent == 31 {
            continue;
        }
        let magnitude = if exponent == 0 {
            mantissa * 2f64.powi(-24)
        } else {
            (1.0 + mantissa / 1024.0) * 2f64.powi(exponent - 15)
        };
        let expected = if bits >> 15 == 1 {
            -magnitude
        } else {
            magnitude
        };
        let got = Weights::F16(&[bits]).get(0);
        assert_eq!(f64::from(got), expected, "{bits:#06x}");
        assert_eq!(got.is_sign_negative(), bits >> 15 == 1, "{bits:#06x}");
    }
}

/// Prompts of several tiles, and rows of several parts of a tile's depth: more than the random shapes above reach.
#[test]
fn matmul_residual_of_long_prompts_and_wide_rows() {
    let random = &mut Random(7);
    for (tokens, width, k) in [(64, 13, 96), (65, 6, 800), (131, 7, 1568), (17, 1, 2400)] {
        for dtype in Dtype::ALL {
            let x = random.vec(tokens * k);
            let w = Matrix::random(random, width * k, dtype);
            let residual = random.vec(tokens * width);
            let added = matmul(&wide(&x), &w.f64(), k);
            let expected: Vec<f64> = wide(&residual)
                .iter()
                .zip(added)
                .map(|(a, b)| a + b)
                .collect();
            for isa in isas() {
                let mut got = residual.clone();
                let products = &mut vec![0.0; tokens * width];
                ops::matmul_residual(alone(isa), &x, w.weights(), width, products, &mut got);
                assert_within(tolerance(isa, dtype), "matmul_residual", &got, &expected);
            }
        }
    }
}

/// Caches of several blocks of keys, heads of several tiles, prompts of several chunks: more than the random shapes above reach.
#[test]
fn attention_of_long_prompts() {
    let random = &mut Random(11);
    for (n_kv_head, group, d_head, tokens, position) in [
        (1, 1, 48, 64, 700),
        (2, 3, 64, 131, 0),
        (1, 5, 80, 5, 255),
        (1, 1, 258, 7, 300),
        (1, 2, 770, 4, 9),
        (1, 4, 48, 1, 511),
        (2, 7, 50, 3, 300),
    ] {
        let heads = Heads {
            n_head: n_kv_head * group,
            n_kv_head,
            d_head,
            ctx_len: position + tokens + 3,
        };
        let q = random.normals(tokens * heads.n_head * d_head, 1.5);
        for cache in CACHES {
            let len = n_kv_head * heads.ctx_len * d_head;
            let [k, v] = [(); 2].map(|()| Kept::of(&random.normals(len, 1.0), cache));
            let expected = attended(heads, &q, &k, &v, position);
            for isa in isas() {
                let mut out = vec![7.0; q.len()];
                let (k, v) = (k.weights(), v.weights());
                ops::attention(alone(isa), heads, &q, k, v, position, &mut out);
                assert_close("attention", &out, &expected);
            }
        }
    }
}
