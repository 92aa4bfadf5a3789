//! The kernel of penalties and biases against its CPU twin, alone.

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

mod gpu_support;
#[path = "gpu_support/kernel.rs"]
mod kernel;

use gpu_support::{Random, assert_close};
use kernel::Gpu;
use pocketlm_inference::Sampling;
use pocketlm_inference::adjustments::{Adjustment, Adjustments, Penalties};
use pocketlm_inference::cpu::ops;
use pocketlm_inference::gpu::Step;

/// Ids of 16 positions, and every option; for the first token of a submission and for a later one, whose predecessor is counted there.
#[test]
fn adjust_logits() {
    let gpu = Gpu::new();
    let mut random = Random(6);
    for v in [1, 2, 131, 515] {
        for round in 0..12 {
            let ids = random.ids(16, v);
            let mut logit_bias: Vec<(u32, f32)> = random
                .ids(9, v)
                .into_iter()
                .zip(random.normals(9, 3.0))
                .collect();
            logit_bias[0].1 = f32::NEG_INFINITY;
            let sampling = Sampling {
                repetition_penalty: [1.0, 1.4, 0.7][round % 3],
                presence_penalty: [0.0, 0.5][round % 2],
                frequency_penalty: [0.0, -0.25, 0.75][round / 2 % 3],
                answer_from: round as u32,
                logit_bias,
                ..Sampling::GREEDY
            };
            let mut logits = random.normals(v as usize, 2.0);
            logits[ids[0] as usize] = [f32::NAN, f32::NEG_INFINITY, 0.0, -0.0][round % 4];
            let mut adjustments = Adjustments::new(&sampling, &ids, v).expect("a bias");
            let before = logits.clone();
            let sampled = random.ids(1, v)[0];
            // Room for every token, as in the engine: one that the list does not have is added to it.
            let mut list = vec![0; size_of::<Penalties>() + v as usize * size_of::<Adjustment>()];
            list[..16].copy_from_slice(bytemuck::bytes_of(&adjustments.penalties()));
            let entries: &[u8] = bytemuck::cast_slice(adjustments.list());
            list[16..16 + entries.len()].copy_from_slice(entries);
            for ring_index in [0, 3] {
                if ring_index > 0 {
                    adjustments.count(sampled);
                }
                let mut expected = before.clone();
                ops::adjust_logits(&mut expected, &adjustments);
                let step = Step {
                    ring_index,
                    ..Step::default()
                };
                let contents = [
                    bytemuck::bytes_of(&step),
                    bytemuck::bytes_of(&sampled),
                    &list,
                    bytemuck::cast_slice(&before),
                ];
                let got = gpu.run("adjust_logits", &Vec::new(), &contents, [1, 1, 1]);
                let bits = |logits: &[f32]| -> Vec<Option<u32>> {
                    logits
                        .iter()
                        .map(|x| (!x.is_finite()).then_some(x.to_bits()))
                        .collect()
                };
                let got_logits: Vec<f32> = bytemuck::pod_collect_to_vec(&got[3]);
                assert_eq!(bits(&got_logits), bits(&expected), "{sampling:?}");
                let finite = |logits: &[f32]| -> Vec<f32> {
                    logits
                        .iter()
                        .map(|x| if x.is_finite() { *x } else { 0.0 })
                        .collect()
                };
                assert_close(
                    "adjust_logits",
                    &finite(&got_logits),
                    &finite(&expected),
                    1e-5,
                );
                let length = adjustments.list().len();
                let left: Vec<Adjustment> =
                    bytemuck::pod_collect_to_vec(&got[2][16..16 + 12 * length]);
                assert_eq!(left, adjustments.list(), "{sampling:?}");
                assert_eq!(got[2][..4], (length as u32).to_le_bytes());
            }
        }
    }
}
