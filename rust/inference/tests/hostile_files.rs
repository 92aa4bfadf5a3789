//! Files made to harm: what the fuzz targets of `rust/fuzz` do for minutes, here for seconds and the same every time; and what they or
//! a reader of the code found, one small case each.

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

mod hostile;
mod model_writer;

use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use model_writer::{File, Random, Shape, assemble_text};
use pocketlm_inference::format::{Architecture, Dtype};
use pocketlm_inference::{Engine, EngineError, FormatError, Model};
use pollster::block_on;
use proptest::prelude::*;
use serde_json::{Value, json};

fn tiny() -> File {
    File::random(
        Shape {
            n_layer: 1,
            ..Shape::TINY
        },
        1,
    )
}

/// A file in a block format, with optional sections of every kind.
fn in_blocks(dtype: Dtype) -> File {
    let mut file = File::random(
        Shape {
            n_layer: 1,
            n_head: 1,
            n_kv_head: 1,
            d_model: 32,
            d_head: 32,
            d_ff: 32,
            dtype,
            ..Shape::TINY
        },
        3,
    );
    file.add_section("chat_template", true, "é".repeat(300).as_bytes());
    file.add_section("zzz", false, &[0xff; 40]);
    file
}

fn error(bytes: Vec<u8>) -> FormatError {
    match hostile::read(bytes) {
        Ok(_) => panic!("the file was accepted"),
        Err(error) => error,
    }
}

/// Overwrite, insert, remove, repeat or swap a few bytes.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len() as u32) as usize;
        let len = (1 + random.below(16) as usize).min(bytes.len() - at);
        match random.below(6) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5) as usize],
            2 => bytes[at..at + len].fill([0, 0xff][random.below(2) as usize]),
            3 => drop(bytes.drain(at..at + len)),
            4 => {
                let copy = bytes[at..at + len].to_vec();
                let to = random.below(bytes.len() as u32) as usize;
                bytes.splice(to..to, copy);
            }
            _ => {
                // A digit of a number in the header.
                let digits: Vec<usize> = (64..bytes.len().min(3000))
                    .filter(|at| bytes[*at].is_ascii_digit())
                    .collect();
                if let Some(at) = digits.get(random.below(digits.len().max(1) as u32) as usize) {
                    bytes[*at] = b'0' + random.below(10) as u8;
                }
            }
        }
        if bytes.is_empty() {
            bytes.push(0);
        }
    }
}

#[test]
fn mutations_are_named_errors_or_models_that_run() {
    let seeds = [
        tiny().bytes(),
        File::random(
            Shape {
                tie_embeddings: false,
                dtype: Dtype::F16,
                eos_token_id: Some(3),
                ..Shape::TINY
            },
            2,
        )
        .bytes(),
        in_blocks(Dtype::Q8_0).bytes(),
        in_blocks(Dtype::Q4_0).bytes(),
        File::random(
            Shape {
                architecture: Architecture::Fast,
                ..Shape::TINY
            },
            3,
        )
        .bytes(),
    ];
    let random = &mut Random(1);
    let (mut names, mut accepted) = (std::collections::BTreeMap::new(), 0);
    for round in 0..6000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        mutate(&mut bytes, random);
        if round % 4 != 0 {
            hostile::repair(&mut bytes);
        }
        match hostile::read(bytes) {
            Ok(model) => {
                accepted += 1;
                hostile::run(model);
            }
            Err(error) => *names.entry(error.name()).or_insert(0) += 1,
        }
    }
    // A loop that no longer reaches the checks behind the checksums would pass as well.
    assert!(accepted > 100, "{accepted} accepted");
    for name in [
        "Truncated",
        "BadMagic",
        "BadLength",
        "HeaderChecksum",
        "BadHeader",
        "BadConfig",
        "BadOffset",
        "BadSection",
        "NonZeroPadding",
        "NotFinite",
        "Unsupported",
    ] {
        assert!(
            names.contains_key(name),
            "no mutation gave {name}: {names:?}"
        );
    }
}

