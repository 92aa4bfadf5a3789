//! The parser of `model.bin`: every check of `training/FORMAT.md` §4 is provoked by name, and no damage goes unnoticed.

mod model_writer;

use model_writer::{File, Shape, assemble_text};
use pocketlm_inference::format::{Architecture, Dtype};
use pocketlm_inference::weights::LayerWeights;
use pocketlm_inference::{FormatError, Model, Weights};
use serde_json::{Value, json};

/// A file whose header is followed by much padding, so that a change of the header moves no section.
fn tiny() -> File {
    let mut file = File::random(
        Shape {
            n_layer: 1,
            ..Shape::TINY
        },
        1,
    );
    let mut padding = String::new();
    while !(1..100).contains(&(header_nbytes(&file.bytes()) % 256)) {
        padding.push('x');
        file.header["provenance"]["padding"] = json!(padding);
    }
    file
}

fn header_nbytes(bytes: &[u8]) -> usize {
    u32::from_le_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]) as usize
}

fn error(bytes: Vec<u8>) -> FormatError {
    match Model::parse(bytes) {
        Ok(_) => panic!("the file was accepted"),
        Err(error) => error,
    }
}

#[test]
fn reads_back_what_was_written() {
    for shape in [
        Shape::TINY,
        Shape {
            tie_embeddings: false,
            dtype: Dtype::F16,
            eos_token_id: Some(3),
            ..Shape::TINY
        },
    ] {
        let mut file = File::random(shape, 7);
        let logits: Vec<f32> = (0..11).map(|i| i as f32 / 8.0).collect();
        file.set_golden(&logits);
        file.add_section("chat_template", false, b"{{x}}");
        file.add_section("notes", false, b"what this reader does not know");
        let bytes = file.bytes();
        let model = Model::parse(bytes.clone()).unwrap();
        assert_eq!(
            (model.golden().ids, model.golden().logits),
            (&[1, 2, 3][..], &logits[..])
        );
        assert_eq!(model.tokenizer_bytes(), b"tokenizer");
        assert_eq!(model.chat_template(), Some("{{x}}"));
        assert_eq!(
            model.section("notes"),
            Some(&b"what this reader does not know"[..])
        );
        assert_eq!(model.file_nbytes(), bytes.len() as u64);
        let header: Value = serde_json::from_str(model.header_json()).unwrap();
        assert_eq!(header["config"], file.header["config"]);
        assert_eq!(
            (model.config().n_kv_head, model.config().eos_token_id),
            (2, shape.eos_token_id)
        );
        assert_eq!(model.tensors().len(), file.sections.len() - 4);
        for (tensor, section) in model.tensors().zip(&file.sections[4..]) {
            assert_eq!(tensor.bytes, section, "{}", tensor.name);
        }
        let down = model.tensor("model.layers.1.mlp.down_proj.weight").unwrap();
        assert_eq!((down.shape, Weights::of(down).len()), (&[5, 7][..], 35));
        assert!(model.tensor("lm_head.weight").is_some() != shape.tie_embeddings);
        let same = |a: Weights<'_>, b: Weights<'_>| (0..a.len()).all(|i| a.get(i) == b.get(i));
        assert!(same(
            LayerWeights::of(&model, 1).down_proj,
            Weights::of(down)
        ));
    }
}

#[test]
fn f16_weights_have_the_values_of_the_f32_ones() {
    let (wide, narrow) = (
        File::random(Shape::TINY, 3),
        File::random(
            Shape {
                dtype: Dtype::F16,
                ..Shape::TINY
            },
            3,
        ),
    );
    let (wide, narrow) = (
        Model::parse(wide.bytes()).unwrap(),
        Model::parse(narrow.bytes()).unwrap(),
    );
    for (a, b) in wide.tensors().zip(narrow.tensors()) {
        let (name, a, b) = (a.name, Weights::of(a), Weights::of(b));
        for i in 0..a.len() {
            assert_eq!(a.get(i), b.get(i), "{name}[{i}]");
        }
    }
}

#[test]
fn every_truncation_is_named() {
    let bytes = tiny().bytes();
    for len in 0..bytes.len() {
        let error = error(bytes[..len].to_vec());
        assert_eq!(error.name(), "Truncated", "cut to {len} bytes: {error}");
    }
}

