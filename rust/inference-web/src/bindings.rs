//! The class `Engine` of the wasm package.

use alloc::rc::Rc;

use js_sys::{Error, JSON, Object};
use pocketlm_inference::generate::FinishReason;
use pocketlm_inference::gpu::Phase;
use pocketlm_inference::{Engine as Backend, Sampling};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;

use crate::failure::Failure;
use crate::file::{Kept, ModelFile};
use crate::session::{Session, parameters};
use crate::types::{Card, EngineFailure, GenerateOptions, LogitBias, OnProgress, Step};
use crate::webgpu::{self, Device};

/// A panic is a defect; its message would otherwise be lost in an `unreachable` trap.
#[wasm_bindgen(start, skip_typescript)]
fn report_panics() {
    std::panic::set_hook(Box::new(|info| {
        web_sys::console::error_1(&info.to_string().into())
    }));
}

impl From<Failure> for JsValue {
    fn from(failure: Failure) -> Self {
        let error: EngineFailure = Error::new(&failure.message).unchecked_into();
        error.set_kind(failure.kind);
        error.set_hint(failure.hint);
        error.into()
    }
}

/// A model on a backend. One call at a time: await each before the next. `free` gives the memory back, the GPU's too.
#[wasm_bindgen]
pub struct Engine {
    pub(crate) session: Session,
    /// Given back by the last engine that runs on it.
    device: Option<Rc<Device>>,
    tunings: Option<String>,
}

#[wasm_bindgen]
impl Engine {
    /// Prepare a backend and let it reproduce the golden logits. `tunings`: what that of an earlier engine said, on any adapter; WebGPU measures what it
    /// does not have.
    ///
    /// Throws an Error with `kind` and `hint`.
    pub async fn build(
        model: &ModelFile,
        #[wasm_bindgen(unchecked_param_type = "Backend")] backend: String,
        on_progress: OnProgress,
        tunings: Option<String>,
    ) -> Result<Engine, JsValue> {
        let tell = |phase: &str, fraction: f64| {
            on_progress
                .call(&JsValue::UNDEFINED, phase, fraction)
                .map_err(|thrown| Failure {
                    kind: "bad-input",
                    message: format!("onProgress threw {thrown:?}"),
                    hint: "Correct the callback.",
                })
        };
        let (kept, mut tunings) = (model.kept(), tunings);
        let (mut engine, device) = match backend.as_str() {
            "cpu" => {
                tunings = None;
                (on_cpu(kept, &tell)?, None)
            }
            "webgpu" => {
                let (engine, device) = on_gpu(kept, &mut tunings, &tell).await?;
                (engine, Some(Rc::new(device)))
            }
            _ => {
                let message = format!("backend should be \"cpu\" or \"webgpu\", got {backend:?}");
                return Err(Failure {
                    kind: "bad-input",
                    message,
                    hint: "Correct the call.",
                }
                .into());
            }
        };
        tell("warm-up", 1.0)?;
        engine.self_check().await.map_err(Failure::from)?;
        Ok(Engine {
            session: Session::new(engine)?,
            device,
            tunings,
        })
    }

    /// An engine that shares this one's weights, with a cache of its own that begins as a copy of this one's: what both have read is not
    /// read again. Each is freed for itself.
    ///
    /// Throws an Error with `kind` and `hint`.
    pub async fn fork(&self) -> Result<Engine, JsValue> {
        Ok(Engine {
            session: self.session.fork().await?,
            device: self.device.clone(),
            tunings: None,
        })
    }

    /// What is to be kept for the next engine, where building this one measured anything.
    pub fn tunings(&self) -> Option<String> {
        self.tunings.clone()
    }

    /// What runs, and where.
    pub fn card(&self) -> Result<Card, JsValue> {
        let model = self.session.model();
        let card: Card = Object::new().unchecked_into();
        card.set_header(JSON::parse(model.header_json())?);
        card.set_golden_prompt(&self.session.golden_prompt()?);
        card.set_chat_template(or_null(model.chat_template()));
        let token = |id: Option<u32>| id.and_then(|id| self.session.decode(&[id]).ok());
        card.set_bos_token(or_null(token(model.config().bos_token_id).as_deref()));
        card.set_eos_token(or_null(token(model.config().eos_token_id).as_deref()));
        let special = self.session.special_tokens();
        card.set_special_tokens(special.into_iter().map(String::from).collect());
        card.set_parameters(parameters(model) as f64);
        card.set_backend(if self.session.backend() == "gpu" {
            "webgpu"
        } else {
            "cpu"
        });
        card.set_adapter(or_null(self.device.as_deref().map(Device::name)));
        Ok(card)
    }

    /// Begin a run; nothing is computed yet. A run that is under way ends.
    ///
    /// `prompt` comes in parts, by turns: a template's text, in which special tokens count, and a person's, in which they are ordinary text.
    /// `written`: the ids that the same run brought on an engine that is gone; it goes on after them. Empty for a new run.
    pub fn start(
        &mut self,
        prompt: Vec<String>,
        options: &GenerateOptions,
        written: &[u32],
    ) -> Result<(), JsValue> {
        let off = Sampling::GREEDY;
        let sampling = Sampling {
            temperature: options.temperature(),
            top_k: options.top_k(),
            top_p: options.top_p(),
            min_p: options.min_p().unwrap_or(off.min_p),
            repetition_penalty: options
                .repetition_penalty()
                .unwrap_or(off.repetition_penalty),
            presence_penalty: options.presence_penalty().unwrap_or(off.presence_penalty),
            frequency_penalty: options.frequency_penalty().unwrap_or(off.frequency_penalty),
            logit_bias: pairs(options.logit_bias())?,
            seed: options.seed(),
            ..off
        };
        self.session
            .start(&prompt, sampling, options.max_tokens(), written)?;
        self.session.set_top_logprobs(options.top_logprobs());
        Ok(())
    }

