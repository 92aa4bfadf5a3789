//! The engine's state and the generation loop, on the CPU.

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

mod engine_support;
mod model_writer;

use std::sync::Arc;

use engine_support::finish;
use model_writer::{File, Random, Shape};
use pocketlm_inference::generate::FinishReason;
use pocketlm_inference::limits::PREFILL_CHUNK;
use pocketlm_inference::{Engine, EngineError, Generator, Model, Sampling};
use pollster::block_on;

const LONG: Shape = Shape {
    ctx_len: 200,
    ..Shape::TINY
};
fn random() -> Sampling {
    Sampling {
        temperature: 1.0,
        top_k: 0,
        top_p: 1.0,
        seed: 5,
        ..Sampling::GREEDY
    }
}

fn engine(shape: Shape) -> Engine {
    Engine::cpu(Arc::new(
        Model::parse(File::random(shape, 2).bytes()).unwrap(),
    ))
    .unwrap()
}

/// All tokens of a generation, and why it ended.
fn run(
    engine: &mut Engine,
    prompt: &[u32],
    sampling: Sampling,
    max_tokens: u32,
) -> (Vec<u32>, FinishReason) {
    let mut generator = Generator::start(engine, prompt, sampling, max_tokens).unwrap();
    let mut ids = Vec::new();
    for _ in 0..10_000 {
        let step = block_on(generator.step(engine)).unwrap();
        ids.extend(step.ids);
        assert!(step.prefilled as usize <= PREFILL_CHUNK);
        if let Some(reason) = step.done {
            let after = block_on(generator.step(engine)).unwrap();
            assert!(
                after.ids.is_empty() && after.done == Some(reason),
                "nothing comes after the end"
            );
            return (ids, reason);
        }
    }
    panic!("the generation does not end");
}

fn assert_same(a: &[f32], b: &[f32]) {
    let largest = a
        .iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(
        a.len() == b.len() && largest < 1e-4,
        "largest difference {largest}"
    );
}

#[test]
fn the_self_check_passes_for_the_right_answer_only() {
    let mut file = File::random(Shape::TINY, 2);
    let mut engine_without = Engine::cpu(Arc::new(Model::parse(file.bytes()).unwrap())).unwrap();
    assert!(matches!(
        block_on(engine_without.self_check()),
        Err(EngineError::SelfCheck { backend: "cpu", .. })
    ));
    block_on(engine_without.prefill(&[1, 2, 3])).unwrap();
    let mut golden = block_on(engine_without.last_logits()).unwrap();
    file.set_golden(&golden);
    let mut right = Engine::cpu(Arc::new(Model::parse(file.bytes()).unwrap())).unwrap();
    assert_eq!(block_on(right.self_check()), Ok(()));
    assert_eq!(right.position(), 0, "the check leaves the cache empty");
    golden[4] += 0.1;
    file.set_golden(&golden);
    let mut wrong = Engine::cpu(Arc::new(Model::parse(file.bytes()).unwrap())).unwrap();
    assert!(matches!(
        block_on(wrong.self_check()),
        Err(EngineError::SelfCheck { index: 4, .. })
    ));
}

#[test]
fn chunks_single_tokens_and_all_at_once_give_the_same_logits() {
    let ids = Random(4).ids(3 * PREFILL_CHUNK / 2, 11);
    let mut all = engine(LONG);
    let rows = block_on(all.logits(&ids)).unwrap();
    let mut single = engine(LONG);
    for (id, row) in ids.iter().zip(rows.chunks(11)) {
        block_on(single.prefill(&[*id])).unwrap();
        assert_same(&block_on(single.last_logits()).unwrap(), row);
    }
    let mut chunked = engine(LONG);
    block_on(chunked.prefill(&ids)).unwrap();
    assert_same(
        &block_on(chunked.last_logits()).unwrap(),
        &rows[rows.len() - 11..],
    );
    assert_eq!(
        (all.position(), single.position(), chunked.position()),
        (96, 96, 96)
    );
}

