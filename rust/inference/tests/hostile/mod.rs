//! What must hold for any bytes given as a `model.bin`, and mutations that get past its checksums. Shared by the tests and by the
//! fuzz targets of `rust/fuzz`.
#![allow(dead_code, reason = "each user takes a part of it")]

use std::sync::Arc;

use pocketlm_inference::model::Part;
use pocketlm_inference::{Engine, EngineError, FormatError, Model, Sampling, Weights};
use sha2::{Digest, Sha256};

/// Longest message: a name of the file that is quoted in it must not fill a terminal.
const MAX_MESSAGE_BYTES: usize = 1000;

/// Floats that an engine made here may need: a config can ask for a cache of any size, and that is not what is tried here.
const MAX_ENGINE_FLOATS: u64 = 1 << 20;

/// Parse the bytes, look at everything and run what can be run. The names of the error, or what ran.
///
/// Panics where something is accepted that should not be, or where an error says too little or too much.
pub fn read(bytes: Vec<u8>) -> Result<Model, FormatError> {
    let model = Model::parse(bytes).inspect_err(|error| {
        check_message(&error.to_string());
        assert!(!EngineError::from(error.clone()).hint().is_empty());
    })?;
    look_at_everything(&model);
    Ok(model)
}

/// Run a model that was read, where its config is small: prefill, self-check, decode. All errors are as good as any result.
pub fn run(model: Model) {
    let config = model.config();
    let cache =
        u64::from(config.n_layer) * u64::from(config.kv_width()) * u64::from(config.ctx_len);
    let widest = [
        config.q_width(),
        config.d_model,
        config.d_ff,
        config.vocab_size,
    ]
    .into_iter()
    .max();
    if cache + 64 * u64::from(widest.unwrap_or(0)) + u64::from(config.ctx_len * config.d_head)
        > MAX_ENGINE_FLOATS
    {
        return;
    }
    let (ctx_len, vocab_size) = (config.ctx_len, config.vocab_size);
    let mut engine = Engine::cpu(Arc::new(model)).expect("memory for a small model");
    let outcome = pollster::block_on(async {
        engine.self_check().await.or_else(|error| match error {
            EngineError::SelfCheck { .. } => Ok(()),
            other => Err(other),
        })?;
        engine.prefill(&[vocab_size - 1]).await?;
        let sampling = Sampling {
            temperature: 1.0,
            top_k: 3,
            top_p: 0.9,
            seed: 1,
            ..Sampling::GREEDY
        };
        let ids = engine.decode(&sampling, (ctx_len - 1).min(3)).await?;
        assert!(
            ids.iter().all(|id| *id < vocab_size),
            "{ids:?} of a vocabulary of {vocab_size}"
        );
        Ok(())
    });
    if let Err(error) = outcome {
        let error: EngineError = error;
        check_message(&error.to_string());
    }
}

/// One line of printable text that is neither empty nor endless.
pub fn check_message(message: &str) {
    assert!(
        !message.is_empty() && message.len() <= MAX_MESSAGE_BYTES,
        "{} bytes: {message}",
        message.len()
    );
    assert!(!message.chars().any(char::is_control), "{message:?}");
}

fn look_at_everything(model: &Model) {
    let config = model.config();
    assert!(!model.header_json().is_empty());
    assert!((model.tokenizer_bytes().len() as u64) < model.file_nbytes());
    let golden = model.golden();
    assert!(golden.ids.iter().all(|id| *id < config.vocab_size));
    assert_eq!(golden.logits.len(), config.vocab_size as usize);
    assert!(golden.logits.iter().all(|logit| logit.is_finite()));
    for tensor in model.tensors() {
        let weights = Weights::of(tensor);
        assert_eq!(weights.len() as u64, tensor.shape.iter().product::<u64>());
        for index in [0, weights.len() / 2, weights.len() - 1] {
            assert!(weights.get(index).is_finite(), "{}[{index}]", tensor.name);
        }
    }
    assert_eq!(model.embedding().shape, model.output().shape);
    let last = model.layer_tensor(config.n_layer as usize - 1, Part::Down);
    assert!(last.is_some());
    assert_eq!(
        model.section("chat_template").is_some(),
        model.chat_template().is_some()
    );
}

/// Make lengths and checksums right again, as far as the bytes let themselves be read: what then refuses the file is a check of its
/// meaning.
pub fn repair(bytes: &mut [u8]) {
    if bytes.len() < 64 {
        return;
    }
    let stated = u32::from_le_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]) as usize;
    let header_nbytes = stated.min(bytes.len() - 64);
    let file_nbytes = bytes.len() as u64;
    let (prefix, rest) = bytes.split_at_mut(64);
    let (header, _) = rest.split_at(header_nbytes);
    let mut digests = Vec::new();
    for (at, offset, nbytes) in places(header) {
        let section = usize::try_from(offset)
            .ok()
            .and_then(|offset| {
                Some(
                    offset.checked_sub(64)?
                        ..offset
                            .checked_sub(64)?
                            .checked_add(usize::try_from(nbytes).ok()?)?,
                )
            })
            .and_then(|range| rest.get(range));
        if let Some(section) = section {
            digests.push((at, hex(&Sha256::digest(section))));
        }
    }
    for (at, digest) in digests {
        rest[at..at + 64].copy_from_slice(digest.as_bytes());
    }
    let data_offset = (64 + header_nbytes as u64).next_multiple_of(256);
    prefix[12..16].copy_from_slice(&(header_nbytes as u32).to_le_bytes());
    prefix[16..24].copy_from_slice(&data_offset.to_le_bytes());
    prefix[24..32].copy_from_slice(&file_nbytes.to_le_bytes());
    prefix[32..64].copy_from_slice(&Sha256::digest(&rest[..header_nbytes]));
}

/// Every `"nbytes":N,"offset":O,"sha256":"…"` of a header, with `"required"` before the digest or without: where its digits begin, O and N.
fn places(header: &[u8]) -> Vec<(usize, u64, u64)> {
    const START: &[u8] = b"\"nbytes\":";
    let number = |at: &mut usize| {
        let start = *at;
        while header.get(*at).is_some_and(u8::is_ascii_digit) {
            *at += 1;
        }
        core::str::from_utf8(&header[start..*at])
            .ok()?
            .parse::<u64>()
            .ok()
    };
    let literal = |at: &mut usize, text: &[u8]| {
        let found = header.get(*at..)?.starts_with(text);
        *at += text.len();
        found.then_some(())
    };
    let starts = header
        .windows(START.len())
        .enumerate()
        .filter(|(_, window)| *window == START);
    starts
        .filter_map(|(start, _)| {
            let mut at = start + START.len();
            let nbytes = number(&mut at)?;
            literal(&mut at, b",\"offset\":")?;
            let offset = number(&mut at)?;
            for required in [b",\"required\":true".as_slice(), b",\"required\":false"] {
                if header
                    .get(at..)
                    .is_some_and(|rest| rest.starts_with(required))
                {
                    at += required.len();
                }
            }
            literal(&mut at, b",\"sha256\":\"")?;
            (at + 64 <= header.len()).then_some((at, offset, nbytes))
        })
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
