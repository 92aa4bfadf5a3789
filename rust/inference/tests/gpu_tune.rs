//! The micro-tune: every candidate computes the same, the fastest is taken, and what was measured once is not measured again.

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

mod gpu_support;

use std::collections::BTreeMap;

use gpu_support::{
    Random, SHAPES, Shape, assert_close, forced_engine, gpu_engine, model, model_file,
};
use pocketlm_inference::format::Dtype;
use pocketlm_inference::gpu::{Forced, GpuEngine, Split, Tuning};
use pocketlm_inference::{Cache, Engine, Model, Sampling};
use pollster::block_on;
use std::sync::Arc;

/// Letters and digits of an entry of what is kept.
const ENTRY: usize = 17;

/// The candidates of every kind of adapter; WebGPU's limits hold for all, so each runs anywhere.
fn candidates() -> Vec<Split> {
    [wgpu::DeviceType::Cpu, wgpu::DeviceType::DiscreteGpu]
        .into_iter()
        .flat_map(|device| Tuning::new(device).candidates().iter().copied())
        .collect()
}

const TUNED: Forced = Forced {
    tiles: Some(false),
    splits: None,
    survey: None,
    split: None,
    tune: Some(true),
};

/// Large enough that a kernel takes longer than its dispatch.
const SHAPE: Shape = Shape {
    n_layer: 3,
    n_head: 6,
    n_kv_head: 2,
    d_model: 384,
    d_head: 64,
    d_ff: 1024,
    vocab_size: 4096,
    ctx_len: 64,
    ..SHAPES[4]
};

/// Each with a loop over single weights, f32 or f16, and with one over blocks, q8_0 or q4_0.
#[test]
fn every_candidate_gives_the_logits_of_the_cpu_backend() {
    for (index, split) in candidates().into_iter().enumerate() {
        for shape in [[SHAPES[1], SHAPES[4]], [SHAPES[3], SHAPES[5]]][index % 2] {
            let model = model(shape, 7);
            let ids = Random(1).ids(3, shape.vocab_size);
            let expected = block_on(Engine::cpu(model.clone()).unwrap().logits(&ids)).unwrap();
            let forced = Forced {
                split: Some(split),
                ..TUNED
            };
            let mut gpu = forced_engine(&model, None, forced);
            let got: Vec<f32> = ids
                .iter()
                .flat_map(|id| block_on(gpu.logits(&[*id])).unwrap())
                .collect();
            // Sums in another order, and keys that are rounded to f16.
            let largest = expected
                .iter()
                .fold(0.0f32, |largest, x| largest.max(x.abs()));
            let of_cache = match gpu.cache() {
                Cache::F32 => 1e-4,
                Cache::F16 => 5e-3,
            };
            let op = format!("{split:?} {shape:?}");
            assert_close(&op, &got, &expected, of_cache * largest);
        }
    }
}

#[test]
fn what_was_measured_is_not_measured_again() {
    let model = model(SHAPE, 3);
    let mut gpu = forced_engine(&model, None, TUNED);
    let first = block_on(gpu.tune("one", "")).unwrap().expect("measured");
    assert_eq!(first.len(), 5 * ENTRY);
    assert_eq!(gpu.position(), 0);
    let splits = gpu.splits();
    let ids = Random(1).ids(20, SHAPE.vocab_size);
    let expected = block_on(gpu.logits(&ids)).unwrap();

    // The same, known: nothing is measured, nothing is new.
    let mut again = forced_engine(&model, None, TUNED);
    assert_eq!(block_on(again.tune("one", &first)), Ok(None));
    assert_eq!(again.splits(), splits);
    assert_eq!(block_on(again.logits(&ids)).unwrap(), expected);

    // Another adapter, or text that is none of ours: measured, and what was known is kept.
    let both = block_on(again.tune("two", &first)).unwrap().expect("new");
    assert!(both.starts_with(&first) && both.len() == 10 * ENTRY);
    for broken in ["\u{e9}", &first[1..]] {
        let measured = block_on(again.tune("one", broken)).unwrap();
        assert_eq!(measured.expect("new").len(), 5 * ENTRY, "{broken:?}");
    }

    // A known choice is taken, whatever it is; one that there is not is measured anew.
    let of_two = |letter: char| -> String {
        let entries = first.as_bytes().chunks_exact(ENTRY);
        let entries = entries.map(|entry| core::str::from_utf8(&entry[..ENTRY - 1]).unwrap());
        entries.map(|key| format!("{key}{letter}")).collect()
    };
    assert_eq!(block_on(again.tune("one", &of_two('b'))), Ok(None));
    let second = Tuning::new(again.adapter_info().device_type).candidates()[1];
    assert!(again.splits().iter().all(|(_, split)| *split == second));
    assert!(block_on(again.tune("one", &of_two('z'))).unwrap().is_some());
}

