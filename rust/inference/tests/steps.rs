//! How much a step does changes no token: chunks read a few layers at a time, and tokens that were guessed.

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

mod model_writer;

use std::sync::Arc;

use model_writer::{File, Random, Shape};
use pocketlm_inference::engine::tolerance;
use pocketlm_inference::format::Dtype;
use pocketlm_inference::limits::PREFILL_CHUNK;
use pocketlm_inference::{Engine, EngineError, Generator, Model, Sampling};
use pollster::block_on;

const DEEP: Shape = Shape {
    n_layer: 5,
    ctx_len: 200,
    ..Shape::TINY
};

/// Widths of whole blocks.
const BLOCKS: Shape = Shape {
    n_layer: 3,
    n_head: 4,
    n_kv_head: 2,
    d_model: 64,
    d_head: 16,
    d_ff: 96,
    ctx_len: 200,
    dtype: Dtype::Q8_0,
    ..Shape::TINY
};

fn hot(seed: u32) -> Sampling {
    Sampling {
        temperature: 1.0,
        seed,
        ..Sampling::GREEDY
    }
}

fn model(shape: Shape) -> Arc<Model> {
    Arc::new(Model::parse(File::normal(shape, 2).bytes()).unwrap())
}

fn engine(shape: Shape) -> Engine {
    Engine::cpu(model(shape)).unwrap()
}

/// Read a chunk some layers at a time; returns in how many parts.
fn read_in_parts(engine: &mut Engine, ids: &[u32], layers: u32) -> u32 {
    let before = engine.position();
    let mut parts = 1;
    while !block_on(engine.prefill_part(ids, layers)).unwrap() {
        assert_eq!(engine.position(), before, "a part of a chunk is not read");
        parts += 1;
    }
    parts
}

#[test]
fn a_chunk_in_parts_is_the_chunk_at_once_bit_for_bit() {
    for shape in [DEEP, BLOCKS] {
        let model = model(shape);
        let new = || Engine::cpu(model.clone()).unwrap();
        for tokens in [1, 2, 5, 63, PREFILL_CHUNK] {
            let ids = Random(tokens as u64).ids(2 * tokens, 11);
            for layers in [1, 2, 3, 4, 5, 9, u32::MAX] {
                let (mut parts, mut whole) = (new(), new());
                for chunk in ids.chunks(tokens) {
                    let count = read_in_parts(&mut parts, chunk, layers);
                    assert_eq!(count, shape.n_layer.div_ceil(layers));
                    block_on(whole.prefill(chunk)).unwrap();
                }
                let logits = |engine: &mut Engine| block_on(engine.last_logits()).unwrap();
                assert_eq!(logits(&mut parts), logits(&mut whole));
                let decode = |engine: &mut Engine| block_on(engine.decode(&hot(3), 9)).unwrap();
                assert_eq!(decode(&mut parts), decode(&mut whole));
                assert_eq!(logits(&mut parts), logits(&mut whole));
            }
        }
    }
}

/// Whatever happens between two parts, what is read afterwards is what an engine reads that never began.
#[test]
fn what_comes_between_two_parts_makes_them_begin_anew() {
    type Act = fn(&mut Engine);
    let acts: [Act; 7] = [
        |_| {},
        |engine| drop(block_on(engine.decode(&hot(1), 3)).unwrap()),
        |engine| block_on(engine.prefill(&[4, 5])).unwrap(),
        |engine| drop(block_on(engine.logits(&[4, 5])).unwrap()),
        |engine| drop(block_on(engine.decode_guessed(&hot(1), &[4, 5])).unwrap()),
        |engine| engine.rewind(2).unwrap(),
        |engine| assert_eq!(block_on(engine.prefill_part(&[9, 9], 2)), Ok(false)),
    ];
    for act in acts {
        let (mut disturbed, mut other) = (engine(DEEP), engine(DEEP));
        for engine in [&mut disturbed, &mut other] {
            block_on(engine.prefill(&[1, 2, 3])).unwrap();
        }
        assert_eq!(block_on(disturbed.prefill_part(&[6, 7, 8], 3)), Ok(false));
        for engine in [&mut disturbed, &mut other] {
            act(engine);
            read_in_parts(engine, &[6, 7, 8], 3);
        }
        assert_eq!(disturbed.position(), other.position());
        assert_eq!(
            block_on(disturbed.last_logits()),
            block_on(other.last_logits())
        );
    }
}