#[test]
fn bytes_after_the_end_are_refused() {
    for extra in [1, 255, 256] {
        let mut bytes = tiny().bytes();
        bytes.resize(bytes.len() + extra, 0);
        assert_eq!(error(bytes).name(), "BadLength");
    }
}

#[test]
fn no_flipped_bit_goes_unnoticed() {
    let bytes = tiny().bytes();
    for index in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[index] ^= 1 << (index % 8);
        error(damaged);
    }
}

#[test]
fn each_field_of_the_prefix() {
    let good = tiny().bytes();
    let with = |offset: usize, field: &[u8]| {
        let mut bytes = good.clone();
        bytes[offset..offset + field.len()].copy_from_slice(field);
        error(bytes)
    };
    let length = good.len() as u64;
    assert_eq!(with(0, b"POCKETLN").name(), "BadMagic");
    assert_eq!(with(0, b"GGUF").name(), "BadMagic");
    assert_eq!(with(8, &1u32.to_be_bytes()).name(), "ByteOrder");
    assert_eq!(with(8, &2u32.to_be_bytes()).name(), "ByteOrder");
    assert_eq!(with(8, &0u32.to_le_bytes()).name(), "UnsupportedVersion");
    assert_eq!(with(8, &1u32.to_le_bytes()).name(), "UnsupportedVersion");
    assert_eq!(with(8, &3u32.to_le_bytes()).name(), "UnsupportedVersion");
    assert_eq!(with(12, &u32::MAX.to_le_bytes()).name(), "BadLength");
    assert_eq!(with(12, &0u32.to_le_bytes()).name(), "BadLength");
    assert_eq!(with(16, &0u64.to_le_bytes()).name(), "BadLength");
    assert_eq!(with(16, &u64::MAX.to_le_bytes()).name(), "BadLength");
    assert_eq!(with(24, &0u64.to_le_bytes()).name(), "BadLength");
    assert_eq!(with(24, &(length - 256).to_le_bytes()).name(), "BadLength");
    assert_eq!(with(24, &(length + 256).to_le_bytes()).name(), "Truncated");
    assert_eq!(with(24, &u64::MAX.to_le_bytes()).name(), "Truncated");
    assert_eq!(with(32, &[0; 32]).name(), "HeaderChecksum");
}

/// An entry of `sections` that must not be skipped.
fn section(name: &str) -> Value {
    json!({"name": name, "nbytes": 0, "offset": 0, "required": true, "sha256": "0".repeat(64)})
}