#[test]
fn decoding_many_is_decoding_one_by_one_and_reading_the_same_tokens() {
    let (mut many, mut single, mut forced) = (engine(LONG), engine(LONG), engine(LONG));
    for engine in [&mut many, &mut single, &mut forced] {
        block_on(engine.prefill(&[1, 2, 3])).unwrap();
    }
    let ids = block_on(many.decode(&random(), 20)).unwrap();
    let one_by_one: Vec<u32> = (0..20)
        .flat_map(|_| block_on(single.decode(&random(), 1)).unwrap())
        .collect();
    assert_eq!(ids, one_by_one);
    block_on(forced.prefill(&ids)).unwrap();
    assert_same(
        &block_on(forced.last_logits()).unwrap(),
        &block_on(many.last_logits()).unwrap(),
    );
}

#[test]
fn after_a_rewind_the_past_is_forgotten() {
    let (mut rewound, mut fresh) = (engine(LONG), engine(LONG));
    block_on(rewound.prefill(&[1, 2, 3, 4, 5, 6])).unwrap();
    rewound.rewind(2).unwrap();
    assert_eq!(block_on(rewound.last_logits()), Err(EngineError::NoLogits));
    assert_eq!(
        block_on(rewound.decode(&random(), 1)),
        Err(EngineError::NoLogits)
    );
    block_on(rewound.prefill(&[9])).unwrap();
    block_on(fresh.prefill(&[1, 2, 9])).unwrap();
    assert_same(
        &block_on(rewound.last_logits()).unwrap(),
        &block_on(fresh.last_logits()).unwrap(),
    );
    assert_eq!(
        rewound.rewind(4),
        Err(EngineError::BadRewind { to: 4, position: 3 })
    );
}

#[test]
fn wrong_tokens_change_nothing() {
    let mut engine = engine(Shape::TINY);
    let out_of_range = Err(EngineError::TokenOutOfRange {
        index: 1,
        id: 11,
        vocab_size: 11,
    });
    assert_eq!(block_on(engine.prefill(&[1, 11])), out_of_range);
    let full = Err(EngineError::ContextFull {
        position: 0,
        tokens: 25,
        ctx_len: 24,
    });
    assert_eq!(block_on(engine.prefill(&[1; 25])), full);
    assert_eq!(engine.position(), 0);
    block_on(engine.prefill(&[1; 20])).unwrap();
    let full = Err(EngineError::ContextFull {
        position: 20,
        tokens: 5,
        ctx_len: 24,
    });
    assert_eq!(block_on(engine.decode(&random(), 5)), full);
    assert_eq!(block_on(engine.decode(&random(), 4)).unwrap().len(), 4);
    assert_eq!(engine.position(), 24);
}

#[test]
fn the_same_seed_gives_the_same_text_whatever_the_batch() {
    let mut engine = engine(LONG);
    let (first, reason) = run(&mut engine, &[1, 2], random(), 50);
    assert_eq!((first.len(), reason), (50, FinishReason::MaxTokens));
    assert_eq!(run(&mut engine, &[1, 2], random(), 50).0, first);
    assert_ne!(
        run(
            &mut engine,
            &[1, 2],
            Sampling {
                seed: 6,
                ..random()
            },
            50
        )
        .0,
        first
    );
    let mut generator = Generator::start(&mut engine, &[1, 2], random(), 50).unwrap();
    generator.set_batch(1);
    let mut one_by_one = Vec::new();
    loop {
        let step = block_on(generator.step(&mut engine)).unwrap();
        one_by_one.extend(step.ids);
        if step.done.is_some() {
            break;
        }
    }
    assert_eq!(one_by_one, first);
}

#[test]
fn the_end_of_text_ends_it_and_is_not_part_of_it() {
    let (all, _) = run(&mut engine(LONG), &[1, 2], random(), 60);
    let eos = all[30];
    let end = all.iter().position(|id| *id == eos).unwrap();
    let mut engine = engine(Shape {
        eos_token_id: Some(eos),
        ..LONG
    });
    let (ids, reason) = run(&mut engine, &[1, 2], random(), 60);
    assert_eq!((ids.as_slice(), reason), (&all[..end], FinishReason::Eos));
}