#[test]
fn a_message_quotes_the_file_in_one_short_printable_line() {
    let hostile_text = format!("\u{1b}[2J\u{9b}\u{202e}\n{}", "x".repeat(100_000));
    for pointer in [
        "/tensors/0/name",
        "/tensors/3/name",
        "/tensors/0/dtype",
        "/tensors/3/dtype",
        "/config/n_layer",
        "/golden/logits/sha256",
        "/tokenizer/nbytes",
    ] {
        let text = json!(hostile_text);
        // The escapes are what canonical JSON writes for these characters.
        let bytes = tiny().bytes_with_header(|header| *header.pointer_mut(pointer).unwrap() = text);
        assert!(
            matches!(error(bytes).name(), "BadHeader" | "BadConfig"),
            "{pointer}"
        );
    }
    let key = tiny().bytes_with_header(|header| header["config"][&hostile_text] = json!(1));
    assert_eq!(error(key).name(), "BadHeader");
    let shape =
        tiny().bytes_with_header(|header| header["tensors"][3]["shape"] = json!(vec![1; 100_000]));
    assert!(error(shape).to_string().ends_with("got 100000 dimensions"));
}

#[test]
fn a_header_longer_than_4_mib_is_refused_before_it_is_parsed() {
    let file = tiny();
    for element in ["{\"\":{}}", "0", "[]"] {
        let elements = vec![element; (8 << 20) / (element.len() + 1)].join(",");
        let header = format!("{{\"tensors\":[{elements}]}}");
        let message = error(assemble_text(header.as_bytes(), &file.sections)).to_string();
        assert!(
            message.starts_with("the header: expected at most 4194304 bytes"),
            "{message}"
        );
    }
    // Just below the limit: refused for what it says, not for its length.
    let long = json!("x".repeat((4 << 20) - 20_000));
    let bytes = file.bytes_with_header(|header| header["tensors"][0]["name"] = long);
    assert_ne!(error(bytes).name(), "BadHeader");
}

#[test]
fn each_tensor_list_that_is_not_the_one_of_the_config() {
    type Change = fn(&mut Vec<Value>);
    let cases: [(&str, Change, &str); 6] = [
        (
            "one twice",
            |tensors| tensors.insert(3, tensors[2].clone()),
            "tensors: ",
        ),
        (
            "one name twice",
            |tensors| tensors[3] = tensors[2].clone(),
            "tensors[3].name",
        ),
        (
            "one missing",
            |tensors| drop(tensors.remove(3)),
            "tensors: ",
        ),
        (
            "two swapped",
            |tensors| tensors.swap(3, 4),
            "tensors[3].name",
        ),
        (
            "an unknown one",
            |tensors| {
                tensors.push(json!({"dtype": "f32", "name": "x", "nbytes": 0, "offset": 0, "sha256": "0".repeat(64), "shape": []}))
            },
            "tensors: ",
        ),
        (
            "2^63 rows",
            |tensors| tensors[3]["shape"] = json!([1u64 << 63, 5]),
            "tensors[3].shape",
        ),
    ];
    for (what, change, path) in cases {
        let bytes =
            tiny().bytes_with_header(|header| change(header["tensors"].as_array_mut().unwrap()));
        let error = error(bytes);
        assert_eq!(error.name(), "BadConfig", "{what}: {error}");
        assert!(error.to_string().starts_with(path), "{what}: {error}");
    }
}