/// Each change of the header, its checksum repaired: the pointer to the field, the new value, the error, the path it names.
#[test]
fn each_field_of_the_header() {
    #[rustfmt::skip]
    let cases = [
        ("/architecture", json!("mamba"), "Unsupported", "architecture"),
        ("/architecture", json!(1), "BadHeader", "architecture"),
        ("/architecture", json!("qwen2"), "BadConfig", "tensors"),
        ("/config/n_layer", json!(0), "BadConfig", "config.n_layer"),
        ("/config/n_layer", json!(1025), "BadConfig", "config.n_layer"),
        ("/config/n_layer", json!(2), "BadConfig", "tensors"),
        ("/config/n_layer", json!(-1), "BadHeader", "config.n_layer"),
        ("/config/n_layer", json!(1.0), "BadHeader", "config.n_layer"),
        ("/config/n_layer", json!(1u64 << 32), "BadHeader", "config.n_layer"),
        ("/config/n_layer", json!("1"), "BadHeader", "config.n_layer"),
        ("/config/n_head", json!(0), "BadConfig", "config.n_head"),
        ("/config/n_head", json!(8), "BadConfig", "tensors[2].shape"),
        ("/config/n_kv_head", json!(3), "BadConfig", "config.n_kv_head"),
        ("/config/n_kv_head", json!(0), "BadConfig", "config.n_kv_head"),
        ("/config/d_model", json!(65_537), "BadConfig", "config.d_model"),
        ("/config/d_model", json!(6), "BadConfig", "tensors[0].shape"),
        ("/config/d_head", json!(5), "BadConfig", "config.d_head"),
        ("/config/d_head", json!(1026), "BadConfig", "config.d_head"),
        ("/config/d_ff", json!(262_145), "BadConfig", "config.d_ff"),
        ("/config/vocab_size", json!(1_048_577), "BadConfig", "config.vocab_size"),
        ("/config/vocab_size", json!(3), "BadConfig", "golden.ids[2]"),
        ("/config/ctx_len", json!(1_048_577), "BadConfig", "config.ctx_len"),
        ("/config/ctx_len", json!(2), "BadConfig", "golden.ids"),
        ("/config/rope_theta", json!(0.0), "BadConfig", "config.rope_theta"),
        ("/config/rope_theta", json!("x"), "BadHeader", "config.rope_theta"),
        ("/config/norm_eps", json!(0.0), "BadConfig", "config.norm_eps"),
        ("/config/norm_eps", json!(1.0), "BadConfig", "config.norm_eps"),
        ("/config/tie_embeddings", json!(false), "BadConfig", "tensors"),
        ("/config/tie_embeddings", json!(1), "BadHeader", "config.tie_embeddings"),
        ("/config/bos_token_id", json!(11), "BadConfig", "config.bos_token_id"),
        ("/config/bos_token_id", json!(null), "BadHeader", "config.bos_token_id"),
        ("/config/bos_token_id", json!(true), "BadHeader", "config.bos_token_id"),
        ("/config/stop_token_ids", json!([]), "BadConfig", "config.stop_token_ids"),
        ("/config/stop_token_ids", json!([3, 3]), "BadConfig", "config.stop_token_ids"),
        ("/config/stop_token_ids", json!([4, 3]), "BadConfig", "config.stop_token_ids"),
        ("/config/stop_token_ids", json!([3, 11]), "BadConfig", "config.stop_token_ids"),
        ("/config/stop_token_ids", json!((0..17).collect::<Vec<_>>()), "BadConfig", "config.stop_token_ids"),
        ("/config/stop_token_ids", json!([1, "2"]), "BadHeader", "config.stop_token_ids[1]"),
        ("/config/stop_token_ids", json!(3), "BadHeader", "config.stop_token_ids"),
        ("/config", json!([]), "BadHeader", "config"),
        ("/golden/ids", json!([]), "BadConfig", "golden.ids"),
        ("/golden/ids", json!(vec![0; 25]), "BadConfig", "golden.ids"),
        ("/golden/ids", json!([1, "2"]), "BadHeader", "golden.ids[1]"),
        ("/golden/ids", json!({}), "BadHeader", "golden.ids"),
        ("/golden/logits/nbytes", json!(40), "BadOffset", "golden.logits.nbytes"),
        ("/golden/logits/sha256", json!("0"), "BadHeader", "golden.logits.sha256"),
        ("/golden/logits/sha256", json!("F".repeat(64)), "BadHeader", "golden.logits.sha256"),
        ("/golden/logits/sha256", json!("0".repeat(64)), "SectionChecksum", "golden.logits"),
        ("/provenance", json!(null), "BadHeader", "provenance"),
        ("/provenance", json!({"x": "y".repeat(1 << 20)}), "BadHeader", "provenance"),
        ("/tensors", json!([]), "BadConfig", "tensors"),
        ("/tensors", json!({}), "BadHeader", "tensors"),
        ("/sections", json!({}), "BadHeader", "sections"),
        ("/sections", json!([1]), "BadHeader", "sections[0]"),
        ("/sections", json!(vec![section("a"); 65]), "BadHeader", "sections"),
        ("/sections", json!([section("a"), section("a")]), "BadHeader", "sections[1].name"),
        ("/sections", json!([section("b"), section("a")]), "BadHeader", "sections[1].name"),
        ("/sections", json!([section("")]), "BadHeader", "sections[0].name"),
        ("/sections", json!([section("A")]), "BadHeader", "sections[0].name"),
        ("/sections", json!([section(&"a".repeat(65))]), "BadHeader", "sections[0].name"),
        ("/sections", json!([section("a")]), "Unsupported", "sections[0].name"),
        ("/sections", json!([section("samples")]), "BadOffset", "sections[0].offset"),
        ("/tensors/0/dtype", json!("q8_0"), "BadConfig", "tensors[0].dtype"),
        ("/tensors/0/dtype", json!("q4_0"), "BadConfig", "tensors[0].dtype"),
        ("/tensors/0/dtype", json!("bf16"), "Unsupported", "tensors[0].dtype"),
        ("/tensors/0/dtype", json!("f16"), "BadOffset", "tensors[0].nbytes"),
        ("/tensors/1/dtype", json!("f16"), "BadConfig", "tensors[1].dtype"),
        ("/tensors/1/dtype", json!("q8_0"), "BadConfig", "tensors[1].dtype"),
        ("/tensors/3/name", json!("x"), "BadConfig", "tensors[3].name"),
        ("/tensors/3/shape", json!([12]), "BadConfig", "tensors[3].shape"),
        ("/tensors/3/shape", json!([5, 12]), "BadConfig", "tensors[3].shape"),
        ("/tensors/3/shape", json!([12, 5, 1]), "BadConfig", "tensors[3].shape"),
        ("/tensors/3/shape", json!([12, -5]), "BadHeader", "tensors[3].shape[1]"),
        ("/tensors/3/offset", json!(256), "BadOffset", "tensors[3].offset"),
        ("/tensors/3/offset", json!(u64::MAX), "BadOffset", "tensors[3].offset"),
        ("/tensors/3/nbytes", json!(0), "BadOffset", "tensors[3].nbytes"),
        ("/tensors/3/nbytes", json!(u64::MAX), "BadOffset", "tensors[3].nbytes"),
        ("/tensors/3/sha256", json!("0".repeat(64)), "SectionChecksum", "model.layers.0.self_attn.k_proj.weight"),
        ("/tensors/3/sha256", json!(null), "BadHeader", "tensors[3].sha256"),
        ("/tokenizer/offset", json!(0), "BadOffset", "tokenizer.offset"),
        ("/tokenizer/nbytes", json!(u64::MAX), "BadOffset", "tokenizer.nbytes"),
        ("/tokenizer/nbytes", json!(1u64 << 40), "BadOffset", "tokenizer.nbytes"),
        ("/tokenizer/sha256", json!("0".repeat(64)), "SectionChecksum", "tokenizer"),
    ];
    for (pointer, value, name, path) in cases {
        let mut file = tiny();
        file.header["config"]["stop_token_ids"] = json!([1, 2]);
        let bytes =
            file.bytes_with_header(|header| *header.pointer_mut(pointer).unwrap() = value.clone());
        let error = error(bytes);
        let message = error.to_string();
        assert_eq!(error.name(), name, "{pointer} = {value}: {message}");
        assert!(
            message.starts_with(path),
            "{pointer} = {value}: expected {path} in {message:?}"
        );
    }
}

