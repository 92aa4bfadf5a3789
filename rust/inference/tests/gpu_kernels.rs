//! Each kernel against its CPU twin, alone, on random values and odd shapes.
//!
//! (`tests/shaders` compares the same kernels with torch; this test compares the two engines with each other.)

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

mod cached;
mod gpu_support;
#[path = "gpu_support/kernel.rs"]
mod kernel;
#[path = "gpu_support/layout.rs"]
mod layout;

use cached::{CACHES, Kept};
use gpu_support::{ONE_LAYER, Random, assert_close, stored};
use kernel::Gpu;
use layout::{assert_cached, cached, padded, unpadded};
use pocketlm_inference::cpu::Cores;
use pocketlm_inference::cpu::ops::{self, Heads, Norm};
use pocketlm_inference::format::Dtype;
use pocketlm_inference::gpu::{Splitting, Step, TILED_FROM, constants};
use pocketlm_inference::rope::RopeTable;
use pocketlm_inference::weights::{Qkv, Weights};
use pocketlm_inference::{Cache, Config};

/// f32 sums of a few hundred products of order 1, in another order: differences of a few 1e-6.
const TOLERANCE: f32 = 2e-5;
const POSITION: usize = 3;

/// Shapes of 1, odd ones, GQA groups of 1, 2 and 4.
fn configs() -> [Config; 3] {
    [
        (1, 1, 1, 2, 1, 2),
        (45, 6, 3, 10, 71, 131),
        (66, 4, 1, 34, 93, 515),
    ]
    .map(
        |(d_model, n_head, n_kv_head, d_head, d_ff, vocab_size)| Config {
            n_head,
            n_kv_head,
            d_model,
            d_head,
            d_ff,
            vocab_size,
            ..ONE_LAYER
        },
    )
}

fn step(tokens: usize) -> Vec<u8> {
    let step = Step {
        position: POSITION as u32,
        n_tokens: tokens as u32,
        ..Step::default()
    };
    bytemuck::bytes_of(&step).to_vec()
}

/// For every shape and 1, 6 and 70 tokens.
fn for_each_case(mut test: impl FnMut(&Gpu, &Config, usize, &mut Random)) {
    let gpu = Gpu::new();
    for config in configs() {
        for tokens in [1, 6, 70] {
            test(&gpu, &config, tokens, &mut Random(config.d_model.into()));
        }
    }
}

#[test]
fn embed() {
    for_each_case(|gpu, config, tokens, random| {
        let table = random.normals((config.vocab_size * config.d_model) as usize, 1.0);
        let ids = random.ids(tokens, config.vocab_size);
        let mut expected = vec![0.0; tokens * config.d_model as usize];
        ops::embed(&ids, Weights::F32(&table), &mut expected);
        let x = padded(&vec![9.0; expected.len()], config.d_model);
        let contents = [
            bytemuck::cast_slice(&ids),
            &padded(&table, config.d_model)[..],
            &x,
        ];
        let got = gpu.run(
            "embed",
            &constants(config, Cache::F32, Dtype::F32),
            &contents,
            [config.d_model.div_ceil(256), tokens as u32, 1],
        );
        assert_eq!(unpadded(&got[2], config.d_model), expected);
    });
}