#[test]
fn a_context_of_a_million_positions_costs_what_is_used() {
    // 4 GiB of cosines and sines, and 8 GiB of cache, if they were filled.
    let file = File::random(
        Shape {
            n_layer: 1,
            n_head: 1,
            n_kv_head: 1,
            d_head: 1024,
            ctx_len: 1 << 20,
            ..Shape::TINY
        },
        1,
    );
    let started = Instant::now();
    let model = Arc::new(Model::parse(file.bytes()).unwrap());
    match Engine::cpu(model) {
        Ok(mut engine) => {
            block_on(engine.prefill(&[1, 2, 3])).unwrap();
        }
        // A machine that promises no more than it has says so.
        Err(error) => assert!(matches!(error, EngineError::OutOfMemory { .. }), "{error}"),
    }
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn a_cache_that_no_machine_has_is_an_error_with_its_size() {
    let mut file = File::random(
        Shape {
            n_layer: 64,
            n_head: 512,
            n_kv_head: 512,
            d_model: 1,
            d_head: 256,
            d_ff: 1,
            ctx_len: 1 << 20,
            ..Shape::TINY
        },
        1,
    );
    file.set_golden(&[0.0; 11]);
    let model = Arc::new(Model::parse(file.bytes()).unwrap());
    let error = Engine::cpu(model).err().expect("32 TiB");
    let (what, needed_bytes) = ("KV cache", 64 * 512 * 256 * (1u64 << 20) * 4);
    assert_eq!(error, EngineError::OutOfMemory { what, needed_bytes });
    assert!(error.hint().contains("shorter context"));
}

#[test]
fn golden_logits_as_large_as_floats_get_do_not_pass_the_check() {
    // A tolerance that overflowed to infinity would accept any engine.
    let mut file = tiny();
    let logits: Vec<f32> = (0..11)
        .map(|i| if i % 2 == 0 { f32::MAX } else { f32::MIN })
        .collect();
    file.set_golden(&logits);
    let mut engine = Engine::cpu(Arc::new(Model::parse(file.bytes()).unwrap())).unwrap();
    let result = block_on(engine.self_check());
    assert!(
        matches!(result, Err(EngineError::SelfCheck { .. })),
        "{result:?}"
    );
}

#[test]
fn numbers_of_the_config_at_the_edge_of_f64_give_errors_not_silence() {
    for (field, value) in [
        ("rope_theta", json!(5e-324)),
        ("rope_theta", json!(f64::MAX)),
        ("norm_eps", json!(5e-324)),
        ("norm_eps", json!(1.0 - f64::EPSILON)),
    ] {
        let mut file = tiny();
        file.header["config"][field] = value;
        hostile::run(Model::parse(file.bytes()).unwrap());
    }
}

/// A header value: bounded in depth, with every kind of text.
fn free_form() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        "[ -~]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[ -~]{0,6}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back(
        free in free_form(), template in prop::option::of("[ -~]{0,40}"), ctx_len in 3u32..2000, theta in 1e-3f64..1e6, seed: u64, f16: bool,
        tie_embeddings: bool, skipped: bool,
    ) {
        let mut file = File::random(Shape { ctx_len, dtype: if f16 { Dtype::F16 } else { Dtype::F32 }, tie_embeddings, ..Shape::TINY }, seed);
        file.header["provenance"]["free"] = free;
        if let Some(template) = &template {
            file.add_section("chat_template", true, template.as_bytes());
        }
        if skipped {
            file.add_section("zzz", false, &[0xff; 300]);
        }
        file.header["config"]["rope_theta"] = json!(theta);
        let bytes = file.bytes();
        let model = hostile::read(bytes.clone()).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let header: Value = serde_json::from_str(model.header_json()).unwrap();
        prop_assert_eq!(&header["provenance"], &file.header["provenance"]);
        prop_assert_eq!(model.chat_template(), template.as_deref());
        prop_assert_eq!((model.config().ctx_len, model.config().rope_theta), (ctx_len, theta));
        // What was read, written again from its parts, is the same file.
        let sections: Vec<Vec<u8>> = [model.tokenizer_bytes().to_vec(), bytemuck::cast_slice(model.golden().logits).to_vec()]
            .into_iter().chain(["chat_template", "zzz"].iter().filter_map(|name| model.section(name)).map(<[u8]>::to_vec))
            .chain(model.tensors().map(|tensor| tensor.bytes.to_vec())).collect();
        prop_assert_eq!(assemble_text(model.header_json().as_bytes(), &sections), bytes);
    }

    #[test]
    fn any_text_as_header_is_a_named_error(text in prop_oneof!["\\PC{0,200}", "[\\[\\]{}\":,0-9a-z.\\\\-]{0,200}"]) {
        let refused = hostile::read(assemble_text(text.as_bytes(), &[]));
        prop_assert_eq!(refused.err().map(|error| error.name()), Some("BadHeader"));
    }
}
