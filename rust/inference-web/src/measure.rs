//! What the page measures an engine by: methods of the class `Engine` of the wasm package.

use js_sys::Object;
use pocketlm_inference::Sampling;
use wasm_bindgen::prelude::*;

use crate::bindings::Engine;
use crate::failure::Failure;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/**
 * How this engine's answer to the golden prompt of the file compares with torch's, whose logits the file has.
 *
 * `largest_difference` (infinite where a logit is no number) is that of the token `index`, whose logit is `expected` to be what torch has;
 * `golden_likeliest` and `likeliest` are the ids of torch's and the engine's largest logit. `sampled`: the id that the engine takes at
 * temperature 0; null where the logits are wrong already, or the context is full.
 */
export interface GoldenCheck {
  largest_difference: number;
  tolerance: number;
  index: number;
  expected: number;
  got: number;
  golden_likeliest: number;
  likeliest: number;
  sampled: number | null;
}

/** In what keys and values are kept, and the bytes that each token takes of it. */
export interface CacheKind {
  name: "f32" | "f16";
  token_bytes: number;
}

/** What each kernel took, over all that were asked for, and what it read of weights, cache and logits. */
export interface KernelTimes {
  names: string[];
  milliseconds: Float64Array;
  bytes: Float64Array;
  /** Of each, 1 where it reads weights, else 0. */
  read_weights: Uint8Array;
}
"#;

#[wasm_bindgen]
extern "C" {
    /// See the TypeScript type of this name.
    #[wasm_bindgen(typescript_type = "GoldenCheck", extends = Object)]
    pub type GoldenCheck;
    #[wasm_bindgen(method, setter)]
    fn set_largest_difference(this: &GoldenCheck, value: f32);
    #[wasm_bindgen(method, setter)]
    fn set_tolerance(this: &GoldenCheck, value: f32);
    #[wasm_bindgen(method, setter)]
    fn set_index(this: &GoldenCheck, value: u32);
    #[wasm_bindgen(method, setter)]
    fn set_expected(this: &GoldenCheck, value: f32);
    #[wasm_bindgen(method, setter)]
    fn set_got(this: &GoldenCheck, value: f32);
    #[wasm_bindgen(method, setter)]
    fn set_golden_likeliest(this: &GoldenCheck, value: u32);
    #[wasm_bindgen(method, setter)]
    fn set_likeliest(this: &GoldenCheck, value: u32);
    #[wasm_bindgen(method, setter)]
    fn set_sampled(this: &GoldenCheck, value: JsValue);

    /// See the TypeScript type of this name.
    #[wasm_bindgen(typescript_type = "CacheKind", extends = Object)]
    pub type CacheKind;
    #[wasm_bindgen(method, setter)]
    fn set_name(this: &CacheKind, value: &str);
    #[wasm_bindgen(method, setter)]
    fn set_token_bytes(this: &CacheKind, value: f64);

    /// See the TypeScript type of this name.
    #[wasm_bindgen(typescript_type = "KernelTimes", extends = Object)]
    pub type KernelTimes;
    #[wasm_bindgen(method, setter)]
    fn set_names(this: &KernelTimes, value: Vec<String>);
    #[wasm_bindgen(method, setter)]
    fn set_milliseconds(this: &KernelTimes, value: Vec<f64>);
    #[wasm_bindgen(method, setter)]
    fn set_bytes(this: &KernelTimes, value: Vec<f64>);
    #[wasm_bindgen(method, setter)]
    fn set_read_weights(this: &KernelTimes, value: Vec<u8>);

    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn now_ms() -> f64;
}

/// All of them end the run that is under way; the cache is the caller's until the next one begins.
#[wasm_bindgen]
impl Engine {
    /// Run the golden prompt of the file; leaves the cache empty. Numbers that are wrong are no failure.
    pub async fn check(&mut self) -> Result<GoldenCheck, JsValue> {
        let engine = self.session.measured();
        let found = engine.golden_check().await.map_err(Failure::from)?;
        let check: GoldenCheck = Object::new().unchecked_into();
        check.set_largest_difference(found.largest_difference);
        check.set_tolerance(found.tolerance);
        check.set_index(found.index as u32);
        check.set_expected(found.expected);
        check.set_got(found.got);
        check.set_golden_likeliest(found.golden_likeliest);
        check.set_likeliest(found.likeliest);
        check.set_sampled(found.sampled.map_or(JsValue::NULL, JsValue::from));
        Ok(check)
    }

    /// In what keys and values are kept.
    pub fn cache(&self) -> CacheKind {
        let cache = self.session.cache();
        let kind: CacheKind = Object::new().unchecked_into();
        kind.set_name(cache.name());
        kind.set_token_bytes(cache.token_nbytes(self.session.model().config()) as f64);
        kind
    }

    /// Forget all positions from `position` on.
    pub fn rewind(&mut self, position: u32) -> Result<(), JsValue> {
        let rewound = self.session.measured().rewind(position);
        Ok(rewound.map_err(Failure::from)?)
    }

    /// Read tokens into the cache; done when they are read, on the GPU too.
    pub async fn read(&mut self, ids: Vec<u32>) -> Result<(), JsValue> {
        let engine = self.session.measured();
        engine.prefill(&ids).await.map_err(Failure::from)?;
        engine.last_logits().await.map_err(Failure::from)?;
        Ok(())
    }

    /// Sample the likeliest token so many times, whatever it is.
    pub async fn sample(&mut self, tokens: u32) -> Result<Vec<u32>, JsValue> {
        let engine = self.session.measured();
        let sampled = engine.decode(&Sampling::GREEDY, tokens).await;
        Ok(sampled.map_err(Failure::from)?)
    }

    /// Read `ids`, then sample `tokens` tokens, with a clock at each kernel: the device's, or on the CPU the browser's.
    pub async fn profile(&mut self, ids: Vec<u32>, tokens: u32) -> Result<KernelTimes, JsValue> {
        let engine = self.session.measured();
        let mut now = || now_ms() * 1e6;
        let profiled = engine
            .profile(&ids, &Sampling::GREEDY, tokens, &mut now)
            .await;
        let kernels = profiled.map_err(Failure::from)?;
        let times: KernelTimes = Object::new().unchecked_into();
        times.set_names(kernels.iter().map(|kernel| kernel.name.into()).collect());
        times.set_milliseconds(
            kernels
                .iter()
                .map(|kernel| kernel.nanoseconds / 1e6)
                .collect(),
        );
        times.set_bytes(kernels.iter().map(|kernel| kernel.bytes as f64).collect());
        times.set_read_weights(
            kernels
                .iter()
                .map(|kernel| kernel.reads_weights().into())
                .collect(),
        );
        Ok(times)
    }
}
