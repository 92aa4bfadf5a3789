//! The browser's WebGPU device for the engine.

use std::sync::Arc;

use pocketlm_inference::{Engine, EngineError, Model};

/// `model` on this browser's WebGPU, and the adapter's name.
///
/// # Errors
/// [`EngineError::NoAdapter`] where there is no WebGPU or no adapter, and the engine's own.
pub async fn engine(_model: Arc<Model>) -> Result<(Engine, String), EngineError> {
    Err(EngineError::NoAdapter {
        backend: "gpu",
        reason: "not built in yet".into(),
    })
}
