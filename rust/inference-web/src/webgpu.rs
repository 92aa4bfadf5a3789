//! The browser's WebGPU device for the engine.

use js_sys::{Object, Reflect};
use pocketlm_inference::gpu::{self, Phase};
use pocketlm_inference::{Engine, EngineError};
use wasm_bindgen::prelude::*;

use crate::file::Kept;

/// As much of the browser's own interface as names the adapter: wgpu keeps neither vendor nor architecture.
#[wasm_bindgen]
extern "C" {
    type Scope;
    #[wasm_bindgen(method, getter)]
    fn navigator(this: &Scope) -> Navigator;

    type Navigator;
    #[wasm_bindgen(method, getter)]
    fn gpu(this: &Navigator) -> Option<Gpu>;

    type Gpu;
    #[wasm_bindgen(method, catch, js_name = requestAdapter)]
    async fn request_adapter(this: &Gpu, options: &Object) -> Result<JsValue, JsValue>;

    type Adapter;
    #[wasm_bindgen(method, getter)]
    fn info(this: &Adapter) -> AdapterInfo;

    type AdapterInfo;
    #[wasm_bindgen(method, getter)]
    fn vendor(this: &AdapterInfo) -> String;
    #[wasm_bindgen(method, getter)]
    fn architecture(this: &AdapterInfo) -> String;
    #[wasm_bindgen(method, getter)]
    fn description(this: &AdapterInfo) -> String;
}

/// The device of an engine. wgpu leaves it to the garbage collector, which does not know how much memory hangs on it.
pub struct Device {
    name: String,
    device: wgpu::Device,
}

impl Device {
    /// What the browser tells of the adapter.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.device.destroy();
    }
}

/// A model on this browser's WebGPU, and the device. `progress` is told the phase and the fraction of it that is done. `tunings`: what is known
/// of how kernels are best cut; what it leaves there is to be kept, `None` where it measured nothing.
///
/// # Errors
/// [`EngineError::NoAdapter`] where there is no WebGPU, no adapter or no device, and the engine's own.
pub async fn engine(
    kept: Kept,
    tunings: &mut Option<String>,
    progress: impl FnMut(Phase, f32),
) -> Result<(Engine, Device), EngineError> {
    let name = adapter_name().await?;
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let (Kept::Whole(model) | Kept::Outside(model, _)) = &kept;
    let adapter = gpu::request(&instance, model, None).await?;
    let device = Device {
        name,
        device: adapter.device.clone(),
    };
    let mut engine = match kept {
        Kept::Whole(model) => {
            Engine::gpu(model, None, adapter.device, adapter.queue, progress).await?
        }
        Kept::Outside(head, source) => {
            let (device, queue) = (adapter.device, adapter.queue);
            Engine::gpu_from(head, &*source, None, device, queue, progress).await?
        }
    };
    let known = tunings.take().unwrap_or_default();
    *tunings = engine.tune(device.name(), &known).await?;
    Ok((engine, device))
}

/// What the browser tells of its adapter, as "google, swiftshader"; browsers leave out what would identify a machine.
///
/// Asked before wgpu is, since wgpu's reason for having no adapter speaks of every API that was not compiled in.
async fn adapter_name() -> Result<String, EngineError> {
    let no_adapter = |reason: &str| EngineError::NoAdapter {
        backend: "WebGPU",
        reason: reason.into(),
    };
    let refused = |thrown: JsValue| no_adapter(&format!("{thrown:?}"));
    let scope: Scope = js_sys::global().unchecked_into();
    let gpu = scope.navigator().gpu().ok_or_else(|| {
        no_adapter("this browser has no WebGPU, or the page is served neither from localhost nor over https")
    })?;
    let options = Object::new();
    Reflect::set(
        &options,
        &"powerPreference".into(),
        &"high-performance".into(),
    )
    .map_err(refused)?;
    let adapter = gpu.request_adapter(&options).await.map_err(refused)?;
    if adapter.is_null() {
        return Err(no_adapter(
            "this browser has WebGPU, but no graphics adapter for it",
        ));
    }
    let info = adapter.unchecked_into::<Adapter>().info();
    let told = [info.vendor(), info.architecture(), info.description()];
    let words: Vec<_> = told
        .iter()
        .map(String::as_str)
        .filter(|word| !word.is_empty())
        .collect();
    Ok(if words.is_empty() {
        "WebGPU".into()
    } else {
        words.join(", ")
    })
}
