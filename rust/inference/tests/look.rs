//! Looking at a text: what is said of its last token is what reading it says, and nothing but the last token is read again.

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

mod model_writer;

use std::sync::Arc;

use model_writer::{File, Random, Shape};
use pocketlm_inference::format::{Architecture, Dtype};
use pocketlm_inference::{Engine, EngineError, Model, Sampling, look};
use pollster::block_on;

const SHAPES: [Shape; 3] = [
    Shape {
        n_layer: 3,
        ctx_len: 90,
        ..Shape::TINY
    },
    Shape {
        n_layer: 1,
        dtype: Dtype::F16,
        ..Shape::TINY
    },
    Shape {
        architecture: Architecture::Fast,
        n_layer: 4,
        n_kv_head: 1,
        ..Shape::TINY
    },
];

fn engine(shape: Shape) -> Engine {
    Engine::cpu(Arc::new(
        Model::parse(File::normal(shape, 4).bytes()).unwrap(),
    ))
    .unwrap()
}

/// A row alone, as a single token is read.
fn read(engine: &mut Engine, ids: &[u32]) -> Vec<f32> {
    let (last, before) = ids.split_last().unwrap();
    engine.rewind(0).unwrap();
    block_on(engine.prefill(before)).unwrap();
    block_on(engine.prefill(&[*last])).unwrap();
    block_on(engine.last_logits()).unwrap()
}

#[test]
fn the_last_layer_says_what_the_model_says_bit_for_bit() {
    for shape in SHAPES {
        let (mut looked, mut plain) = (engine(shape), engine(shape));
        let v = shape.vocab_size as usize;
        for n in [1, 2, 7, 24, shape.ctx_len as usize] {
            let ids = Random(n as u64).ids(n, shape.vocab_size);
            let expected = read(&mut plain, &ids);
            for layer in 0..shape.n_layer {
                let rows = block_on(look::lens(&mut looked, &ids, layer)).unwrap();
                assert_eq!(rows.len(), (shape.n_layer - layer) as usize * v);
                assert_eq!(rows[rows.len() - v..], expected, "{n} ids, layer {layer}");
            }
            // A row is the same, whichever layer was the first to be asked for.
            let all = block_on(look::lens(&mut looked, &ids, 0)).unwrap();
            let some = block_on(look::lens(&mut looked, &ids, shape.n_layer / 2)).unwrap();
            assert_eq!(all[all.len() - some.len()..], some);
        }
    }
}

#[test]
fn the_weights_of_a_head_sum_to_one_and_the_first_token_sees_itself() {
    for shape in SHAPES {
        let mut engine = engine(shape);
        for n in [1, 3, 20] {
            let ids = Random(7).ids(n, shape.vocab_size);
            for layer in 0..shape.n_layer {
                let weights = block_on(look::attention(&mut engine, &ids, layer)).unwrap();
                assert_eq!(weights.len(), n * shape.n_head as usize);
                for row in weights.chunks(n) {
                    assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{row:?}");
                    assert!(n > 1 || row == [1.0]);
                }
            }
        }
    }
}

#[test]
fn what_was_read_is_not_read_again_and_the_text_goes_on_as_before() {
    let shape = SHAPES[0];
    let (mut looked, mut plain) = (engine(shape), engine(shape));
    let ids = Random(3).ids(30, shape.vocab_size);
    for engine in [&mut looked, &mut plain] {
        block_on(engine.prefill(&ids)).unwrap();
    }
    assert_eq!(look::at_hand(&looked, &ids), 29);
    block_on(look::attention(&mut looked, &ids, 1)).unwrap();
    block_on(look::lens(&mut looked, &ids, 0)).unwrap();
    assert_eq!(looked.ids(), &ids[..29]);
    assert_eq!(
        block_on(looked.last_logits()),
        Err(EngineError::NoLogits),
        "they are those of another layer"
    );
    for engine in [&mut looked, &mut plain] {
        engine.rewind(29).unwrap();
        block_on(engine.prefill(&ids[29..])).unwrap();
    }
    let write = |engine: &mut Engine| block_on(engine.decode(&Sampling::GREEDY, 20)).unwrap();
    assert_eq!(write(&mut looked), write(&mut plain));
    // Another text, which shares the beginning.
    let other = [&ids[..5], &[1, 2, 3]].concat();
    let expected = read(&mut plain, &other);
    let rows = block_on(look::lens(&mut looked, &other, shape.n_layer - 1)).unwrap();
    let largest = expected.iter().fold(0f32, |a, b| a.max(b.abs()));
    for (got, want) in rows.iter().zip(&expected) {
        assert!(
            (got - want).abs() < 1e-4 * largest,
            "{got}, expected {want}"
        );
    }
}

#[test]
fn what_cannot_be_looked_at_is_refused_and_nothing_is_read() {
    let shape = SHAPES[0];
    let mut engine = engine(shape);
    block_on(engine.prefill(&[1, 2])).unwrap();
    let mut refused =
        |ids: &[u32], layer| block_on(look::attention(&mut engine, ids, layer)).unwrap_err();
    let bad_layer = EngineError::BadLayer {
        layer: 3,
        n_layer: 3,
    };
    assert_eq!(refused(&[1], 3), bad_layer);
    assert_eq!(refused(&[], 0), EngineError::EmptyPrompt);
    let unknown = EngineError::TokenOutOfRange {
        index: 1,
        id: 11,
        vocab_size: 11,
    };
    assert_eq!(refused(&[1, 11], 0), unknown);
    let full = EngineError::ContextFull {
        position: 0,
        tokens: 91,
        ctx_len: 90,
    };
    assert_eq!(refused(&[1; 91], 0), full);
    assert_eq!((engine.position(), bad_layer.kind()), (2, "bad-input"));
}