#[test]
fn an_abandoned_part_leaves_the_logits_of_the_last_token() {
    let (mut abandoned, mut other) = (engine(DEEP), engine(DEEP));
    for engine in [&mut abandoned, &mut other] {
        block_on(engine.prefill(&[1, 2, 3])).unwrap();
    }
    assert_eq!(block_on(abandoned.prefill_part(&[6, 7], 4)), Ok(false));
    let decode = |engine: &mut Engine| block_on(engine.decode(&hot(1), 20)).unwrap();
    assert_eq!(decode(&mut abandoned), decode(&mut other));
}

#[test]
fn a_chunk_that_cannot_be_read_is_refused_before_its_first_part() {
    let mut engine = engine(DEEP);
    let out_of_range = EngineError::TokenOutOfRange {
        index: 1,
        id: 11,
        vocab_size: 11,
    };
    assert_eq!(
        block_on(engine.prefill_part(&[1, 11], 1)),
        Err(out_of_range)
    );
    block_on(engine.prefill(&[1; 198])).unwrap();
    assert!(matches!(
        block_on(engine.prefill_part(&[1; 3], 1)),
        Err(EngineError::ContextFull { position: 198, .. })
    ));
}

/// All tokens, the steps it took to read the prompt, and how many passes of guesses.
fn run(generator: &mut Generator, engine: &mut Engine) -> (Vec<u32>, u32, u32) {
    let (mut ids, mut reading, mut passes) = (Vec::new(), 0, 0);
    loop {
        let step = block_on(generator.step(engine)).unwrap();
        assert!(step.ids.len() <= step.guessed.max(Generator::BATCH) as usize);
        assert_ne!(step.guessed, 1);
        reading += u32::from(step.ids.is_empty());
        passes += u32::from(step.guessed > 0);
        ids.extend(step.ids);
        if step.done.is_some() {
            return (ids, reading, passes);
        }
    }
}

/// A prompt that is stopped within a chunk is read from that chunk on by the run that follows, slides among them.
#[test]
fn a_generation_that_reads_in_parts_brings_the_same_and_can_be_left_at_any() {
    let prompt = Random(7).ids(150, 11);
    let mut whole = engine(DEEP);
    let mut generator = Generator::start(&mut whole, &prompt, hot(4), 120).unwrap();
    let (expected, chunks, _) = run(&mut generator, &mut whole);
    for layers in [1, 2, 4] {
        let parts = 5u32.div_ceil(layers);
        for steps in 0..12 {
            let mut engine = engine(DEEP);
            let mut generator = Generator::start(&mut engine, &prompt, hot(4), 120).unwrap();
            generator.set_layers(layers);
            for _ in 0..steps {
                block_on(generator.step(&mut engine)).unwrap();
            }
            let mut again = generator.follow(&mut engine, &prompt, hot(4), 120).unwrap();
            again.set_layers(layers);
            let (ids, reading, _) = run(&mut again, &mut engine);
            assert_eq!(ids, expected, "{layers} layers, left after {steps}");
            // What was begun goes on; of a prompt that was read, its two whole chunks stay.
            let kept = if steps < 3 * parts { steps } else { 2 * parts };
            assert_eq!(reading, chunks * parts - kept);
        }
    }
}