    /// How many tokens a prompt takes, as `start` reads it.
    pub fn count(&self, prompt: Vec<String>) -> u32 {
        u32::try_from(self.session.count(&prompt)).unwrap_or(u32::MAX)
    }

    /// Read one chunk of the prompt, up to `layers` layers of it (all unless told), or generate up to `batch` tokens.
    pub async fn step(&mut self, batch: u32, layers: Option<u32>) -> Result<Step, JsValue> {
        let layers = layers.unwrap_or(u32::MAX);
        let brought = self.session.step(batch, layers).await?;
        let step: Step = Object::new().unchecked_into();
        step.set_text(&brought.text);
        step.set_ids(brought.ids);
        step.set_lengths(brought.lengths);
        let said = &brought.logprobs;
        let top = || said.iter().flat_map(|token| &token.top);
        step.set_logprobs(said.iter().map(|token| token.chosen).collect());
        step.set_top_ids(top().map(|(id, _)| *id).collect());
        step.set_top_logprobs(top().map(|(_, logprob)| *logprob).collect());
        step.set_prefilled(brought.prefilled);
        step.set_done(or_null(brought.done.map(|reason| match reason {
            FinishReason::Eos => "eos",
            FinishReason::MaxTokens => "max-tokens",
        })));
        Ok(step)
    }

    /// The logits of forced ids, one row of vocab_size a position, behind the first `after` tokens of what was read last. Ends the run that
    /// is under way.
    pub async fn logits(&mut self, ids: Vec<u32>, after: u32) -> Result<Vec<f32>, JsValue> {
        Ok(self.session.logits(&ids, after).await?)
    }

    /// How much the last of `ids` attends to each of them in a layer, head by head: n_head rows of as many weights as ids. Like `lens` it
    /// reads only what is not at hand: the run that is under way goes on where `ids` are a part of it.
    pub async fn attention(&mut self, ids: Vec<u32>, layer: u32) -> Result<Vec<f32>, JsValue> {
        Ok(self.session.attention(&ids, layer).await?)
    }

    /// The logits after the last of `ids`, as the output layer makes them after each layer from `layer` on: a row of vocab_size a layer.
    pub async fn lens(&mut self, ids: Vec<u32>, layer: u32) -> Result<Vec<f32>, JsValue> {
        Ok(self.session.lens(&ids, layer).await?)
    }

    /// The ids of a prompt, as `start` reads it.
    pub fn prompt_ids(&self, prompt: Vec<String>) -> Vec<u32> {
        self.session.prompt_ids(&prompt)
    }

    /// The ids of a text; special tokens in it are ordinary text.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.session.encode(text)
    }

    /// The merges that make a token of its bytes, in their order: the ids of left, right and result of each. None where merges do not make it.
    pub fn merges(&self, id: u32) -> Vec<u32> {
        self.session.merges(id)
    }

    /// The text of ids, with U+FFFD for bytes that are no text.
    pub fn decode(&self, ids: &[u32]) -> Result<String, JsValue> {
        Ok(self.session.decode(ids)?)
    }
}

/// The biases of tokens, one for each id.
fn pairs(logit_bias: Option<LogitBias>) -> Result<Vec<(u32, f32)>, Failure> {
    let Some(given) = logit_bias else {
        return Ok(Vec::new());
    };
    let (ids, biases) = (given.ids(), given.biases());
    if ids.len() == biases.len() {
        return Ok(ids.into_iter().zip(biases).collect());
    }
    Err(Failure {
        kind: "bad-input",
        message: format!(
            "logit_bias has {} ids but {} biases",
            ids.len(),
            biases.len()
        ),
        hint: "Give a bias for each id.",
    })
}

fn or_null(text: Option<&str>) -> JsValue {
    text.map_or(JsValue::NULL, JsValue::from)
}

fn on_cpu(kept: Kept, tell: &Tell<'_>) -> Result<Backend, Failure> {
    tell("compile", 0.0)?;
    let engine = Backend::cpu(kept.whole()?)?;
    tell("compile", 1.0)?;
    Ok(engine)
}

async fn on_gpu(
    kept: Kept,
    tunings: &mut Option<String>,
    tell: &Tell<'_>,
) -> Result<(Backend, Device), Failure> {
    // A callback that throws is seen at the next step that can fail.
    let mut told = Ok(());
    let progress = |phase: Phase, fraction: f32| {
        if told.is_ok() {
            told = tell(phase.name(), f64::from(fraction));
        }
    };
    let built = webgpu::engine(kept, tunings, progress).await?;
    told?;
    Ok(built)
}

type Tell<'t> = dyn Fn(&str, f64) -> Result<(), Failure> + 't;
