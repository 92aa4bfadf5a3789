//! The TypeScript types of what crosses, and the Rust handles to them. The page uses these and restates none.

use js_sys::{Object, Uint8Array};
use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
export type Backend = "webgpu" | "cpu";
/** What building an engine is at: its kernels, then the weights and the golden answer. */
export type BuildPhase = "compile" | "warm-up";
export type OnProgress = (phase: BuildPhase, fraction: number) => void;
/** "eos": the model ended its text. "max-tokens": the limit was reached. */
export type FinishReason = "eos" | "max-tokens";

/** `header_sha256`: two sound files that have it in common are one file. `nbytes`: the file's length. */
export interface FileIdentity {
  header_sha256: string;
  nbytes: number;
}

/** The `nbytes` bytes from `offset` on of a file that lies outside of wasm memory. What it throws ends the building of the engine. */
export type ReadFile = (offset: number, nbytes: number) => Uint8Array;

/** Biases of tokens by id, of one length; -Infinity forbids a token. */
export interface LogitBias {
  ids: Uint32Array;
  biases: Float32Array;
}

/**
 * In the order in which they take effect: on the raw logits `repetition_penalty` (1 does nothing), `frequency_penalty` and `presence_penalty` (0),
 * then `logit_bias`; then `temperature` (0 takes the likeliest token), `top_k` (0 keeps all), `top_p` (1) and `min_p` (0).
 */
export interface GenerateOptions {
  temperature: number;
  top_k: number;
  top_p: number;
  min_p?: number;
  repetition_penalty?: number;
  presence_penalty?: number;
  frequency_penalty?: number;
  logit_bias?: LogitBias;
  seed: number;
  max_tokens: number;
  /** So many likeliest tokens are told with each one, and its own log-probability; without it nothing is, at no cost. */
  top_logprobs?: number;
}

/**
 * What one step brought: a chunk of the prompt read (`prefilled` tokens of it), or new tokens and their text; neither, where a part of a chunk was computed.
 *
 * `lengths`: how many UTF-16 units of `text` each token brought; one that ends within a character brings it with the next. Where `top_logprobs` asks
 * for it, `logprobs` has each token's log-probability, and `top_ids` and `top_logprobs` have the likeliest tokens in its place, as many a token;
 * else they are empty.
 */
export interface Step {
  text: string;
  ids: Uint32Array;
  lengths: Uint32Array;
  logprobs: Float32Array;
  top_ids: Uint32Array;
  top_logprobs: Float32Array;
  prefilled: number;
  done: FinishReason | null;
}

/** The hyperparameters, from the header of model.bin (training/FORMAT.md §2). */
export interface ModelConfig {
  n_layer: number;
  n_head: number;
  n_kv_head: number;
  d_model: number;
  d_head: number;
  d_ff: number;
  vocab_size: number;
  ctx_len: number;
  rope_theta: number;
  norm_eps: number;
  tie_embeddings: boolean;
  bos_token_id?: number;
  eos_token_id?: number;
  stop_token_ids?: number[];
}

/** The header of model.bin, as far as a page shows it. `provenance` is free in form. */
export interface ModelHeader {
  config: ModelConfig;
  provenance: Record<string, unknown>;
  tensors: { name: string; dtype: string; shape: number[]; nbytes: number }[];
}

/** What runs, and where. `golden_prompt`: the prompt of the self-check, an opening that suits the model. `adapter`: the graphics adapter's name; null on the CPU. */
export interface Card {
  header: ModelHeader;
  /** The Jinja template that makes a prompt of messages; null where the model only continues texts. */
  chat_template: string | null;
  bos_token: string | null;
  eos_token: string | null;
  special_tokens: string[];
  golden_prompt: string;
  parameters: number;
  backend: Backend;
  adapter: string | null;
}
"#;