/// A field of one family alone: that must have it, others must not.
#[test]
fn the_cap_of_the_logits() {
    let shape = |architecture| Shape {
        architecture,
        ..Shape::TINY
    };
    let fast = File::random(shape(Architecture::Fast), 1);
    let model = Model::parse(fast.bytes()).expect("a sound file");
    assert_eq!(model.config().logit_cap, Some(2.5));
    for (cap, name) in [
        (json!(0.99), "BadConfig"),
        (json!(1001), "BadConfig"),
        (json!(-2.5), "BadConfig"),
        (json!("15"), "BadHeader"),
        (json!(null), "BadHeader"),
    ] {
        let error = error(fast.bytes_with_header(|header| header["config"]["logit_cap"] = cap));
        assert_eq!(error.name(), name, "{error}");
        assert!(error.to_string().starts_with("config.logit_cap"), "{error}");
    }
    let none = fast.bytes_with_header(|header| {
        header["config"]
            .as_object_mut()
            .unwrap()
            .remove("logit_cap");
    });
    assert!(error(none).to_string().contains("config.logit_cap"));
    for architecture in [Architecture::Llama, Architecture::Qwen3] {
        let other = File::random(shape(architecture), 1);
        let bytes = other.bytes_with_header(|header| header["config"]["logit_cap"] = json!(15.0));
        let message = error(bytes).to_string();
        assert!(
            message.contains("config.logit_cap") && message.contains("unknown"),
            "{message}"
        );
    }
}

