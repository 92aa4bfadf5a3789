//! Penalties and biases against the obvious way: count over the whole text for every token, in f64; and over turns, rewinds and slides.

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

mod engine_support;
mod model_writer;

use std::sync::Arc;

use engine_support::finish;
use model_writer::{File, Random, Shape};
use pocketlm_inference::adjustments::Adjustments;
use pocketlm_inference::cpu::ops;
use pocketlm_inference::{Engine, EngineError, Generator, Model, Sampling};
use pollster::block_on;
use proptest::prelude::*;

/// The logits as the penalties' definitions say, token by token; `text` is all that stands before.
fn adjusted(logits: &[f32], text: &[u32], sampling: &Sampling) -> Vec<f64> {
    let answer = &text[text.len().min(sampling.answer_from as usize)..];
    let mut all: Vec<f64> = logits.iter().map(|logit| f64::from(*logit)).collect();
    for (id, logit) in (0..).zip(&mut all) {
        if text.contains(&id) {
            let penalty = f64::from(sampling.repetition_penalty);
            *logit = if *logit < 0.0 {
                *logit * penalty
            } else {
                *logit / penalty
            };
        }
        let count = answer.iter().filter(|token| **token == id).count();
        *logit -= f64::from(sampling.frequency_penalty) * count as f64;
        *logit -= f64::from(sampling.presence_penalty) * f64::from(u8::from(count > 0));
        for (biased, bias) in &sampling.logit_bias {
            if *biased == id {
                *logit += f64::from(*bias);
            }
        }
    }
    all
}

