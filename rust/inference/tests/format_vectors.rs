//! `tests/vectors/model_format.json` holds this reader and `training/format` to the same table, sizes and blocks.

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

mod model_writer;

use model_writer::prefix;
use pocketlm_inference::format::{Architecture, Config, Dtype, Layout, expected_tensors};
use pocketlm_inference::{FormatError, Weights};
use serde_json::Value;

fn vectors() -> Value {
    let text = include_str!("../../../tests/vectors/model_format.json");
    serde_json::from_str(text).expect("JSON")
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().expect("an array")
}

fn config(vector: &Value) -> Config {
    let of = |key: &str| vector["config"][key].as_u64().expect("an integer") as u32;
    let architecture = Architecture::ALL
        .into_iter()
        .find(|family| vector["architecture"] == family.name());
    Config {
        architecture: architecture.expect("a known family"),
        n_layer: of("n_layer"),
        n_head: of("n_head"),
        n_kv_head: of("n_kv_head"),
        d_model: of("d_model"),
        d_head: of("d_head"),
        d_ff: of("d_ff"),
        vocab_size: of("vocab_size"),
        ctx_len: of("ctx_len"),
        rope_theta: 10_000.0,
        norm_eps: 1e-5,
        logit_cap: vector["config"]["logit_cap"].as_f64(),
        tie_embeddings: vector["config"]["tie_embeddings"] == true,
        bos_token_id: None,
        eos_token_id: None,
        stop_token_ids: None,
    }
}

#[test]
fn tensors_of_each_family() {
    let vectors = vectors();
    let mut seen = Vec::new();
    for vector in list(&vectors, "families") {
        let config = config(vector);
        let tensors: Vec<Value> = expected_tensors(&config)
            .into_iter()
            .map(|tensor| serde_json::json!([tensor.name, tensor.shape]))
            .collect();
        assert_eq!(
            tensors,
            list(vector, "tensors"),
            "{}",
            vector["architecture"]
        );
        seen.push(config.architecture);
    }
    assert!(Architecture::ALL.iter().all(|family| seen.contains(family)));
}

#[test]
fn sizes() {
    for vector in list(&vectors(), "sizes") {
        let weights = list(vector, "shape")
            .iter()
            .map(|size| size.as_u64().unwrap())
            .product();
        for dtype in Dtype::ALL {
            assert_eq!(
                vector["nbytes"][dtype.name()],
                dtype.nbytes(weights),
                "{dtype:?}"
            );
        }
    }
}

#[test]
fn blocks_widen_to_their_values() {
    for vector in list(&vectors(), "blocks") {
        let dtype = Dtype::ALL
            .into_iter()
            .find(|dtype| vector["dtype"] == dtype.name());
        let hex = vector["stored"].as_str().expect("a string");
        let mut bytes: Vec<u8> = (0..hex.len() / 2)
            .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hexadecimal"))
            .collect();
        let nbytes = bytes.len();
        bytes.resize(nbytes.next_multiple_of(4), 0);
        let words: Vec<u32> = bytemuck::pod_collect_to_vec(&bytes);
        let weights = Weights::of_bytes(
            dtype.expect("known"),
            &bytemuck::cast_slice(&words)[..nbytes],
        );
        let values: Vec<f64> = list(vector, "values")
            .iter()
            .map(|value| value.as_f64().unwrap())
            .collect();
        let widened: Vec<f64> = (0..weights.len())
            .map(|i| f64::from(weights.get(i)))
            .collect();
        assert_eq!(widened, values, "{}", vector["dtype"]);
    }
}

#[test]
fn a_file_of_more_than_4_gib_is_laid_out_from_its_header() {
    let vectors = vectors();
    let large = &vectors["large"];
    let text = large["header"].as_str().unwrap().as_bytes();
    let file_nbytes = large["file_nbytes"].as_u64().unwrap();
    let head = [&prefix(text, file_nbytes), text].concat();
    let layout = Layout::read(&head, file_nbytes).unwrap();
    let offsets: Vec<u64> = layout.places().map(|(_, place)| place.offset).collect();
    assert_eq!(Value::from(offsets.clone()), large["offsets"]);
    assert!(offsets.iter().any(|offset| *offset > u64::from(u32::MAX)));

    let refused = |head: &[u8], file_nbytes| Layout::read(head, file_nbytes).unwrap_err();
    let (expected, got) = (file_nbytes, file_nbytes - 256);
    let what = "file";
    assert_eq!(
        refused(&head, got),
        FormatError::Truncated {
            what,
            expected,
            got
        }
    );
    // A reader that has only the beginning of the header is told how much it needs.
    let (what, expected, got) = ("header", head.len() as u64, 1000);
    assert_eq!(
        refused(&head[..1000], file_nbytes),
        FormatError::Truncated {
            what,
            expected,
            got
        }
    );
    let longer = [&prefix(text, file_nbytes + 256), text].concat();
    assert_eq!(refused(&longer, file_nbytes + 256).name(), "BadLength");
}
