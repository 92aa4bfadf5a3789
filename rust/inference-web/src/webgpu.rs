//! The browser's WebGPU device for the engine.

use std::sync::Arc;

use pocketlm_inference::gpu::{self, Phase};
use pocketlm_inference::{Engine, EngineError, Model};

/// `model` on this browser's WebGPU, and the adapter's name. `progress` is told the phase and the fraction of it that is done.
///
/// # Errors
/// [`EngineError::NoAdapter`] where there is no WebGPU or no adapter, and the engine's own.
pub async fn engine(
    model: Arc<Model>,
    progress: impl FnMut(Phase, f32),
) -> Result<(Engine, String), EngineError> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = gpu::request(&instance, &model).await?;
    let name = adapter.describe();
    let engine = Engine::gpu(model, adapter.device, adapter.queue, progress).await?;
    Ok((engine, name))
}