#[test]
fn norm_qkv_rope() {
    for_each_case(|gpu, config, tokens, random| {
        let [c, d] = [config.d_model, config.d_head];
        let (q_width, kv_width) = (config.q_width(), config.kv_width());
        let x = random.normals(tokens * c as usize, 1.0);
        let gain = random.normals(c as usize, 1.0);
        let [wq, wk, wv] =
            [q_width, kv_width, kv_width].map(|rows| random.normals((rows * c) as usize, 0.3));
        let bias = [q_width, kv_width, kv_width].map(|rows| random.normals(rows as usize, 0.5));
        let rope = RopeTable::new(config).unwrap();
        let table = pairs_of(&rope);
        let empty = vec![0.0; (kv_width * config.ctx_len) as usize];
        for (cache, rotated) in CACHES
            .into_iter()
            .flat_map(|cache| [(cache, true), (cache, false)])
        {
            let (mut q, mut normed) = (vec![0.0; tokens * q_width as usize], vec![0.0; x.len()]);
            let mut projected = vec![0.0; 2 * tokens * kv_width as usize];
            let [mut k_cache, mut v_cache] = [(); 2].map(|()| Kept::of(&empty, cache));
            ops::norm_qkv_rope(
                Cores::PORTABLE,
                heads(config),
                &x,
                Norm {
                    weight: &gain,
                    eps: config.norm_eps as f32,
                },
                Qkv {
                    q: Weights::F32(&wq),
                    k: Weights::F32(&wk),
                    v: Weights::F32(&wv),
                    bias: Some([&bias[0], &bias[1], &bias[2]]),
                },
                rotated.then_some(&rope),
                POSITION,
                &mut normed,
                &mut q,
                &mut projected,
                k_cache.writable(),
                v_cache.writable(),
            );
            // Behind the queries lie keys that are not rotated yet.
            if !rotated {
                q.extend_from_slice(&projected[..tokens * kv_width as usize]);
            }
            let kept = cached(&empty, cache, d);
            let biases = bias.concat();
            let contents = [
                &step(tokens)[..],
                &padded(&x, c),
                &padded(&gain, c),
                &padded(&[&wq[..], &wk, &wv].concat(), c),
                bytemuck::cast_slice(&table),
                &padded(&vec![0.0; q.len()], d / 2),
                &kept,
                &kept,
                bytemuck::cast_slice(&biases),
            ];
            let pairs = (q_width + 2 * kv_width) / 2;
            let (mut constants, grid) = gpu.products(config, cache, pairs, tokens as u32);
            constants.push(("QKV_BIAS", 1.0));
            constants.push(("ROPE", f64::from(rotated)));
            let got = gpu.run("norm_qkv_rope", &constants, &contents, grid);
            assert_close("norm_qkv_rope q", &unpadded(&got[5], d / 2), &q, TOLERANCE);
            assert_cached("norm_qkv_rope k", &got[6], d, &k_cache, TOLERANCE);
            assert_cached("norm_qkv_rope v", &got[7], d, &v_cache, TOLERANCE);
        }
    });
}

/// The table as the kernels have it.
fn pairs_of(rope: &RopeTable) -> Vec<f32> {
    let pairs = rope.cos.iter().zip(&rope.sin);
    pairs.flat_map(|(cos, sin)| [*cos, *sin]).collect()
}

#[test]
fn qk_norm_rope() {
    for_each_case(|gpu, config, tokens, random| {
        let d = config.d_head;
        let q = random.normals(tokens * config.q_width() as usize, 1.0);
        let keys = random.normals(tokens * config.kv_width() as usize, 1.0);
        let before = random.normals((config.kv_width() * config.ctx_len) as usize, 1.0);
        let gains = [(); 2].map(|()| random.normals(d as usize, 1.0));
        let rope = RopeTable::new(config).unwrap();
        let table = pairs_of(&rope);
        for cache in CACHES {
            let (mut q, mut keys, mut k_cache) =
                (q.clone(), keys.clone(), Kept::of(&before, cache));
            let contents = [
                &step(tokens)[..],
                &padded(&gains.concat(), d),
                bytemuck::cast_slice(&table),
                &padded(&[&q[..], &keys].concat(), d / 2),
                &cached(&before, cache, d),
            ];
            let mut constants = constants(config, cache, Dtype::F32);
            let threads = f64::from(gpu.tuning.threads());
            constants.push(("THREADS", threads));
            let grid = [config.n_head + config.n_kv_head, tokens as u32, 1];
            let got = gpu.run("qk_norm_rope", &constants, &contents, grid);
            let (eps, norms) = (config.norm_eps as f32, [&gains[0][..], &gains[1]]);
            let writable = k_cache.writable();
            ops::qk_norm_rope(
                heads(config),
                norms,
                eps,
                &rope,
                POSITION,
                &mut q,
                &mut keys,
                writable,
            );
            let got_q = &unpadded(&got[3], d / 2)[..q.len()];
            assert_close("qk_norm_rope q", got_q, &q, TOLERANCE);
            assert_cached("qk_norm_rope k", &got[4], d, &k_cache, TOLERANCE);
        }
    });
}

