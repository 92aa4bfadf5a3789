//! Tokenizer, engine and generation loop joined: a prompt in, text out, step by step.

use alloc::sync::Arc;

use pocketlm_inference::generate::FinishReason;
use pocketlm_inference::logprobs::Logprobs;
use pocketlm_inference::{Cache, Config, Engine, EngineError, Generator, Model, Sampling, look};
use pocketlm_tokenizer::{Tokenizer, Utf8Stream};

use crate::failure::Failure;
use crate::merges::merges_into;

#[cfg(not(target_arch = "wasm32"))]
use pocketlm_tokenizer::nfc;

/// Normalisation form C by the JavaScript engine: the tokenizer's own tables would be a seventh of the wasm module.
#[cfg(target_arch = "wasm32")]
fn nfc(text: &str) -> String {
    js_sys::JsString::from(text).normalize("NFC").into()
}

/// A loaded model with its tokenizer, and the run that is under way.
pub struct Session {
    engine: Engine,
    tokenizer: Arc<Tokenizer>,
    run: Option<Run>,
}

#[derive(Clone)]
struct Run {
    generator: Generator,
    text: Utf8Stream,
}

/// What one step brought.
#[derive(Debug, Clone, PartialEq)]
pub struct TextStep {
    /// New text; whole characters only.
    pub text: String,
    /// The tokens that it came from; some bytes of theirs may still wait for the rest of a character.
    pub ids: Vec<u32>,
    /// How many UTF-16 units of `text` each of them brought. One that ends within a character brings it with the next token.
    pub lengths: Vec<u32>,
    /// What the model said of each of them, where [`Session::set_top_logprobs`] asks for it; else empty.
    pub logprobs: Vec<Logprobs>,
    /// Tokens of the prompt that were read.
    pub prefilled: u32,
    /// Set in the last step.
    pub done: Option<FinishReason>,
}

impl Session {
    /// Join `engine` to the tokenizer in its model file.
    ///
    /// # Errors
    /// Kind "bad-model" where the tokenizer is broken, or has tokens that the model has no row for.
    pub fn new(engine: Engine) -> Result<Self, Failure> {
        let tokenizer = Tokenizer::from_bytes_with(engine.model().tokenizer_bytes(), nfc)?;
        let (rows, tokens) = (engine.model().config().vocab_size, tokenizer.vocab_size());
        if tokens > rows {
            return Err(Failure {
                kind: "bad-model",
                message: format!(
                    "the model has {rows} rows of vocabulary, its tokenizer {tokens} tokens"
                ),
                hint: "Export the model again, with the tokenizer that it was trained with.",
            });
        }
        Ok(Self {
            engine,
            tokenizer: Arc::new(tokenizer),
            run: None,
        })
    }

    /// A session that shares this one's weights, kernels and tokenizer and begins with a copy of its cache: what both begin with is read
    /// by neither again. From here on neither changes the other. For between two runs.
    ///
    /// # Errors
    /// Those of [`Engine::fork`]: no room for another cache, a lost device.
    pub async fn fork(&self) -> Result<Self, Failure> {
        Ok(Self {
            engine: self.engine.fork().await?,
            tokenizer: self.tokenizer.clone(),
            run: self.run.clone(),
        })
    }

    /// The model that runs.
    pub fn model(&self) -> &Arc<Model> {
        self.engine.model()
    }