#[test]
fn engines_that_share_kernels_keep_them_and_small_models_are_left_alone() {
    let model = model(SHAPE, 3);
    let mut gpu = forced_engine(&model, None, TUNED);
    let _other = block_on(gpu.another()).unwrap();
    assert_eq!(block_on(gpu.tune("one", "")), Ok(None));

    let mut gpu = gpu_engine(&model);
    let before = gpu.counts();
    assert_eq!(block_on(gpu.tune("one", "")), Ok(None));
    assert_eq!(gpu.counts(), before);
}

/// Nanoseconds of each kernel over eight tokens.
fn times(gpu: &mut GpuEngine) -> BTreeMap<&'static str, f64> {
    gpu.rewind(0).unwrap();
    let kernels = block_on(gpu.profile(&[1], &Sampling::GREEDY, 8)).unwrap();
    let products = kernels.iter().filter(|kernel| {
        [
            "norm_qkv_rope",
            "matmul_residual",
            "norm_gate_up_silu",
            "norm_logits",
        ]
        .contains(&kernel.name)
    });
    products
        .map(|kernel| (kernel.name, kernel.nanoseconds))
        .collect()
}

/// A clearly slower candidate is never taken; what it prints with `--nocapture` are the figures.
#[test]
#[ignore = "compares times, which other work disturbs: run it alone, with --ignored"]
fn the_choice_is_among_the_fastest() {
    for dtype in [Dtype::F32, Dtype::Q8_0] {
        let shape = Shape { dtype, ..SHAPE };
        let model = Arc::new(
            Model::parse(model_file(shape, 3, &vec![0.0; 4096]).bytes()).expect("a model"),
        );
        let mut tuned = forced_engine(&model, None, TUNED);
        let start = std::time::Instant::now();
        block_on(tuned.tune("one", "")).unwrap().expect("measured");
        let tune_ms = start.elapsed().as_secs_f64() * 1e3;
        let candidates = Tuning::new(tuned.adapter_info().device_type).candidates();
        let mut engines = vec![tuned];
        for split in candidates {
            let forced = Forced {
                split: Some(*split),
                ..TUNED
            };
            engines.push(forced_engine(&model, None, forced));
        }
        // By turns; the least of each.
        let mut least = vec![BTreeMap::new(); engines.len()];
        for _ in 0..4 {
            for (engine, least) in engines.iter_mut().zip(&mut least) {
                for (name, time) in times(engine) {
                    let known = least.entry(name).or_insert(f64::INFINITY);
                    *known = known.min(time);
                }
            }
        }
        println!(
            "{dtype:?}: {tune_ms:.0} ms with compilation; {:?}",
            engines[0].splits()
        );
        for (name, chosen) in &least[0] {
            let others: Vec<f64> = least[1..].iter().map(|times| times[name]).collect();
            let best = others.iter().copied().fold(f64::INFINITY, f64::min);
            let ratios: Vec<_> = candidates
                .iter()
                .zip(&others)
                .map(|(split, time)| {
                    format!("{}/{} {:.2}", split.workgroup, split.lanes, time / best)
                })
                .collect();
            println!(
                "  {name}: chosen {:.2} of the best; {}",
                chosen / best,
                ratios.join(", ")
            );
            assert!(
                *chosen < 1.5 * best,
                "{dtype:?} {name}: {chosen} ns, the best {best}"
            );
        }
    }
}
