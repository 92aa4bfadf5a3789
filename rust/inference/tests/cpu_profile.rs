//! The profile of the CPU's engine: the same tokens as without, each operation with its runs, its time and the bytes that it reads.

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

mod model_writer;

use std::sync::Arc;

use model_writer::{File, Shape};
use pocketlm_inference::{Engine, EngineError, Model, Sampling};
use pollster::block_on;

const PROMPT: [u32; 5] = [3, 1, 4, 1, 5];

fn engine() -> (Engine, Arc<Model>) {
    let file = File::random(Shape::TINY, 7);
    let model = Arc::new(Model::parse(file.bytes()).unwrap());
    (Engine::cpu(model.clone()).unwrap(), model)
}

#[test]
fn a_profile_is_of_the_tokens_that_are_otherwise_sampled() {
    let (mut engine, model) = engine();
    let config = model.config();
    block_on(engine.prefill(&PROMPT)).unwrap();
    block_on(engine.decode(&Sampling::GREEDY, 3)).unwrap();
    let expected = block_on(engine.last_logits()).unwrap();

    engine.rewind(0).unwrap();
    // A clock that is a nanosecond further at each look: an operation takes as many as it runs.
    let mut looks = 0.0;
    let mut now = || {
        looks += 1.0;
        looks
    };
    let kernels = block_on(engine.profile(&PROMPT, &Sampling::GREEDY, 3, &mut now)).unwrap();
    assert_eq!(engine.position(), 8);
    assert_eq!(block_on(engine.last_logits()).unwrap(), expected);

    let of = |name| kernels.iter().find(|kernel| kernel.name == name).unwrap();
    for kernel in &kernels {
        assert_eq!(
            kernel.nanoseconds,
            f64::from(kernel.dispatches),
            "{kernel:?}"
        );
    }
    let (layers, passes) = (config.n_layer, 4);
    assert_eq!(of("embed").dispatches, passes);
    assert_eq!(of("attention").dispatches, passes * layers);
    assert_eq!(of("norm_logits").dispatches, passes);
    assert_eq!(of("sample").dispatches, 3);

    // Each pass reads all weights but the embedding's, and of that a row a token.
    let all: u64 = model
        .tensors()
        .map(|tensor| tensor.dtype.nbytes(tensor.shape.iter().product()))
        .sum();
    let embedding = model.embedding();
    let rows = embedding.dtype.nbytes(embedding.shape.iter().product());
    let tied = config.tie_embeddings;
    let weights = if tied { all } else { all - rows };
    let read: u64 = kernels
        .iter()
        .filter(|kernel| kernel.reads_weights())
        .map(|kernel| kernel.bytes)
        .sum();
    let row = rows / u64::from(config.vocab_size);
    assert_eq!(read, u64::from(passes) * weights + 8 * row);
    let seen = 5 + 6 + 7 + 8;
    assert_eq!(
        of("attention").bytes,
        seen * engine.cache().token_nbytes(config)
    );
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_read() {
    let (mut engine, model) = engine();
    let more = model.config().ctx_len - 4;
    let refused = block_on(engine.profile(&PROMPT, &Sampling::GREEDY, more, &mut || 0.0));
    assert!(matches!(refused, Err(EngineError::ContextFull { .. })));
    assert_eq!(engine.position(), 0);
}

#[test]
fn a_golden_check_tells_how_far_off_an_answer_is() {
    let mut file = File::random(Shape::TINY, 2);
    let parsed = |file: &File| Engine::cpu(Arc::new(Model::parse(file.bytes()).unwrap())).unwrap();
    let mut engine = parsed(&file);
    let ids = engine.model().golden().ids.to_vec();
    block_on(engine.prefill(&ids)).unwrap();
    let mut golden = block_on(engine.last_logits()).unwrap();
    file.set_golden(&golden);
    let right = block_on(parsed(&file).golden_check()).unwrap();
    assert!(right.largest_difference <= right.tolerance, "{right:?}");
    assert_eq!(right.sampled, Some(right.likeliest));
    assert_eq!(right.golden_likeliest, right.likeliest);

    golden[4] += 100.0;
    file.set_golden(&golden);
    let wrong = block_on(parsed(&file).golden_check()).unwrap();
    assert!((wrong.largest_difference - 100.0).abs() < 0.1, "{wrong:?}");
    assert_eq!((wrong.index, wrong.golden_likeliest), (4, 4));
    assert_eq!(wrong.sampled, None);
    assert!((wrong.expected - wrong.got - 100.0).abs() < 0.1);
}