fn options() -> impl Strategy<Value = Sampling> {
    let penalty = || prop_oneof![Just(0.0f32), -2.0f32..2.0];
    let repetition = prop_oneof![Just(1.0f32), 0.5f32..2.0];
    let bias = prop_oneof![Just(f32::NEG_INFINITY), -5.0f32..5.0];
    let biases = prop::collection::vec((0u32..7, bias), 0..6);
    (repetition, penalty(), penalty(), 0u32..25, biases).prop_map(
        |(repetition_penalty, presence_penalty, frequency_penalty, answer_from, logit_bias)| {
            Sampling {
                repetition_penalty,
                presence_penalty,
                frequency_penalty,
                answer_from,
                logit_bias,
                ..Sampling::GREEDY
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn like_counting_for_every_token(
        logits in prop::collection::vec(-9.0f32..9.0, 7..40),
        text in prop::collection::vec(0u32..7, 0..30),
        more in prop::collection::vec(0u32..7, 0..5),
        sampling in options(),
    ) {
        let mut got = logits.clone();
        // The tokens of the text are known at the beginning, the others come one by one, as they are sampled.
        let adjustments = Adjustments::new(&sampling, &text, logits.len() as u32).map(|mut adjustments| {
            more.iter().for_each(|id| adjustments.count(*id));
            adjustments
        });
        let in_answer = sampling.answer_from as usize <= text.len();
        prop_assume!(in_answer || more.is_empty());
        match &adjustments {
            Some(adjustments) => ops::adjust_logits(&mut got, adjustments),
            None => prop_assert_eq!(&sampling, &Sampling { answer_from: sampling.answer_from, ..Sampling::GREEDY }),
        }
        let expected = adjusted(&logits, &[&text[..], &more].concat(), &sampling);
        for (id, (got, expected)) in got.iter().zip(&expected).enumerate() {
            let got = f64::from(*got);
            let is_close = got == *expected || (got - expected).abs() <= 1e-5 * expected.abs().max(10.0);
            prop_assert!(is_close, "token {id} of {text:?} then {more:?}: expected {expected}, got {got}; {sampling:?}");
        }
    }
}

#[test]
fn what_is_not_finite_stays_for_sampling_to_name() {
    let sampling = Sampling {
        repetition_penalty: 2.0,
        presence_penalty: 1.0,
        logit_bias: vec![(0, f32::NEG_INFINITY), (1, 3.0)],
        ..Sampling::GREEDY
    };
    let adjustments = Adjustments::new(&sampling, &[0, 1, 2], 4).unwrap();
    let mut logits = [f32::INFINITY, f32::NAN, f32::NEG_INFINITY, 1.0];
    ops::adjust_logits(&mut logits, &adjustments);
    assert!(logits[1].is_nan());
    assert_eq!(
        [logits[0], logits[2], logits[3]],
        [f32::INFINITY, f32::NEG_INFINITY, 1.0]
    );
}

fn engine(shape: Shape) -> Engine {
    let model = Model::parse(File::random(shape, 2).bytes()).unwrap();
    Engine::cpu(Arc::new(model)).unwrap()
}

fn penalised() -> Sampling {
    Sampling {
        repetition_penalty: 1.2,
        presence_penalty: 0.1,
        frequency_penalty: 0.05,
        logit_bias: vec![(3, f32::NEG_INFINITY), (4, 0.125)],
        ..Sampling::GREEDY
    }
}

/// The greedy answer to `prompt`, everything anew for every token. A full context keeps its last half.
fn slowly(shape: Shape, prompt: &[u32], sampling: &Sampling, tokens: usize) -> Vec<u32> {
    let ctx_len = shape.ctx_len as usize;
    let kept = if prompt.len() > ctx_len {
        ctx_len / 2
    } else {
        prompt.len()
    };
    let mut window = prompt[prompt.len() - kept..].to_vec();
    let mut sampling = sampling.clone();
    sampling.answer_from = window.len() as u32;
    let mut engine = engine(shape);
    let mut said = Vec::new();
    while said.len() < tokens {
        if window.len() == ctx_len {
            let dropped = ctx_len - ctx_len / 2;
            window.drain(..dropped);
            sampling.answer_from = sampling.answer_from.saturating_sub(dropped as u32);
        }
        engine.rewind(0).unwrap();
        block_on(engine.prefill(&window)).unwrap();
        let logits = block_on(engine.last_logits()).unwrap();
        let logits = adjusted(&logits, &window, &sampling);
        let best = (0..logits.len())
            .rev()
            .max_by(|a, b| logits[*a].total_cmp(&logits[*b]));
        let id = best.unwrap() as u32;
        said.push(id);
        window.push(id);
    }
    said
}

/// Turns of a conversation on one engine, questions asked again and answers cut off among them; past the end of the context too.
#[test]
fn counts_are_right_over_turns_rewinds_and_slides() {
    let shape = Shape {
        ctx_len: 40,
        ..Shape::TINY
    };
    let mut random = Random(8);
    let mut below = |n: usize| (random.next() % n as u64) as usize;
    let mut engine = engine(shape);
    let mut generator: Option<Generator> = None;
    let mut said = vec![1];
    for round in 0..60 {
        said.truncate(below(said.len() + 1));
        said.extend((0..=below(20)).map(|_| below(11) as u32));
        let tokens = below(50);
        let mut sampling = penalised();
        if round % 3 == 0 {
            sampling = Sampling {
                logit_bias: Vec::new(),
                ..Sampling::GREEDY
            };
        }
        let started = match generator.take() {
            Some(before) => before.follow(&mut engine, &said, sampling.clone(), tokens as u32),
            None => Generator::start(&mut engine, &said, sampling.clone(), tokens as u32),
        };
        let mut started = started.unwrap();
        started.set_batch(1 + below(9) as u32);
        let answer = finish(&mut started, &mut engine);
        assert_eq!(
            answer,
            slowly(shape, &said, &sampling, tokens),
            "round {round}: {said:?}"
        );
        said.extend(answer);
        generator = Some(started);
    }
}

/// On another engine the answer's tokens are read, not sampled, and count all the same.
#[test]
fn a_resumed_answer_counts_what_it_has_written() {
    let shape = Shape {
        ctx_len: 20,
        ..Shape::TINY
    };
    let expected = slowly(shape, &[5, 6], &penalised(), 45);
    for cut in [0, 1, 7, 18, 19, 30, 44] {
        let mut engine = engine(shape);
        let mut generator = Generator::start(&mut engine, &[5, 6], penalised(), 45).unwrap();
        generator.resume(&mut engine, &expected[..cut]).unwrap();
        assert_eq!(
            finish(&mut generator, &mut engine),
            expected[cut..],
            "cut at {cut}"
        );
    }
}

#[test]
fn a_forbidden_token_is_never_drawn_and_the_logits_shown_are_the_models() {
    let mut engine = engine(Shape::TINY);
    let mut forbidding = Sampling {
        temperature: 2.0,
        logit_bias: (0..9).map(|id| (id, f32::NEG_INFINITY)).collect(),
        ..Sampling::GREEDY
    };
    block_on(engine.prefill(&[1, 2])).unwrap();
    let ids = block_on(engine.decode(&forbidding, 22)).unwrap();
    assert!(
        ids.contains(&9) && ids.contains(&10) && ids.iter().all(|id| *id >= 9),
        "{ids:?}"
    );
    let shown = block_on(engine.last_logits()).unwrap();
    engine.rewind(0).unwrap();
    block_on(engine.prefill(&[&[1, 2], &ids[..]].concat())).unwrap();
    let read_anew = block_on(engine.last_logits()).unwrap();
    assert!(
        shown
            .iter()
            .zip(&read_anew)
            .all(|(a, b)| (a - b).abs() < 1e-5)
    );
    forbidding.logit_bias = (0..11).map(|id| (id, f32::NEG_INFINITY)).collect();
    let nothing = EngineError::NothingToSample { vocab_size: 11 };
    assert_eq!(block_on(engine.decode(&forbidding, 1)), Err(nothing));
}
