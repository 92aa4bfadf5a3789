//! Any text as the JSON header of a `model.bin` whose prefix and sections are sound. Every second mutation replaces or removes a value
//! and writes canonical JSON, so that it gets past the spelling.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use pocketlm_fuzz::{bounded, hostile_model, model_file, model_writer};
use pocketlm_inference::format::Architecture;
use serde_json::{Value, json};

static SECTIONS: LazyLock<[Vec<Vec<u8>>; 2]> = LazyLock::new(|| {
    [Architecture::Llama, Architecture::Fast].map(|family| model_file(family).sections)
});

fuzz_target!(|header: &[u8]| {
    // The sections of the family that the text names, should it name one.
    let is_fast = header.windows(6).any(|text| text == b"\"fast\"");
    let bytes = model_writer::assemble_text(header, &SECTIONS[usize::from(is_fast)]);
    let read = bounded(100 * bytes.len() + (4 << 20), || hostile_model::read(bytes));
    if let Ok(model) = read {
        hostile_model::run(model);
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if seed.is_multiple_of(2)
        && let Ok(mut header) = serde_json::from_slice::<Value>(&data[..size])
    {
        let mut random = model_writer::Random(u64::from(seed));
        change(&mut header, &mut random);
        // Python writes 1e-05 where Rust writes 1e-5; both are read.
        let text = header.to_string();
        if text.len() <= max_size {
            data[..text.len()].copy_from_slice(text.as_bytes());
            return text.len();
        }
    }
    fuzzer_mutate(data, size, max_size)
});

/// Go down to a random value and replace, remove or repeat it.
fn change(value: &mut Value, random: &mut model_writer::Random) {
    let deeper = random.next() % 8 != 0;
    match value {
        Value::Object(map) if deeper && !map.is_empty() => {
            let key = map
                .keys()
                .nth(random.next() as usize % map.len())
                .cloned()
                .unwrap_or_default();
            match random.next() % 16 {
                0 => drop(map.remove(&key)),
                1 => drop(map.insert(format!("{key}2"), Value::Null)),
                _ => change(&mut map[&key], random),
            }
        }
        Value::Array(values) if deeper && !values.is_empty() => {
            let index = random.next() as usize % values.len();
            match random.next() % 8 {
                0 => drop(values.remove(index)),
                1 => values.insert(index, values[index].clone()),
                2 => values.rotate_left(index),
                _ => change(&mut values[index], random),
            }
        }
        other => *other = interesting(other, random),
    }
}

fn interesting(old: &Value, random: &mut model_writer::Random) -> Value {
    let near = old.as_u64().unwrap_or(0);
    let values = [
        json!(0),
        json!(1),
        json!(2),
        json!(-1),
        json!(u32::MAX),
        json!(1u64 << 32),
        json!(1u64 << 63),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(near.wrapping_add(1)),
        json!(near.wrapping_sub(1)),
        json!(near.wrapping_mul(2)),
        json!(near / 2),
        json!(near ^ 256),
        json!(0.5),
        json!(1e300),
        json!(1e-300),
        json!(-0.5),
        json!(null),
        json!(true),
        json!(false),
        json!(""),
        json!("f16"),
        json!("f32"),
        json!("q8_0"),
        json!("bf16"),
        json!("qwen2"),
        json!("qwen3"),
        json!("fast"),
        json!("chat_template"),
        json!("zzz"),
        json!("0".repeat(64)),
        json!("\u{1b}[2J\u{9b}"),
        json!("x".repeat(300)),
        json!([]),
        json!({}),
        json!([[[[[0]]]]]),
        json!([0]),
        json!({"a": {"a": {}}}),
    ];
    values[random.next() as usize % values.len()].clone()
}
