//! The whole GPU backend against the CPU backend, on random models of odd shapes.

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

mod gpu_support;

use std::sync::Arc;

use gpu_support::{Random, SHAPES, assert_close, forced_engine, gpu_engine, model};
use pocketlm_inference::cpu::{Isa, OneThread};
use pocketlm_inference::engine::tolerance;
use pocketlm_inference::gpu::Forced;
use pocketlm_inference::{Cache, Engine, EngineError, Generator, Sampling};
use pollster::block_on;

fn samplings() -> [Sampling; 6] {
    [
        Sampling::GREEDY,
        Sampling {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            seed: 1,
            ..Sampling::GREEDY
        },
        Sampling {
            temperature: 0.8,
            top_k: 20,
            top_p: 0.9,
            seed: 2,
            ..Sampling::GREEDY
        },
        Sampling {
            temperature: 1.5,
            top_k: 0,
            top_p: 0.7,
            seed: 3,
            ..Sampling::GREEDY
        },
        Sampling {
            temperature: 1.2,
            min_p: 0.1,
            repetition_penalty: 1.3,
            answer_from: 2,
            seed: 4,
            ..Sampling::GREEDY
        },
        Sampling {
            repetition_penalty: 1.1,
            presence_penalty: 0.3,
            frequency_penalty: 0.2,
            logit_bias: vec![(0, f32::NEG_INFINITY), (1, 0.5)],
            ..Sampling::GREEDY
        },
    ]
}

#[test]
fn logits_are_those_of_the_cpu_backend() {
    for shape in SHAPES {
        let model = model(shape, 7);
        let ids = Random(1).ids(shape.ctx_len as usize, shape.vocab_size);
        let expected = block_on(Engine::cpu(model.clone()).unwrap().logits(&ids)).unwrap();
        let mut gpu = gpu_engine(&model);
        let got = block_on(gpu.logits(&ids)).unwrap();
        assert_close(
            &format!("logits {shape:?}"),
            &got,
            &expected,
            tolerance(&expected),
        );
        assert_eq!(gpu.position(), shape.ctx_len);
    }
}

/// As for a model that repays the compilation, and as on an adapter that wants many workgroups.
const FORCED: [Forced; 3] = [
    Forced {
        tiles: Some(true),
        splits: None,
        survey: Some(true),
        split: None,
        tune: None,
    },
    Forced {
        tiles: Some(false),
        splits: Some((100, 5)),
        survey: None,
        split: None,
        tune: None,
    },
    Forced {
        tiles: Some(true),
        splits: Some((60, 7)),
        survey: Some(true),
        split: None,
        tune: None,
    },
];

#[test]
fn tiles_and_splits_give_the_logits_of_the_cpu_backend() {
    for shape in SHAPES {
        let model = model(shape, 7);
        let ids = Random(1).ids(shape.ctx_len as usize, shape.vocab_size);
        let expected = block_on(Engine::cpu(model.clone()).unwrap().logits(&ids)).unwrap();
        for forced in FORCED {
            let mut gpu = forced_engine(&model, None, forced);
            // Whole chunks, a few tokens, and one by one at the end of the cache.
            let mut got = Vec::new();
            let (most, few) = ids.split_at(ids.len().saturating_sub(8));
            for part in [most, &few[..few.len() / 2]] {
                got.extend(block_on(gpu.logits(part)).unwrap());
            }
            for id in &few[few.len() / 2..] {
                got.extend(block_on(gpu.logits(&[*id])).unwrap());
            }
            let op = format!("logits {forced:?} {shape:?}");
            assert_close(&op, &got, &expected, tolerance(&expected));
        }
    }
}

#[test]
fn tiles_splits_and_a_survey_give_the_tokens_of_the_cpu_backend() {
    for (shape, sampling) in [(SHAPES[2], 2), (SHAPES[7], 4), (SHAPES[8], 3)] {
        let (model, sampling) = (model(shape, 9), &samplings()[sampling]);
        let prompt = Random(3).ids(20, shape.vocab_size);
        let mut cpu = Engine::cpu(model.clone()).unwrap();
        block_on(cpu.prefill(&prompt)).unwrap();
        let expected = block_on(cpu.decode(sampling, 30)).unwrap();
        for forced in FORCED {
            let mut gpu = forced_engine(&model, None, forced);
            block_on(gpu.prefill(&prompt)).unwrap();
            let got = block_on(gpu.decode(sampling, 30)).unwrap();
            assert_eq!(got, expected, "{forced:?} {shape:?}");
        }
    }
}

#[test]
fn prefill_in_any_pieces_gives_the_same_logits() {
    for shape in SHAPES {
        let model = model(shape, 8);
        let ids = Random(2).ids(shape.ctx_len as usize, shape.vocab_size);
        let mut gpu = gpu_engine(&model);
        let all = block_on(gpu.logits(&ids)).unwrap();
        let v = shape.vocab_size as usize;
        for piece in [1, 2, 3, 64, 65, ids.len()] {
            gpu.rewind(0).unwrap();
            for chunk in ids.chunks(piece) {
                block_on(gpu.prefill(chunk)).unwrap();
            }
            let last = block_on(gpu.last_logits()).unwrap();
            assert_close(
                &format!("prefill by {piece}"),
                &last,
                &all[all.len() - v..],
                tolerance(&all),
            );
        }
    }
}