/// Guesses of every quality, beside an engine that never guesses: penalties, limits and slides among them.
#[test]
fn guesses_change_no_token() {
    let mut random = Random(5);
    let (mut passes, mut tokens) = (0, 0);
    let models = [DEEP, BLOCKS, Shape::TINY].map(model);
    for round in 0..30 {
        let model = &models[round % 3];
        let mut sampling = hot(round as u32);
        sampling.temperature = [0.0, 0.3, 1.0][random.below(3) as usize];
        if round % 4 == 0 {
            sampling.frequency_penalty = 0.1;
            sampling.repetition_penalty = 1.05;
        }
        // A prompt that says things again.
        let said = 1 + random.below(9) as usize;
        let part = random.ids(said, 11);
        let prompt = part.repeat(1 + random.below(4) as usize);
        let most = 1 + random.below(150);
        let [mut plain, mut guessing] = [(); 2].map(|()| Engine::cpu(model.clone()).unwrap());
        let mut alone = Generator::start(&mut plain, &prompt, sampling.clone(), most).unwrap();
        let mut quick = Generator::start(&mut guessing, &prompt, sampling, most).unwrap();
        quick.set_guesses(random.below(12));
        let (expected, ..) = run(&mut alone, &mut plain);
        let (ids, _, guessed) = run(&mut quick, &mut guessing);
        assert_eq!(ids, expected, "round {round}");
        passes += guessed;
        tokens += ids.len();
    }
    assert!(passes > 50, "{passes} passes for {tokens} tokens");
}

/// What was guessed wrong leaves no trace: position, logits and what is decoded next are those of the right tokens alone.
#[test]
fn wrong_guesses_are_forgotten() {
    let prompt = [1, 2, 3, 4];
    let mut plain = engine(BLOCKS);
    block_on(plain.prefill(&prompt)).unwrap();
    let right = block_on(plain.decode(&hot(9), 12)).unwrap();
    for wrong_at in 0..8 {
        let mut engine = engine(BLOCKS);
        block_on(engine.prefill(&prompt)).unwrap();
        let mut guesses = right[..8].to_vec();
        guesses[wrong_at] = (guesses[wrong_at] + 1) % 11;
        let (ids, read) = block_on(engine.decode_guessed(&hot(9), &guesses)).unwrap();
        let kept = wrong_at.max(1);
        assert_eq!(
            (ids.as_slice(), read),
            (&right[..kept], if wrong_at == 0 { 1 } else { 8 })
        );
        assert_eq!(engine.position() as usize, prompt.len() + kept);
        let rest = block_on(engine.decode(&hot(9), (12 - kept) as u32)).unwrap();
        assert_eq!(rest, right[kept..]);
        // The right ones were read together here, one by one there: rounded otherwise, and no more than that.
        let (got, expected) = (
            block_on(engine.last_logits()).unwrap(),
            block_on(plain.last_logits()).unwrap(),
        );
        for (got, expected_one) in got.iter().zip(&expected) {
            let difference = (got - expected_one).abs();
            assert!(difference <= tolerance(&expected), "{difference}");
        }
    }
}

#[test]
fn guesses_that_cannot_be_read_are_refused() {
    let mut engine = engine(DEEP);
    let guessed = |engine: &mut Engine, guesses: &[u32]| {
        block_on(engine.decode_guessed(&Sampling::GREEDY, guesses)).err()
    };
    assert_eq!(guessed(&mut engine, &[1, 2]), Some(EngineError::NoLogits));
    block_on(engine.prefill(&[1; 198])).unwrap();
    assert!(matches!(
        guessed(&mut engine, &[1, 11]),
        Some(EngineError::TokenOutOfRange { index: 1, .. })
    ));
    assert!(matches!(
        guessed(&mut engine, &[1, 2, 3]),
        Some(EngineError::ContextFull { tokens: 3, .. })
    ));
    assert_eq!(guessed(&mut engine, &[]), None);
    assert_eq!(engine.position(), 199);
}