/// The same text ends at whichever of several tokens comes first, with and without an `eos_token_id` beside them.
#[test]
fn each_of_several_tokens_ends_it() {
    let (all, _) = run(&mut engine(LONG), &[1, 2], random(), 60);
    let first_at = |id: u32| all.iter().position(|each| *each == id).unwrap();
    let (one, other) = (all[20], all[30]);
    for (eos, mut stops) in [
        (None, vec![one, other]),
        (Some(one), vec![other]),
        (Some(other), vec![one]),
    ] {
        stops.sort_unstable();
        let mut file = File::random(
            Shape {
                eos_token_id: eos,
                ..LONG
            },
            2,
        );
        file.header["config"]["stop_token_ids"] = serde_json::json!(stops);
        let mut engine = Engine::cpu(Arc::new(Model::parse(file.bytes()).unwrap())).unwrap();
        let (ids, reason) = run(&mut engine, &[1, 2], random(), 60);
        let end = first_at(one).min(first_at(other));
        assert_eq!((ids.as_slice(), reason), (&all[..end], FinishReason::Eos));
    }
}

#[test]
fn no_tokens_wanted() {
    assert_eq!(
        run(&mut engine(LONG), &[1], random(), 0),
        (vec![], FinishReason::MaxTokens)
    );
}

/// Past the end of the cache the text goes on as if the last half of the context had been the prompt.
#[test]
fn the_window_slides_when_the_context_is_full() {
    let mut sliding = engine(Shape::TINY);
    let (ids, reason) = run(&mut sliding, &[1, 2, 3], Sampling::GREEDY, 100);
    assert_eq!((ids.len(), reason), (100, FinishReason::MaxTokens));
    let until_full = 24 - 3;
    let mut fresh = engine(Shape::TINY);
    let window = &ids[until_full - 12..until_full];
    assert_eq!(
        run(&mut fresh, window, Sampling::GREEDY, 12).0,
        ids[until_full..until_full + 12]
    );
}

/// On another engine, cut at every token, windows that slid among them.
#[test]
fn a_resumed_run_brings_what_would_have_come() {
    let (ids, _) = run(&mut engine(Shape::TINY), &[1, 2, 3], random(), 100);
    for cut in 0..=100 {
        let mut engine = engine(Shape::TINY);
        let mut generator = Generator::start(&mut engine, &[1, 2, 3], random(), 100).unwrap();
        generator.resume(&mut engine, &ids[..cut]).unwrap();
        let mut resumed = ids[..cut].to_vec();
        loop {
            let step = block_on(generator.step(&mut engine)).unwrap();
            resumed.extend(step.ids);
            if step.done.is_some() {
                break;
            }
        }
        assert_eq!(resumed, ids, "cut at {cut}");
    }
}

/// Positions repeat after a slide, but the random numbers do not.
#[test]
fn each_window_has_random_numbers_of_its_own() {
    let uniform = Sampling {
        temperature: 1e6,
        ..random()
    };
    let (ids, _) = run(&mut engine(Shape::TINY), &[1; 12], uniform, 36);
    assert_ne!(ids[..12], ids[12..24]);
    assert_ne!(ids[12..24], ids[24..]);
}

#[test]
fn a_prompt_longer_than_the_context_keeps_its_end() {
    let prompt = Random(3).ids(100, 11);
    let long = run(&mut engine(Shape::TINY), &prompt, Sampling::GREEDY, 10);
    let end = run(
        &mut engine(Shape::TINY),
        &prompt[88..],
        Sampling::GREEDY,
        10,
    );
    assert_eq!(long, end);
    let full = run(
        &mut engine(Shape::TINY),
        &prompt[76..],
        Sampling::GREEDY,
        10,
    );
    assert_eq!(
        full.0.len(),
        10,
        "a prompt as long as the context works too"
    );
}

