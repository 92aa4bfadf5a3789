//! The kernels that sample against their CPU twin, alone: the same ids of the same logits.

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

mod gpu_support;
#[path = "gpu_support/kernel.rs"]
mod kernel;

use gpu_support::{ONE_LAYER, Random};
use kernel::Gpu;
use pocketlm_inference::cpu::ops;
use pocketlm_inference::format::Dtype;
use pocketlm_inference::gpu::{SPANS, Step, constants};
use pocketlm_inference::sampling::Sampling;
use pocketlm_inference::{Cache, Config};

const POSITION: usize = 3;

/// Of a model of which only the vocabulary matters.
fn config(vocab_size: u32) -> Config {
    Config {
        vocab_size,
        ..ONE_LAYER
    }
}

#[test]
fn sample() {
    let gpu = Gpu::new();
    let mut random = Random(5);
    for vocab_size in [2, 131, 515] {
        let config = config(vocab_size);
        for (top_k, top_p, min_p) in [
            (0, 1.0, 0.0),
            (5, 1.0, 0.0),
            (0, 0.8, 0.0),
            (7, 0.9, 0.0),
            (0, 1.0, 0.1),
            (7, 0.9, 0.3),
            (0, 1.0, 1.0),
        ] {
            for seed in 0..4 {
                let logits = random.normals(config.vocab_size as usize, 2.0);
                let sampling = Sampling {
                    temperature: 0.9,
                    top_k,
                    top_p,
                    min_p,
                    seed,
                    ..Sampling::GREEDY
                };
                let mut weights = vec![0.0; logits.len()];
                let expected =
                    ops::sample(&logits, &sampling, POSITION as u32, &mut weights).unwrap();
                let before = POSITION as u32 - 1;
                let step = Step {
                    position: before,
                    n_tokens: 1,
                    top_k,
                    temperature: 0.9,
                    top_p,
                    logit_range: sampling.logit_range(),
                    seed,
                    ..Step::default()
                };
                let contents = [
                    bytemuck::bytes_of(&step),
                    bytemuck::cast_slice(&logits),
                    &[0; 4],
                    &[0; 8],
                    &[0; 16],
                    &[0; 4],
                ];
                let mut constants = constants(&config, Cache::F32, Dtype::F32);
                constants.push(("THREADS", f64::from(gpu.tuning.sample_threads())));
                let got = gpu.run("sample", &constants, &contents, [1, 1, 1]);
                let ring: Vec<u32> = bytemuck::pod_collect_to_vec(&got[3]);
                assert_eq!(ring, [expected, 0], "{sampling:?} V {}", config.vocab_size);
            }
        }
    }
}

/// As large as those of SmolLM2 and of Qwen; a few tokens are far likelier than the rest, or all are about as likely.
#[test]
fn a_survey_finds_the_token_that_the_cpu_samples_in_a_large_vocabulary() {
    let gpu = Gpu::new();
    let mut random = Random(6);
    for (vocab_size, likelier) in [(49_152, 50), (151_936, 50), (49_152, 0)] {
        let mut logits = random.normals(vocab_size as usize, 2.0);
        for _ in 0..likelier {
            logits[random.below(vocab_size) as usize] = 15.0 + random.normal(2.0);
        }
        let config = config(vocab_size);
        for (temperature, top_k, top_p, min_p) in [
            (0.0, 0, 1.0, 0.0),
            (0.9, 0, 1.0, 0.0),
            (0.9, 40, 1.0, 0.0),
            (0.9, 0, 0.9, 0.0),
            (0.8, 50, 0.95, 0.05),
            (0.9, 0, 1.0, 0.1),
        ] {
            let sampling = Sampling {
                temperature,
                top_k,
                top_p,
                min_p,
                seed: 3,
                ..Sampling::GREEDY
            };
            let mut weights = vec![0.0; logits.len()];
            let expected = ops::sample(&logits, &sampling, POSITION as u32, &mut weights).unwrap();
            let step = Step {
                position: POSITION as u32 - 1,
                n_tokens: 1,
                top_k,
                temperature,
                top_p,
                logit_range: sampling.logit_range(),
                seed: sampling.seed,
                ..Step::default()
            };
            let (step, row) = (bytemuck::bytes_of(&step), bytemuck::cast_slice(&logits));
            let with = |own: &[(&'static str, u32)]| {
                let mut constants = constants(&config, Cache::F32, Dtype::F32);
                constants.extend(own.iter().map(|(name, value)| (*name, f64::from(*value))));
                constants
            };
            let spans = vec![0; SPANS as usize * 16];
            let survey = with(&[("THREADS", gpu.tuning.threads())]);
            let contents = [step, row, &spans[..]];
            let spans = gpu.run("survey_logits", &survey, &contents, [SPANS, 1, 1]);
            let own = [("THREADS", gpu.tuning.sample_threads()), ("SURVEYED", 1)];
            let members = vec![0; vocab_size as usize * 4];
            let contents = [step, row, &[0; 4], &[0; 8], &spans[2], &members];
            let got = gpu.run("sample", &with(&own), &contents, [1, 1, 1]);
            let ring: Vec<u32> = bytemuck::pod_collect_to_vec(&got[3]);
            assert_eq!(ring, [expected, 0], "{sampling:?} V {vocab_size}");
        }
    }
}