#[wasm_bindgen]
extern "C" {
    /// See the TypeScript type of this name.
    #[wasm_bindgen(typescript_type = "GenerateOptions")]
    pub type GenerateOptions;
    #[wasm_bindgen(method, getter)]
    pub fn temperature(this: &GenerateOptions) -> f32;
    #[wasm_bindgen(method, getter)]
    pub fn top_k(this: &GenerateOptions) -> u32;
    #[wasm_bindgen(method, getter)]
    pub fn top_p(this: &GenerateOptions) -> f32;
    #[wasm_bindgen(method, getter)]
    pub fn min_p(this: &GenerateOptions) -> Option<f32>;
    #[wasm_bindgen(method, getter)]
    pub fn repetition_penalty(this: &GenerateOptions) -> Option<f32>;
    #[wasm_bindgen(method, getter)]
    pub fn presence_penalty(this: &GenerateOptions) -> Option<f32>;
    #[wasm_bindgen(method, getter)]
    pub fn frequency_penalty(this: &GenerateOptions) -> Option<f32>;
    #[wasm_bindgen(method, getter)]
    pub fn logit_bias(this: &GenerateOptions) -> Option<LogitBias>;
    #[wasm_bindgen(method, getter)]
    pub fn seed(this: &GenerateOptions) -> u32;
    #[wasm_bindgen(method, getter)]
    pub fn max_tokens(this: &GenerateOptions) -> u32;
    #[wasm_bindgen(method, getter)]
    pub fn top_logprobs(this: &GenerateOptions) -> Option<u32>;

    /// See the TypeScript type of this name.
    #[wasm_bindgen(typescript_type = "LogitBias")]
    pub type LogitBias;
    #[wasm_bindgen(method, getter)]
    pub fn ids(this: &LogitBias) -> Vec<u32>;
    #[wasm_bindgen(method, getter)]
    pub fn biases(this: &LogitBias) -> Vec<f32>;

    /// See the TypeScript type of this name.
    #[wasm_bindgen(typescript_type = "Step", extends = Object)]
    pub type Step;
    #[wasm_bindgen(method, setter)]
    pub fn set_text(this: &Step, text: &str);
    #[wasm_bindgen(method, setter)]
    pub fn set_ids(this: &Step, ids: Vec<u32>);
    #[wasm_bindgen(method, setter)]
    pub fn set_lengths(this: &Step, lengths: Vec<u32>);
    #[wasm_bindgen(method, setter)]
    pub fn set_logprobs(this: &Step, logprobs: Vec<f32>);
    #[wasm_bindgen(method, setter)]
    pub fn set_top_ids(this: &Step, ids: Vec<u32>);
    #[wasm_bindgen(method, setter)]
    pub fn set_top_logprobs(this: &Step, logprobs: Vec<f32>);
    #[wasm_bindgen(method, setter)]
    pub fn set_prefilled(this: &Step, prefilled: u32);
    #[wasm_bindgen(method, setter)]
    pub fn set_done(this: &Step, done: JsValue);

    /// See the TypeScript type of this name.
    #[wasm_bindgen(typescript_type = "Card", extends = Object)]
    pub type Card;
    #[wasm_bindgen(method, setter)]
    pub fn set_header(this: &Card, header: JsValue);
    #[wasm_bindgen(method, setter)]
    pub fn set_chat_template(this: &Card, template: JsValue);
    #[wasm_bindgen(method, setter)]
    pub fn set_bos_token(this: &Card, token: JsValue);
    #[wasm_bindgen(method, setter)]
    pub fn set_eos_token(this: &Card, token: JsValue);
    #[wasm_bindgen(method, setter)]
    pub fn set_special_tokens(this: &Card, tokens: Vec<String>);
    #[wasm_bindgen(method, setter)]
    pub fn set_golden_prompt(this: &Card, prompt: &str);
    #[wasm_bindgen(method, setter)]
    pub fn set_parameters(this: &Card, parameters: f64);
    #[wasm_bindgen(method, setter)]
    pub fn set_backend(this: &Card, backend: &str);
    #[wasm_bindgen(method, setter)]
    pub fn set_adapter(this: &Card, adapter: JsValue);

    /// See the TypeScript type of this name.
    #[wasm_bindgen(typescript_type = "FileIdentity", extends = Object)]
    pub type FileIdentity;
    #[wasm_bindgen(method, setter)]
    pub fn set_header_sha256(this: &FileIdentity, header_sha256: &str);
    #[wasm_bindgen(method, setter)]
    pub fn set_nbytes(this: &FileIdentity, nbytes: f64);

    /// See the TypeScript type of this name.
    #[wasm_bindgen(typescript_type = "ReadFile")]
    pub type ReadFile;
    #[wasm_bindgen(method, catch)]
    pub fn call(
        this: &ReadFile,
        receiver: &JsValue,
        offset: f64,
        nbytes: f64,
    ) -> Result<Uint8Array, JsValue>;

    /// See the TypeScript type of this name.
    #[wasm_bindgen(typescript_type = "OnProgress")]
    pub type OnProgress;
    #[wasm_bindgen(method, catch)]
    pub fn call(
        this: &OnProgress,
        receiver: &JsValue,
        phase: &str,
        fraction: f64,
    ) -> Result<(), JsValue>;

    /// An `Error` with what the page shows.
    #[wasm_bindgen(extends = js_sys::Error)]
    pub type EngineFailure;
    #[wasm_bindgen(method, setter)]
    pub fn set_kind(this: &EngineFailure, kind: &str);
    #[wasm_bindgen(method, setter)]
    pub fn set_hint(this: &EngineFailure, hint: &str);
}