#[test]
fn prompts_and_options_that_cannot_work() {
    let mut engine = engine(Shape::TINY);
    let start = |engine: &mut Engine, prompt: &[u32], sampling| {
        Generator::start(engine, prompt, sampling, 1).err()
    };
    assert_eq!(
        start(&mut engine, &[], random()),
        Some(EngineError::EmptyPrompt)
    );
    let out_of_range = EngineError::TokenOutOfRange {
        index: 0,
        id: 99,
        vocab_size: 11,
    };
    assert_eq!(start(&mut engine, &[99], random()), Some(out_of_range));
    let bad = start(
        &mut engine,
        &[1],
        Sampling {
            temperature: -1.0,
            ..random()
        },
    );
    assert!(matches!(
        bad,
        Some(EngineError::BadSampling {
            field: "temperature",
            ..
        })
    ));
    let mut file = File::random(
        Shape {
            ctx_len: 1,
            ..Shape::TINY
        },
        1,
    );
    file.header["golden"]["ids"] = serde_json::json!([1]);
    let mut one = Engine::cpu(Arc::new(Model::parse(file.bytes()).unwrap())).unwrap();
    assert!(matches!(
        start(&mut one, &[1], random()),
        Some(EngineError::ContextFull { ctx_len: 1, .. })
    ));
}

/// 2^20 positions of 2^20 floats, 4 TiB, twice: refused by the allocator, not by an abort, and not after a long wait.
#[test]
fn a_cache_that_does_not_fit_is_an_error() {
    let shape = Shape {
        ctx_len: 1 << 20,
        n_layer: 1,
        n_head: 1024,
        n_kv_head: 1024,
        d_head: 1024,
        d_model: 1,
        ..LONG
    };
    let model = Model::parse(File::random(shape, 1).bytes()).unwrap();
    match Engine::cpu(Arc::new(model)) {
        Err(error) => {
            assert_eq!(
                error,
                EngineError::OutOfMemory {
                    what: "KV cache",
                    needed_bytes: 1 << 42
                }
            );
            assert_eq!(error.kind(), "out-of-memory");
        }
        Ok(_) => panic!("4 TiB were given"),
    }
}

#[test]
fn what_a_prompt_shares_with_the_run_before_is_not_read_again() {
    let prompt: Vec<u32> = (0..100).map(|i| i * 7 % 11).collect();
    let mut engine = engine(LONG);
    let mut first = Generator::start(&mut engine, &prompt, random(), 20).unwrap();
    let answer = finish(&mut first, &mut engine);
    let turn = [&prompt[..], &answer, &[1, 2, 3]].concat();
    let second = first.clone();
    let mut second = second.follow(&mut engine, &turn, random(), 20).unwrap();
    assert_eq!(engine.position() as usize, prompt.len() + answer.len());
    let next = finish(&mut second, &mut engine);

    // The same question again: whole chunks stay, so that it is answered in the very same words.
    let mut again = second.follow(&mut engine, &prompt, random(), 20).unwrap();
    assert_eq!(engine.position() as usize, PREFILL_CHUNK);
    assert_eq!(finish(&mut again, &mut engine), answer);
    let mut fresh = crate::engine(LONG);
    let read_anew = Generator::start(&mut fresh, &turn, random(), 20);
    assert_eq!(finish(&mut read_anew.unwrap(), &mut fresh), next);
}

/// Prompts that share any number of tokens with what came before, longer than the context among them, beside an engine for each.
#[test]
fn a_run_that_follows_others_brings_what_it_would_alone() {
    let mut random = Random(3);
    let mut below = |n: usize| (random.next() % n as u64) as usize;
    let mut engine = engine(LONG);
    let mut generator = Generator::start(&mut engine, &[1], Sampling::GREEDY, 1).unwrap();
    let mut said = vec![1];
    said.extend(finish(&mut generator, &mut engine));
    let mut kept = 0;
    for round in 0..60 {
        said.truncate(below(said.len() + 1));
        said.extend((0..=below(90)).map(|_| below(11) as u32));
        let tokens = below(40) as u32;
        let follow = generator.follow(&mut engine, &said, Sampling::GREEDY, tokens);
        generator = follow.unwrap();
        kept += engine.position();
        let mut alone = crate::engine(LONG);
        let mut other = Generator::start(&mut alone, &said, Sampling::GREEDY, tokens).unwrap();
        let expected = finish(&mut other, &mut alone);
        let got = finish(&mut generator, &mut engine);
        assert_eq!(got, expected, "round {round}");
        said.extend(got);
    }
    assert!(kept > 1000, "{kept} tokens were kept");
}