    /// "cpu" or "gpu".
    pub fn backend(&self) -> &'static str {
        self.engine.backend()
    }

    /// In what keys and values are kept.
    pub fn cache(&self) -> Cache {
        self.engine.cache()
    }

    /// The engine alone, for who measures it. Ends the run that is under way.
    pub fn measured(&mut self) -> &mut Engine {
        self.run = None;
        &mut self.engine
    }

    /// Begin a run; nothing is computed yet. A run that is under way ends. What both begin with stays in the cache ([`Generator::follow`]).
    ///
    /// `prompt` comes in parts, by turns: a template's text, in which special tokens count, and a person's, in which they are ordinary text
    /// ([`Tokenizer::encode_by_turns`]).
    /// `written`: the ids that the same run brought on an engine that is gone; it goes on after them. None for a new run.
    ///
    /// # Errors
    /// Those of [`Generator::start`] and [`Generator::resume`].
    pub fn start(
        &mut self,
        prompt: &[impl AsRef<str>],
        sampling: Sampling,
        max_tokens: u32,
        written: &[u32],
    ) -> Result<(), Failure> {
        let ids = prompt_ids(&self.tokenizer, self.engine.model().config(), prompt);
        let engine = &mut self.engine;
        let mut generator = match self.run.take() {
            Some(run) => run.generator.follow(engine, &ids, sampling, max_tokens)?,
            None => Generator::start(engine, &ids, sampling, max_tokens)?,
        };
        generator.resume(&mut self.engine, written)?;
        let mut text = Utf8Stream::default();
        // Shown already; bytes of a character that is not whole yet stay in the stream.
        text.push(&self.tokenizer.decode(written)?);
        self.run = Some(Run { generator, text });
        Ok(())
    }

    /// Tell with each token of the run what [`Generator::set_top_logprobs`] says.
    pub fn set_top_logprobs(&mut self, count: Option<u32>) {
        if let Some(run) = self.run.as_mut() {
            run.generator.set_top_logprobs(count);
        }
    }

    /// How many tokens a prompt takes, as [`start`](Self::start) reads it.
    pub fn count(&self, prompt: &[impl AsRef<str>]) -> usize {
        self.prompt_ids(prompt).len()
    }

    /// Read one chunk of the prompt, up to `layers` layers of it, or generate up to `batch` tokens. A step that brings neither has computed
    /// a part of a chunk.
    ///
    /// # Errors
    /// Those of [`Generator::step`]; kind "bad-input" where no run was started.
    pub async fn step(&mut self, batch: u32, layers: u32) -> Result<TextStep, Failure> {
        let Some(run) = self.run.as_mut() else {
            return Err(EngineError::NoLogits.into());
        };
        run.generator.set_batch(batch);
        run.generator.set_layers(layers);
        let step = run.generator.step(&mut self.engine).await?;
        let mut text = String::new();
        let mut lengths = Vec::with_capacity(step.ids.len());
        for id in &step.ids {
            let brought = run.text.push(&self.tokenizer.decode(&[*id])?);
            lengths.push(brought.encode_utf16().count() as u32);
            text.push_str(&brought);
        }
        if step.done.is_some() {
            text.push_str(&run.text.finish());
        }
        Ok(TextStep {
            text,
            ids: step.ids,
            lengths,
            logprobs: step.logprobs,
            prefilled: step.prefilled,
            done: step.done,
        })
    }

    /// The logits of forced ids: (T, V), behind the first `after` tokens of what was read last. Ends the run that is under way.
    ///
    /// # Errors
    /// Those of [`Engine::logits`], and [`EngineError::BadRewind`] where fewer tokens were read.
    pub async fn logits(&mut self, ids: &[u32], after: u32) -> Result<Vec<f32>, Failure> {
        self.run = None;
        self.engine.rewind(after)?;
        Ok(self.engine.logits(ids).await?)
    }

    /// How much the last of `ids` attends to each of them ([`look::attention`]): (H, n). What the run that is under way has read stays,
    /// where `ids` are a part of it.
    ///
    /// # Errors
    /// Those of [`look::attention`].
    pub async fn attention(&mut self, ids: &[u32], layer: u32) -> Result<Vec<f32>, Failure> {
        self.keep_run_of(ids);
        Ok(look::attention(&mut self.engine, ids, layer).await?)
    }

    /// The logits after the last of `ids`, as the output layer makes them after each layer from `layer` on ([`look::lens`]): (L − layer, V).
    /// What was read stays as [`attention`](Self::attention) says.
    ///
    /// # Errors
    /// Those of [`look::lens`].
    pub async fn lens(&mut self, ids: &[u32], layer: u32) -> Result<Vec<f32>, Failure> {
        self.keep_run_of(ids);
        Ok(look::lens(&mut self.engine, ids, layer).await?)
    }

    /// End the run that is under way unless all that is looked at was read by it: a run knows what stands in the cache.
    fn keep_run_of(&mut self, ids: &[u32]) {
        if look::at_hand(&self.engine, ids) + 1 < ids.len() {
            self.run = None;
        }
    }

    /// The ids of a prompt, as [`start`](Self::start) reads it.
    pub fn prompt_ids(&self, prompt: &[impl AsRef<str>]) -> Vec<u32> {
        prompt_ids(&self.tokenizer, self.model().config(), prompt)
    }

    /// The prompt of the self-check as text, without special tokens: an opening that suits the model.
    ///
    /// # Errors
    /// Kind "bad-model" for an id that the tokenizer does not have.
    pub fn golden_prompt(&self) -> Result<String, Failure> {
        let ids = self.model().golden().ids.iter().copied();
        let plain: Vec<u32> = ids.filter(|id| !self.tokenizer.is_special(*id)).collect();
        Ok(String::from_utf8_lossy(&self.tokenizer.decode(&plain)?).into_owned())
    }

    /// The texts of the special tokens.
    pub fn special_tokens(&self) -> Vec<&str> {
        self.tokenizer
            .special_tokens()
            .map(|(_, text)| text)
            .collect()
    }

    /// The ids of `text`; special tokens in it are ordinary text.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.tokenizer.encode(text)
    }

    /// The merges that make a token of its bytes, as `merges_into` says: left, right, result of each, one after the other.
    pub fn merges(&self, id: u32) -> Vec<u32> {
        let merges = merges_into(&self.tokenizer, id).into_iter();
        merges
            .flat_map(|(left, right, result)| [left, right, result])
            .collect()
    }

    /// The text of `ids`, with U+FFFD for bytes that are no text.
    ///
    /// # Errors
    /// Kind "bad-input" for an id that the vocabulary does not have.
    pub fn decode(&self, ids: &[u32]) -> Result<String, Failure> {
        let vocab_size = self.tokenizer.vocab_size();
        if let Some((index, id)) = ids.iter().enumerate().find(|(_, id)| **id >= vocab_size) {
            return Err(EngineError::TokenOutOfRange {
                index,
                id: *id,
                vocab_size,
            }
            .into());
        }
        Ok(String::from_utf8_lossy(&self.tokenizer.decode(ids)?).into_owned())
    }
}

/// The ids that a prompt begins a run with: its own; where it is empty, the token that begins a document.
///
/// Nothing is put before a prompt that has text: the model was trained on windows that begin anywhere.
fn prompt_ids(tokenizer: &Tokenizer, config: &Config, prompt: &[impl AsRef<str>]) -> Vec<u32> {
    let ids = tokenizer.encode_by_turns(prompt);
    if ids.is_empty() {
        config.bos_token_id.into_iter().collect()
    } else {
        ids
    }
}

/// Weights of the model, tied ones counted once.
pub fn parameters(model: &Model) -> u64 {
    model
        .tensors()
        .map(|tensor| tensor.shape.iter().product::<u64>())
        .sum()
}