#[test]
fn missing_and_unknown_keys() {
    for (parent, key) in [
        ("", "golden"),
        ("/config", "d_ff"),
        ("/golden", "ids"),
        ("/golden/logits", "nbytes"),
        ("/tensors/1", "shape"),
        ("/tokenizer", "sha256"),
    ] {
        let object = |header: &mut Value, change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
            change(header.pointer_mut(parent).unwrap().as_object_mut().unwrap());
        };
        let missing =
            tiny().bytes_with_header(|header| object(header, &|map| drop(map.remove(key))));
        let message = error(missing).to_string();
        assert!(
            message.contains(key) && message.contains("missing"),
            "{parent} without {key}: {message}"
        );
        let unknown = tiny().bytes_with_header(|header| {
            object(header, &|map| drop(map.insert("zzz".into(), json!(1))))
        });
        let message = error(unknown).to_string();
        assert!(
            message.contains("zzz") && message.contains("unknown"),
            "{parent} with zzz: {message}"
        );
    }
}

#[test]
fn a_header_that_is_not_canonical() {
    let file = tiny();
    let good = file.bytes();
    let text = String::from_utf8(good[64..64 + header_nbytes(&good)].to_vec()).unwrap();
    assert!(Model::parse(assemble_text(text.as_bytes(), &file.sections)).is_ok());
    for (from, to) in [
        ("{\"architecture\"", "{ \"architecture\""),
        ("\"made by\":\"a test\"", "\"made by\":\"a tést\""),
        (
            "\"made by\":\"a test\"",
            "\"made by\":\"a test\",\"made by\":1",
        ),
        ("\"n_layer\":1", "\"n_layer\":01"),
        ("\"a test\"", "\"\\u0061 test\""),
        ("\"a test\"", "NaN"),
        ("\"a test\"", "1e999"),
        ("}", "},"),
    ] {
        assert!(text.contains(from), "{from}");
        let changed = text.replacen(from, to, 1);
        let error = error(assemble_text(changed.as_bytes(), &file.sections));
        assert_eq!(error.name(), "BadHeader", "{to}: {error}");
    }
    assert_eq!(
        error(assemble_text(b"", &file.sections)).name(),
        "BadHeader"
    );
    assert_eq!(
        error(assemble_text(b"\xff\xfe{}", &file.sections)).name(),
        "BadHeader"
    );
}

#[test]
fn padding_must_be_zero_everywhere() {
    let file = tiny();
    let good = file.bytes();
    let offsets = file.offsets();
    let ends: Vec<usize> = offsets
        .iter()
        .zip(&file.sections)
        .map(|(offset, section)| offset + section.len())
        .collect();
    for end in ends {
        if end % 256 == 0 {
            continue;
        }
        for index in [end, end.next_multiple_of(256) - 1] {
            let mut bytes = good.clone();
            bytes[index] = 5;
            assert_eq!(
                error(bytes),
                FormatError::NonZeroPadding {
                    offset: index as u64,
                    got: 5
                }
            );
        }
    }
    let mut bytes = good.clone();
    bytes[offsets[0] - 1] = 1;
    assert_eq!(
        error(bytes),
        FormatError::NonZeroPadding {
            offset: offsets[0] as u64 - 1,
            got: 1
        }
    );
}

#[test]
fn not_finite_values_are_named_with_their_index() {
    let places = |f16: bool| {
        let file = File::random(
            Shape {
                n_layer: 1,
                dtype: if f16 { Dtype::F16 } else { Dtype::F32 },
                ..Shape::TINY
            },
            1,
        );
        let widths: Vec<usize> = file.header["tensors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tensor| if tensor["dtype"] == "f16" { 2 } else { 4 })
            .collect();
        (file, widths)
    };
    for f16 in [false, true] {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let (file, widths) = places(f16);
            for section in 1..file.sections.len() {
                let mut file = file.clone();
                let half: u16 = if value.is_nan() {
                    0x7e00
                } else if value > 0.0 {
                    0x7c00
                } else {
                    0xfc00
                };
                let width = if section == 1 { 4 } else { widths[section - 2] };
                let bytes = if width == 4 {
                    value.to_le_bytes().to_vec()
                } else {
                    half.to_le_bytes().to_vec()
                };
                let index = file.sections[section].len() / width - 1;
                file.sections[section][index * width..].copy_from_slice(&bytes);
                match error(file.bytes()) {
                    FormatError::NotFinite {
                        index: got,
                        section: name,
                        ..
                    } => {
                        assert_eq!(got, index as u64, "{name}");
                        assert_eq!(name == "golden.logits", section == 1);
                    }
                    other => panic!("section {section}: {other}"),
                }
            }
        }
    }
}