#[test]
fn attention() {
    for_each_case(|gpu, config, tokens, random| {
        let d = config.d_head;
        let q = random.normals(tokens * config.q_width() as usize, 1.0);
        let [k, v] =
            [(); 2].map(|()| random.normals((config.kv_width() * config.ctx_len) as usize, 1.0));
        // Neither split nor tiled; both; as on a GPU.
        let variants = [(1, 4, false), (1, 4, true), (40, 4, true), (300, 8, true)];
        for (cache, (forced, rows, is_tiled)) in CACHES
            .into_iter()
            .flat_map(|cache| variants.map(|variant| (cache, variant)))
        {
            let mut expected = vec![0.0; q.len()];
            let [kept_k, kept_v] = [&k, &v].map(|values| Kept::of(values, cache));
            ops::attention(
                Cores::PORTABLE,
                heads(config),
                &q,
                kept_k.weights(),
                kept_v.weights(),
                POSITION,
                &mut expected,
            );
            let (width, tokens) = ((d / 2).div_ceil(4), tokens as u32);
            let is_tiled = is_tiled && tokens >= TILED_FROM;
            let splitting = Splitting {
                workgroups: forced,
                least: 3,
                tile_tokens: if is_tiled { 4 * rows } else { 1 },
            };
            let splits = splitting.count(config.n_head, POSITION as u32, tokens);
            assert!(forced == 1 || is_tiled || splits > 1 || config.n_head * tokens > 20);
            let threads = gpu.tuning.attention_threads(width);
            let with = |own: &[(&'static str, u32)]| {
                let splits = [
                    ("WORKGROUPS", splitting.workgroups),
                    ("LEAST_SPLIT", splitting.least),
                    ("TILE_TOKENS", splitting.tile_tokens),
                ];
                let mut constants = constants(config, cache, Dtype::F32);
                let own = own.iter().chain(&splits);
                constants.extend(own.map(|(name, value)| (*name, f64::from(*value))));
                constants
            };
            let (name, own, grid) = if is_tiled {
                let grid = [tokens.div_ceil(4 * rows), splits * width.div_ceil(8)];
                ("attention_tiled", with(&[("ROWS", rows)]), grid)
            } else {
                let grid = [tokens, splits * width.div_ceil(threads)];
                ("attention", with(&[("THREADS", threads)]), grid)
            };
            let out = padded(&vec![0.0; q.len()], config.q_width());
            let partials =
                vec![0; (splits * tokens * config.n_head * (2 * width + 1)) as usize * 16];
            let (step, q, k, v) = (
                step(tokens as usize),
                padded(&q, d / 2),
                cached(&k, cache, d),
                cached(&v, cache, d),
            );
            let contents = [&step[..], &q, &k, &v, &out, &partials];
            let mut got = gpu.run(name, &own, &contents, [config.n_head, grid[0], grid[1]]);
            if splits > 1 {
                let contents = [&step[..], &got[5], &out];
                let grid = [config.n_head, tokens, 1];
                let own = with(&[("THREADS", gpu.tuning.threads())]);
                got[4] = gpu.run("attention_reduce", &own, &contents, grid).remove(2);
            }
            assert_close(
                &format!("{name}, {splits} splits, {cache:?}"),
                &unpadded(&got[4], config.q_width()),
                &expected,
                TOLERANCE,
            );
        }
    });
}

#[test]
fn matmul_residual() {
    for_each_case(|gpu, config, tokens, random| {
        let (c, k) = (config.d_model, config.d_ff);
        let input = random.normals(tokens * k as usize, 1.0);
        let w = random.normals((c * k) as usize, 0.2);
        let x = random.normals(tokens * c as usize, 1.0);
        let mut expected = x.clone();
        ops::matmul_residual(
            Cores::PORTABLE,
            &input,
            Weights::F32(&w),
            c as usize,
            &mut vec![0.0; x.len()],
            &mut expected,
        );
        let contents = [
            &step(tokens)[..],
            &padded(&input, k),
            &padded(&w, k),
            &padded(&x, c),
        ];
        let (mut constants, grid) = gpu.products(config, Cache::F32, c.div_ceil(2), tokens as u32);
        constants.push(("WIDTH_IN", f64::from(k)));
        let got = gpu.run("matmul_residual", &constants, &contents, grid);
        assert_close(
            "matmul_residual",
            &unpadded(&got[3], c),
            &expected,
            TOLERANCE,
        );
    });
}

#[test]
fn norm_gate_up_silu() {
    for_each_case(|gpu, config, tokens, random| {
        let (c, f) = (config.d_model, config.d_ff);
        let x = random.normals(tokens * c as usize, 1.0);
        let gain = random.normals(c as usize, 1.0);
        let [gate, up] = [(); 2].map(|()| random.normals((f * c) as usize, 0.2));
        let (mut normed, mut expected) = (vec![0.0; x.len()], vec![0.0; tokens * f as usize]);
        let norm = Norm {
            weight: &gain,
            eps: config.norm_eps as f32,
        };
        ops::norm_gate_up_silu(
            Cores::PORTABLE,
            &x,
            norm,
            Weights::F32(&gate),
            Weights::F32(&up),
            &mut normed,
            &mut vec![0.0; tokens * f as usize],
            &mut expected,
        );
        let hidden = padded(&vec![0.0; expected.len()], f);
        let contents = [
            &step(tokens)[..],
            &padded(&x, c),
            &padded(&gain, c),
            &padded(&gate, c),
            &padded(&up, c),
            &hidden,
        ];
        let (constants, grid) = gpu.products(config, Cache::F32, f, tokens as u32);
        let got = gpu.run("norm_gate_up_silu", &constants, &contents, grid);
        assert_close(
            "norm_gate_up_silu",
            &unpadded(&got[5], f),
            &expected,
            TOLERANCE,
        );
    });
}

#[test]
fn norm_up_relu2() {
    for_each_case(|gpu, config, tokens, random| {
        let (c, f) = (config.d_model, config.d_ff);
        let x = random.normals(tokens * c as usize, 1.0);
        let gain = random.normals(c as usize, 1.0);
        let up = random.normals((f * c) as usize, 0.2);
        let (mut normed, mut expected) = (vec![0.0; x.len()], vec![0.0; tokens * f as usize]);
        let norm = Norm {
            weight: &gain,
            eps: config.norm_eps as f32,
        };
        let w_up = Weights::F32(&up);
        ops::norm_up_relu2(Cores::PORTABLE, &x, norm, w_up, &mut normed, &mut expected);
        let contents = [
            &step(tokens)[..],
            &padded(&x, c),
            &padded(&gain, c),
            &padded(&up, c),
            &padded(&vec![0.0; expected.len()], f),
        ];
        let (constants, grid) = gpu.products(config, Cache::F32, f.div_ceil(2), tokens as u32);
        let got = gpu.run("norm_up_relu2", &constants, &contents, grid);
        assert_close(
            "norm_up_relu2",
            &unpadded(&got[4], f),
            &expected,
            // A square of sums of up to 10.
            10.0 * TOLERANCE,
        );
    });
}

#[test]
fn norm_logits() {
    for_each_case(|gpu, config, tokens, random| {
        // Few tokens without a cap, more with one.
        let cap = (tokens > 1).then_some(1.5);
        let (c, v) = (config.d_model, config.vocab_size as usize);
        let x = random.normals(tokens * c as usize, 1.0);
        let gain = random.normals(c as usize, 1.0);
        let w = random.normals(v * c as usize, 0.2);
        let (mut normed, mut expected) = (vec![0.0; x.len()], vec![0.0; tokens * v]);
        let norm = Norm {
            weight: &gain,
            eps: config.norm_eps as f32,
        };
        ops::norm_logits(
            Cores::PORTABLE,
            &x,
            norm,
            Weights::F32(&w),
            cap,
            &mut normed,
            &mut expected,
        );
        let logits = vec![0; tokens * v * 4];
        let contents = [
            &step(tokens)[..],
            &padded(&x, c),
            &padded(&gain, c),
            &padded(&w, c),
            &logits,
        ];
        let (mut constants, grid) = gpu.products(
            config,
            Cache::F32,
            config.vocab_size.div_ceil(2),
            tokens as u32,
        );
        constants.push(("LOGIT_CAP", cap.map_or(0.0, f64::from)));
        let got = gpu.run("norm_logits", &constants, &contents, grid);
        // The kernel writes the last token's row first.
        let rows: Vec<f32> = bytemuck::pod_collect_to_vec(&got[4]);
        let in_order: Vec<f32> = rows.chunks_exact(v).rev().flatten().copied().collect();
        assert_close("norm_logits", &in_order, &expected, TOLERANCE);
    });
}

fn heads(config: &Config) -> Heads {
    Heads {
        n_head: config.n_head as usize,
        n_kv_head: config.n_kv_head as usize,
        d_head: config.d_head as usize,
        ctx_len: config.ctx_len as usize,
    }
}