#[test]
fn a_batch_of_tokens_equals_the_same_tokens_one_by_one_and_the_cpu() {
    for shape in SHAPES {
        let model = model(shape, 9);
        let prompt = Random(3).ids(1 + shape.ctx_len as usize / 9, shape.vocab_size);
        let n = (shape.ctx_len - prompt.len() as u32).min(40);
        for mut sampling in samplings() {
            sampling.logit_bias.retain(|_| shape.vocab_size > 2);
            let mut gpu = forced_engine(&model, Some(Cache::F32), Forced::default());
            block_on(gpu.prefill(&prompt)).unwrap();
            let batch = block_on(gpu.decode(&sampling, n)).unwrap();
            assert_eq!(gpu.position(), prompt.len() as u32 + n);

            gpu.rewind(0).unwrap();
            block_on(gpu.prefill(&prompt)).unwrap();
            let single: Vec<u32> = (0..n)
                .flat_map(|_| block_on(gpu.decode(&sampling, 1)).unwrap())
                .collect();
            assert_eq!(batch, single, "{shape:?} {sampling:?}");

            let (isa, one) = (Isa::PORTABLE, Arc::new(OneThread));
            let mut cpu = Engine::cpu_with(model.clone(), Some(Cache::F32), isa, one).unwrap();
            block_on(cpu.prefill(&prompt)).unwrap();
            if shape.dtype.block() > 1 {
                // The CPU rounds single tokens' activations to multiply blocks in integers: its logits are near, but an id that is drawn
                // close to an edge may be another.
                for id in &batch {
                    block_on(cpu.prefill(&[*id])).unwrap();
                }
                let expected = block_on(cpu.last_logits()).unwrap();
                let got = block_on(gpu.last_logits()).unwrap();
                let allowed = tolerance(&expected);
                assert_close("after the same tokens", &got, &expected, allowed);
                continue;
            }
            let expected = block_on(cpu.decode(&sampling, n)).unwrap();
            assert_eq!(
                batch, expected,
                "{shape:?} {sampling:?}: the GPU's tokens, then the CPU's"
            );
        }
    }
}

/// With keys and values in f16 the backends round numbers that differ in the last bits to different ones now and then, so that an id that is
/// drawn close to an edge may be another; but each brings the same however it is asked.
#[test]
fn a_cache_in_f16_gives_the_same_in_batches_one_by_one_and_in_a_fork() {
    for shape in [SHAPES[1], SHAPES[7]] {
        let (model, sampling) = (model(shape, 9), &samplings()[2]);
        let prompt = Random(3).ids(12, shape.vocab_size);
        let mut gpu = forced_engine(&model, Some(Cache::F16), Forced::default());
        block_on(gpu.prefill(&prompt)).unwrap();
        let mut fork = block_on(gpu.fork()).unwrap();
        let batch = block_on(gpu.decode(sampling, 20)).unwrap();
        let single: Vec<u32> = (0..20)
            .flat_map(|_| block_on(fork.decode(sampling, 1)).unwrap())
            .collect();
        assert_eq!(batch, single, "{shape:?}");
        assert_eq!(block_on(gpu.last_logits()), block_on(fork.last_logits()));
    }
}

#[test]
fn seeds_repeat_and_differ() {
    let model = model(SHAPES[1], 10);
    let mut gpu = gpu_engine(&model);
    let mut run = |seed| {
        gpu.rewind(0).unwrap();
        block_on(gpu.prefill(&[5, 6])).unwrap();
        block_on(gpu.decode(
            &Sampling {
                temperature: 1.0,
                top_k: 0,
                top_p: 1.0,
                seed,
                ..Sampling::GREEDY
            },
            30,
        ))
        .unwrap()
    };
    let (first, other, again) = (run(1), run(2), run(1));
    assert_eq!(first, again);
    assert_ne!(first, other);
}

