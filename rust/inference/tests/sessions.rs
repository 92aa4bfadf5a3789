//! Several engines on one set of weights.

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]
#![allow(clippy::std_instead_of_core, reason = "tests have std")]

mod engine_support;
mod model_writer;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use engine_support::finish;
use model_writer::{File, Random, Shape};
use pocketlm_inference::{Engine, Generator, Model, Sampling};
use pollster::block_on;

/// Bytes that this thread holds.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

fn count(nbytes: i64) {
    // The last allocations of a thread come when its thread-locals are gone.
    let _ = LIVE.try_with(|live| live.set(live.get() + nbytes));
}

// SAFETY: every call is passed on to `System` as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: the caller's promise is the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Most of it is weights.
const WIDE: Shape = Shape {
    n_layer: 2,
    d_model: 96,
    d_ff: 256,
    vocab_size: 101,
    ctx_len: 60,
    ..Shape::TINY
};

fn model() -> Arc<Model> {
    Arc::new(Model::parse(File::normal(WIDE, 2).bytes()).unwrap())
}

fn hot(seed: u32) -> Sampling {
    Sampling {
        temperature: 20.0,
        seed,
        ..Sampling::GREEDY
    }
}

/// Each of several forks, one after another and by turns, brings what an engine of its own brings.
#[test]
fn forks_diverge_without_touching_one_another() {
    let model = model();
    let prompt = Random(1).ids(20, 101);
    let mut trunk = Engine::cpu(model.clone()).unwrap();
    block_on(trunk.prefill(&prompt)).unwrap();
    let mut forks: Vec<Engine> = (0..3).map(|_| block_on(trunk.fork()).unwrap()).collect();
    let mut said = vec![Vec::new(); 3];
    for _ in 0..6 {
        for (seed, (fork, said)) in forks.iter_mut().zip(&mut said).enumerate() {
            said.extend(block_on(fork.decode(&hot(seed as u32), 5)).unwrap());
        }
    }
    assert!(said[0] != said[1] && said[1] != said[2]);
    for (seed, said) in said.iter().enumerate() {
        let mut alone = Engine::cpu(model.clone()).unwrap();
        block_on(alone.prefill(&prompt)).unwrap();
        assert_eq!(
            block_on(alone.decode(&hot(seed as u32), 30)).unwrap(),
            *said
        );
    }
    // The trunk stands where it stood, and outlives its forks.
    assert_eq!(trunk.position() as usize, prompt.len());
    drop(forks);
    assert_eq!(block_on(trunk.decode(&hot(1), 30)).unwrap(), said[1]);
}

#[test]
fn a_fork_of_a_fork_that_rewinds_keeps_what_both_share() {
    let mut trunk = Engine::cpu(model()).unwrap();
    block_on(trunk.prefill(&[1, 2, 3, 4])).unwrap();
    let mut fork = block_on(block_on(trunk.fork()).unwrap().fork()).unwrap();
    fork.rewind(2).unwrap();
    block_on(fork.prefill(&[9])).unwrap();
    let mut alone = Engine::cpu(trunk.model().clone()).unwrap();
    block_on(alone.prefill(&[1, 2, 3, 4])).unwrap();
    alone.rewind(2).unwrap();
    block_on(alone.prefill(&[9])).unwrap();
    assert_eq!(block_on(fork.last_logits()), block_on(alone.last_logits()));
}

/// A generation goes on in both engines, where it stood in one.
#[test]
fn a_generation_forks_with_its_engine() {
    let mut engine = Engine::cpu(model()).unwrap();
    let mut generator = Generator::start(&mut engine, &[5, 6, 7], hot(3), 80).unwrap();
    let mut written = Vec::new();
    while written.len() < 24 {
        written.extend(block_on(generator.step(&mut engine)).unwrap().ids);
    }
    let (mut other, mut follower) = (block_on(engine.fork()).unwrap(), generator.clone());
    assert_eq!(
        finish(&mut generator, &mut engine),
        finish(&mut follower, &mut other)
    );
}

/// Another session takes its cache and its activations, not the weights, and gives all of it back.
#[test]
fn weights_are_held_once() {
    let model = model();
    let weights: u64 = model
        .tensors()
        .map(|tensor| tensor.dtype.nbytes(tensor.shape.iter().product()))
        .sum();
    let held = || LIVE.get();
    let before = held();
    let mut first = Engine::cpu(model).unwrap();
    let session = held() - before;
    assert!(
        (session as u64) < weights / 2,
        "{session} bytes a session, {weights} of weights"
    );
    block_on(first.prefill(&[1, 2, 3])).unwrap();
    let before = held();
    let others = [
        block_on(first.another()).unwrap(),
        block_on(first.fork()).unwrap(),
    ];
    let taken = held() - before;
    assert!(
        taken.abs_diff(2 * session) < 4096,
        "{taken} bytes for two sessions, {session} for one"
    );
    assert_eq!((others[0].position(), others[1].position()), (0, 3));
    assert_eq!(Arc::strong_count(first.model()), 3);
    drop(others);
    assert_eq!(held(), before);
}
