//! Query heads that share a reading of keys and values compute what each computes alone, bit for bit: how heads are shared out hangs
//! on the threads that there are.

mod cached;
mod engine_support;
mod model_writer;

use cached::{CACHES, Kept};
use engine_support::isas;
use model_writer::{Random, stored};
use pocketlm_inference::cpu::ops::{self, Heads};
use pocketlm_inference::cpu::{Cores, OneThread};

#[test]
fn heads_together_are_each_alone() {
    let random = &mut Random(5);
    for group in 1..=9 {
        for (d_head, position) in [(48, 300), (64, 255), (2, 0), (50, 257), (130, 64)] {
            let ctx_len = position + 2;
            let heads = |n_head| Heads {
                n_head,
                n_kv_head: 1,
                d_head,
                ctx_len,
            };
            let q = random.normals(group * d_head, 1.5);
            for (cache, isa) in CACHES
                .into_iter()
                .flat_map(|cache| isas().into_iter().map(move |isa| (cache, isa)))
            {
                let [k, v] =
                    [(); 2].map(|()| Kept::of(&random.normals(ctx_len * d_head, 1.0), cache));
                let attend = |q: &[f32]| {
                    let mut out = vec![7.0; q.len()];
                    let cores = Cores {
                        isa,
                        threads: &OneThread,
                    };
                    let heads = heads(q.len() / d_head);
                    ops::attention(
                        cores,
                        heads,
                        q,
                        k.weights(),
                        v.weights(),
                        position,
                        &mut out,
                    );
                    out
                };
                let together = attend(&q);
                let alone: Vec<f32> = q.chunks(d_head).flat_map(attend).collect();
                let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                let case = (group, d_head, position, cache, isa.name());
                assert_eq!(bits(&together), bits(&alone), "{case:?}");
            }
        }
    }
}
