//! The class `Engine` of the wasm package.

use alloc::sync::Arc;

use js_sys::{Error, JSON, Object, Uint8Array};
use pocketlm_inference::generate::FinishReason;
use pocketlm_inference::gpu::Phase;
use pocketlm_inference::{Engine as Backend, EngineError, Model, Sampling};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;

use crate::failure::Failure;
use crate::session::{Session, parameters};
use crate::types::{Card, EngineFailure, GenerateOptions, OnProgress, Step};
use crate::webgpu;

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

/// A loaded model. One call at a time: await each before the next.
#[wasm_bindgen]
pub struct Engine {
    session: Session,
    adapter: Option<String>,
    fallback_reason: Option<String>,
}

/// A backend that has reproduced the golden logits.
struct Checked {
    engine: Backend,
    adapter: Option<String>,
}

#[wasm_bindgen]
impl Engine {
    /// Check the bytes of a model.bin, prepare a backend and let it reproduce the golden logits.
    ///
    /// Throws an Error with `kind` and `hint`.
    pub async fn load(
        bytes: Uint8Array,
        #[wasm_bindgen(unchecked_param_type = "Device")] device: String,
        on_progress: OnProgress,
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
        tell("parse", 0.0)?;
        let model = Arc::new(Model::parse(copy_in(&bytes)?).map_err(Failure::from)?);
        drop(bytes);
        tell("parse", 1.0)?;
        let (checked, fallback_reason) = match device.as_str() {
            "cpu" => (on_cpu(model, &tell).await?, None),
            "gpu" => (on_gpu(model, &tell).await?, None),
            "auto" => match on_gpu(model.clone(), &tell).await {
                Ok(checked) => (checked, None),
                Err(reason) => (on_cpu(model, &tell).await?, Some(reason.message)),
            },
            _ => {
                let message =
                    format!("device should be \"auto\", \"cpu\" or \"gpu\", got {device:?}");
                return Err(Failure {
                    kind: "bad-input",
                    message,
                    hint: "Correct the address.",
                }
                .into());
            }
        };
        Ok(Engine {
            session: Session::new(checked.engine)?,
            adapter: checked.adapter,
            fallback_reason,
        })
    }

    /// What runs, and where.
    pub fn card(&self) -> Result<Card, JsValue> {
        let model = self.session.model();
        let card: Card = Object::new().unchecked_into();
        card.set_header(JSON::parse(model.header_json())?);
        card.set_golden_prompt(&self.session.golden_prompt()?);
        card.set_parameters(parameters(model) as f64);
        card.set_backend(if self.session.backend() == "gpu" {
            "webgpu"
        } else {
            "cpu"
        });
        card.set_adapter(or_null(self.adapter.as_deref()));
        card.set_fallback_reason(or_null(self.fallback_reason.as_deref()));
        Ok(card)
    }

    /// Begin a run; nothing is computed yet. A run that is under way ends.
    pub fn start(&mut self, prompt: &str, options: &GenerateOptions) -> Result<(), JsValue> {
        let sampling = Sampling {
            temperature: options.temperature(),
            top_k: options.top_k(),
            top_p: options.top_p(),
            seed: options.seed(),
        };
        Ok(self.session.start(prompt, sampling, options.max_tokens())?)
    }

    /// Read one chunk of the prompt, or generate up to `batch` tokens.
    pub async fn step(&mut self, batch: u32) -> Result<Step, JsValue> {
        let brought = self.session.step(batch).await?;
        let step: Step = Object::new().unchecked_into();
        step.set_text(&brought.text);
        step.set_ids(brought.ids);
        step.set_prefilled(brought.prefilled);
        step.set_done(or_null(brought.done.map(|reason| match reason {
            FinishReason::Eos => "eos",
            FinishReason::MaxTokens => "max-tokens",
        })));
        Ok(step)
    }

    /// The logits of forced ids, one row of vocab_size a position. Ends the run that is under way.
    pub async fn logits(&mut self, ids: Vec<u32>) -> Result<Vec<f32>, JsValue> {
        Ok(self.session.logits(&ids).await?)
    }

    /// The ids of a text; special tokens in it are ordinary text.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.session.encode(text)
    }

    /// The text of ids, with U+FFFD for bytes that are no text.
    pub fn decode(&self, ids: &[u32]) -> Result<String, JsValue> {
        Ok(self.session.decode(ids)?)
    }
}

/// The file's bytes in wasm memory; a file that does not fit is an error, where `to_vec` would trap.
fn copy_in(bytes: &Uint8Array) -> Result<Vec<u8>, Failure> {
    let length = bytes.length() as usize;
    let mut copy = Vec::new();
    copy.try_reserve_exact(length)
        .map_err(|_| EngineError::OutOfMemory {
            what: "model.bin",
            needed_bytes: length as u64,
        })?;
    copy.resize(length, 0);
    bytes.copy_to(&mut copy);
    Ok(copy)
}

fn or_null(text: Option<&str>) -> JsValue {
    text.map_or(JsValue::NULL, JsValue::from)
}

async fn on_cpu(model: Arc<Model>, tell: &Tell<'_>) -> Result<Checked, Failure> {
    tell("compile", 0.0)?;
    let engine = Backend::cpu(model)?;
    tell("compile", 1.0)?;
    tell("warm-up", 0.0)?;
    let checked = checked(engine, None).await?;
    tell("warm-up", 1.0)?;
    Ok(checked)
}

async fn on_gpu(model: Arc<Model>, tell: &Tell<'_>) -> Result<Checked, Failure> {
    // A callback that throws is seen at the next step that can fail.
    let mut told = Ok(());
    let progress = |phase: Phase, fraction: f32| {
        if told.is_ok() {
            told = tell(phase.name(), f64::from(fraction));
        }
    };
    let (engine, adapter) = webgpu::engine(model, progress).await?;
    told?;
    checked(engine, Some(adapter)).await
}

/// A backend that does not reproduce the golden logits is refused.
async fn checked(mut engine: Backend, adapter: Option<String>) -> Result<Checked, Failure> {
    engine.self_check().await?;
    Ok(Checked { engine, adapter })
}

type Tell<'t> = dyn Fn(&str, f64) -> Result<(), Failure> + 't;
