//! A model that is opened, not read: its head is what a whole file's is, what is wrong with it is named, and a GPU that takes the weights
//! from where the file lies computes what one does that takes them from memory.

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

mod gpu_support;

use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use gpu_support::{Random, SHAPES, Shape, adapter, gpu_engine, model, model_file};
use pocketlm_inference::{Engine, EngineError, FormatError, Identity, Model, ReadAt};
use pollster::block_on;

/// A file, and how far it was read.
struct Outside {
    bytes: Vec<u8>,
    furthest: AtomicU64,
    /// Most bytes of one reading.
    most: AtomicU64,
}

impl Outside {
    fn new(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            furthest: AtomicU64::new(0),
            most: AtomicU64::new(0),
        }
    }
}

impl ReadAt for Outside {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<(), EngineError> {
        let nbytes = into.len() as u64;
        self.furthest.fetch_max(offset + nbytes, Ordering::Relaxed);
        self.most.fetch_max(nbytes, Ordering::Relaxed);
        (&self.bytes[..]).read_at(offset, into)
    }
}

fn file(shape: Shape) -> Vec<u8> {
    let logits = model(shape, 7).golden().logits.to_vec();
    model_file(shape, 7, &logits).bytes()
}

fn opened(bytes: &[u8]) -> Result<Model, EngineError> {
    Model::open(&bytes, bytes.len() as u64)
}

#[test]
fn an_opened_model_has_everything_but_the_weights() {
    for shape in SHAPES {
        let bytes = file(shape);
        let outside = Outside::new(bytes.clone());
        let head = Model::open(&outside, bytes.len() as u64).unwrap();
        let whole = Model::parse(bytes).unwrap();
        assert_eq!(head.header_json(), whole.header_json());
        assert_eq!(head.tokenizer_bytes(), whole.tokenizer_bytes());
        assert_eq!(head.golden().logits, whole.golden().logits);
        assert_eq!(head.file_nbytes(), whole.file_nbytes());
        let names = |model: &Model| {
            model
                .tensors()
                .map(|tensor| tensor.place.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&head), names(&whole));
        let first = whole.embedding().place.offset;
        assert_eq!(outside.furthest.into_inner(), first);
        assert!(matches!(
            Engine::cpu(Arc::new(head)),
            Err(EngineError::NotWhole { needed_bytes }) if needed_bytes == whole.file_nbytes()
        ));
    }
}

#[test]
fn a_head_that_is_wrong_is_refused_as_in_a_whole_file() {
    let sound = file(SHAPES[1]);
    let places = Model::parse(sound.clone()).unwrap();
    let golden = places.embedding().place.offset as usize - 300;
    for at in [0, 8, 16, 24, 40, 70, golden] {
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        let expected = Model::parse(bytes.clone()).err().expect("a wrong byte");
        match opened(&bytes) {
            Err(EngineError::Format(error)) => {
                assert_eq!(error.name(), expected.name(), "byte {at}")
            }
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("byte {at} was not seen"),
        }
    }
    for nbytes in [0, 63, 64, 500, sound.len() - 256] {
        let error = opened(&sound[..nbytes]).err().expect("a file cut short");
        assert!(
            matches!(error, EngineError::Format(FormatError::Truncated { .. })),
            "{nbytes} bytes: {error}"
        );
    }
    // What is stated is there, but cannot be read.
    let error = Model::open(&&sound[..500], sound.len() as u64).err();
    assert!(
        matches!(error, Some(EngineError::Unreadable { .. })),
        "{error:?}"
    );
}

#[test]
fn the_prefix_tells_files_apart() {
    let [one, other] = [SHAPES[0], SHAPES[1]].map(file);
    let identity = Identity::of(&one[..Identity::NBYTES]).unwrap();
    assert_eq!(identity.file_nbytes, one.len() as u64);
    assert_eq!(identity, Identity::of(&one).unwrap());
    assert_ne!(identity, Identity::of(&other).unwrap());
    assert_eq!(Identity::of(b"GGUF").unwrap_err().name(), "Truncated");
    assert_eq!(Identity::of(&[0; 64]).unwrap_err().name(), "BadMagic");
}

#[test]
fn a_gpu_takes_the_weights_from_where_the_file_lies() {
    for shape in SHAPES {
        let bytes = file(shape);
        let ids = Random(1).ids(shape.ctx_len as usize, shape.vocab_size);
        let whole = Arc::new(Model::parse(bytes.clone()).unwrap());
        let expected = block_on(gpu_engine(&whole).logits(&ids)).unwrap();

        let head = Arc::new(opened(&bytes).unwrap());
        let gpu = adapter(&head);
        let source: &[u8] = &bytes;
        let engine = Engine::gpu_from(head, &source, None, gpu.device, gpu.queue, |_, _| {});
        let mut engine = block_on(engine).unwrap();
        block_on(engine.self_check()).unwrap();
        assert_eq!(
            block_on(engine.logits(&ids)).unwrap(),
            expected,
            "{shape:?}"
        );
    }
}

#[test]
fn a_weight_that_is_wrong_outside_is_found_on_the_way_to_the_gpu() {
    let mut bytes = file(SHAPES[3]);
    let head = Arc::new(opened(&bytes).unwrap());
    let last = bytes.len() - 300;
    bytes[last] ^= 1;
    let gpu = adapter(&head);
    let outside = Outside::new(bytes);
    let error = block_on(Engine::gpu_from(
        head,
        &outside,
        None,
        gpu.device,
        gpu.queue,
        |_, _| {},
    ))
    .err();
    assert!(
        matches!(&error, Some(EngineError::Format(FormatError::SectionChecksum { section, .. })) if section == "lm_head.weight"),
        "{error:?}"
    );
}