#[test]
fn rewinding_forgets_exactly_what_lies_behind() {
    let model = model(SHAPES[2], 11);
    let mut gpu = gpu_engine(&model);
    block_on(gpu.prefill(&[1, 2, 3, 4])).unwrap();
    let expected = block_on(gpu.last_logits()).unwrap();
    block_on(gpu.prefill(&[9, 8, 7])).unwrap();
    gpu.rewind(3).unwrap();
    assert_eq!(block_on(gpu.last_logits()), Err(EngineError::NoLogits));
    assert_eq!(
        block_on(gpu.decode(&Sampling::GREEDY, 1)),
        Err(EngineError::NoLogits)
    );
    block_on(gpu.prefill(&[4])).unwrap();
    assert_close(
        "logits after a rewind",
        &block_on(gpu.last_logits()).unwrap(),
        &expected,
        1e-5,
    );
    assert_eq!(
        gpu.rewind(5),
        Err(EngineError::BadRewind { to: 5, position: 4 })
    );
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_read() {
    let shape = SHAPES[1];
    let model = model(shape, 12);
    let mut gpu = gpu_engine(&model);
    let too_many = vec![0; shape.ctx_len as usize + 1];
    let full = EngineError::ContextFull {
        position: 0,
        tokens: too_many.len(),
        ctx_len: shape.ctx_len,
    };
    assert_eq!(block_on(gpu.prefill(&too_many)), Err(full));
    let unknown = EngineError::TokenOutOfRange {
        index: 1,
        id: shape.vocab_size,
        vocab_size: shape.vocab_size,
    };
    assert_eq!(block_on(gpu.logits(&[0, shape.vocab_size])), Err(unknown));
    assert_eq!(gpu.position(), 0);
    block_on(gpu.prefill(&too_many[2..])).unwrap();
    block_on(gpu.decode(&Sampling::GREEDY, 1)).unwrap();
    let full = EngineError::ContextFull {
        position: shape.ctx_len,
        tokens: 1,
        ctx_len: shape.ctx_len,
    };
    assert_eq!(block_on(gpu.decode(&Sampling::GREEDY, 1)), Err(full));
}

#[test]
fn the_self_check_passes_and_notices_wrong_logits() {
    for shape in SHAPES {
        let model = model(shape, 13);
        block_on(Engine::Gpu(Box::new(gpu_engine(&model))).self_check()).unwrap();
    }
    let shape = SHAPES[2];
    let mut golden = model(shape, 13).golden().logits.to_vec();
    golden[3] += 2.0 * tolerance(&golden);
    let bytes = gpu_support::model_file(shape, 13, &golden).bytes();
    let wrong = Arc::new(pocketlm_inference::Model::parse(bytes).unwrap());
    let result = block_on(Engine::Gpu(Box::new(gpu_engine(&wrong))).self_check());
    assert!(
        matches!(
            result,
            Err(EngineError::SelfCheck {
                backend: "gpu",
                index: 3,
                ..
            })
        ),
        "{result:?}"
    );
}

#[test]
fn the_generator_gives_the_same_text_on_both_backends_over_several_windows() {
    let shape = SHAPES[2];
    let model = model(shape, 14);
    let sampling = Sampling {
        temperature: 0.9,
        top_k: 30,
        top_p: 0.95,
        seed: 4,
        ..Sampling::GREEDY
    };
    let generate = |mut engine: Engine| {
        let mut generator =
            Generator::start(&mut engine, &[3, 1, 4], sampling.clone(), 2 * shape.ctx_len).unwrap();
        let mut ids = Vec::new();
        loop {
            let step = block_on(generator.step(&mut engine)).unwrap();
            ids.extend(step.ids);
            if step.done.is_some() {
                return ids;
            }
        }
    };
    let expected = generate(Engine::cpu(model.clone()).unwrap());
    assert_eq!(
        generate(Engine::Gpu(Box::new(gpu_engine(&model)))),
        expected
    );
}

/// Sessions on one device: forks and a new one, by turns, beside an engine for each; no weight is written again.
#[test]
fn sessions_share_a_device_and_diverge() {
    let mut shapes = SHAPES.into_iter();
    let shape = shapes.find(|shape| shape.ctx_len > 20).unwrap();
    let model = model(shape, 7);
    let prompt = Random(2).ids(9, shape.vocab_size);
    let mut trunk = gpu_engine(&model);
    block_on(trunk.prefill(&prompt)).unwrap();
    let mut fork = block_on(trunk.fork()).unwrap();
    let mut fresh = block_on(trunk.another()).unwrap();
    assert_eq!((fork.position(), fresh.position()), (9, 0));
    assert_eq!(block_on(fresh.last_logits()), Err(EngineError::NoLogits));
    block_on(fresh.prefill(&prompt[3..])).unwrap();
    let [greedy, hot, .., penalised] = samplings();
    let cases = [
        (&mut trunk, greedy, &prompt[..]),
        (&mut fork, penalised, &prompt[..]),
        (&mut fresh, hot, &prompt[3..]),
    ];
    let mut said = Vec::new();
    for (engine, sampling, prompt) in cases {
        let mut ids = block_on(engine.decode(&sampling, 4)).unwrap();
        said.push((sampling, prompt, Vec::new()));
        said.last_mut().unwrap().2.append(&mut ids);
    }
    for (engine, (sampling, prompt, said)) in [&mut trunk, &mut fork, &mut fresh]
        .into_iter()
        .zip(&mut said)
    {
        said.extend(block_on(engine.decode(sampling, 5)).unwrap());
        let mut alone = gpu_engine(&model);
        block_on(alone.prefill(prompt)).unwrap();
        assert_eq!(block_on(alone.decode(sampling, 9)).unwrap(), *said);
    }
}
