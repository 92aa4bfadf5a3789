//! What one can see of a text in the model: where a token attends to, and what the layers would say next.
//!
//! Both are of the last token of a text. Whatever of the text stands in the cache already is not read again, and afterwards all but the
//! last token of it do: whoever looks at one token of a text after another, layer by layer, pays for single tokens.

use alloc::vec::Vec;

use crate::cursor::check_vocabulary;
use crate::engine::Engine;
use crate::error::EngineError;

/// How much the last of `ids` attends to each of them in a layer, head by head: (H, n), H query heads, n ids; each row's sum is 1.
///
/// # Errors
/// [`EngineError::BadLayer`], [`EngineError::EmptyPrompt`], and those of [`Engine::prefill`].
///
/// ```
/// # #[path = "../tests/model_writer/mod.rs"]
/// # mod model_writer;
/// # use model_writer::{File, Shape};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use pocketlm_inference::{Engine, Model, look};
/// # let bytes = File::random(Shape::TINY, 1).bytes(); // 4 heads
/// let mut engine = Engine::cpu(std::sync::Arc::new(Model::parse(bytes)?))?;
/// let weights = pollster::block_on(look::attention(&mut engine, &[1, 2, 3], 0))?;
/// assert_eq!(weights.len(), 4 * 3);
/// assert!((weights[..3].iter().sum::<f32>() - 1.0).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
pub async fn attention(
    engine: &mut Engine,
    ids: &[u32],
    layer: u32,
) -> Result<Vec<f32>, EngineError> {
    let last = read_all_but_last(engine, ids, layer).await?;
    engine.attention_weights(last, layer as usize).await
}

/// The logits that the output layer makes of the last of `ids` after each layer from `layer` on: (L − layer, V). The last row is the
/// model's own answer; those before it are the *logit lens*.
///
/// Source: nostalgebraist 2020, "interpreting GPT: the logit lens".
///
/// # Errors
/// As [`attention`], and [`EngineError::OutOfMemory`].
pub async fn lens(engine: &mut Engine, ids: &[u32], layer: u32) -> Result<Vec<f32>, EngineError> {
    let last = read_all_but_last(engine, ids, layer).await?;
    let n_layer = engine.model().config().n_layer;
    let mut rows = Vec::new();
    let mut done = 0;
    for layer in layer..n_layer {
        let end = layer as usize + 1;
        rows.extend(engine.logits_after(last, done..end).await?);
        done = end;
    }
    Ok(rows)
}

/// How many of all but the last of `ids` stand in the cache already.
///
/// ```
/// # #[path = "../tests/model_writer/mod.rs"]
/// # mod model_writer;
/// # use model_writer::{File, Shape};
/// # use pocketlm_inference::{Engine, Model, look};
/// # let bytes = File::random(Shape::TINY, 1).bytes();
/// let mut engine = Engine::cpu(std::sync::Arc::new(Model::parse(bytes).unwrap())).unwrap();
/// pollster::block_on(engine.prefill(&[1, 2, 3])).unwrap();
/// assert_eq!(look::at_hand(&engine, &[1, 2, 4, 5]), 2);
/// assert_eq!(look::at_hand(&engine, &[1, 2]), 1);
/// ```
pub fn at_hand(engine: &Engine, ids: &[u32]) -> usize {
    let before = &ids[..ids.len().saturating_sub(1)];
    let pairs = before.iter().zip(engine.ids());
    pairs.take_while(|(id, cached)| id == cached).count()
}

/// Leave all but the last of `ids` in the cache, and return that one.
async fn read_all_but_last(
    engine: &mut Engine,
    ids: &[u32],
    layer: u32,
) -> Result<u32, EngineError> {
    let config = engine.model().config();
    let n_layer = config.n_layer;
    if layer >= n_layer {
        return Err(EngineError::BadLayer { layer, n_layer });
    }
    let Some((last, before)) = ids.split_last() else {
        return Err(EngineError::EmptyPrompt);
    };
    if ids.len() > config.ctx_len as usize {
        return Err(EngineError::ContextFull {
            position: 0,
            tokens: ids.len(),
            ctx_len: config.ctx_len,
        });
    }
    check_vocabulary(ids, config.vocab_size)?;
    let kept = at_hand(engine, ids);
    engine.rewind(kept as u32)?;
    engine.prefill(&before[kept..]).await?;
    Ok(*last)
}
