//! Which backend runs a model: `--device cpu|gpu|auto`.

use std::sync::Arc;

use pocketlm_inference::{Engine, EngineError, Model, gpu};

use crate::{Device, report};

/// An engine and the adapter it runs on.
pub struct Opened {
    /// Ready to run, its cache empty.
    pub engine: Engine,
    /// The GPU's name; `None` on the CPU.
    pub adapter: Option<String>,
}

impl Opened {
    /// "cpu", or "gpu" with the adapter's name.
    pub fn describe(&self) -> String {
        match &self.adapter {
            Some(adapter) => format!("gpu ({adapter})"),
            None => "cpu".into(),
        }
    }
}

/// Make an engine, and check it against the golden answer of the file.
///
/// # Errors
/// [`EngineError`]; with [`Device::Auto`] only those of the CPU.
pub async fn open_checked(model: &Arc<Model>, device: Device) -> Result<Opened, EngineError> {
    let mut opened = open(model, device).await?;
    opened.engine.self_check().await?;
    Ok(opened)
}

/// Make an engine. [`Device::Auto`] checks the GPU, and says on stderr why it was not taken.
///
/// # Errors
/// [`EngineError`]; with [`Device::Auto`] only those of the CPU.
pub async fn open(model: &Arc<Model>, device: Device) -> Result<Opened, EngineError> {
    match device {
        Device::Cpu => open_cpu(model),
        Device::Gpu => open_gpu(model, true).await,
        Device::Auto => match open_working_gpu(model).await {
            Ok(opened) => Ok(opened),
            Err(error) => {
                report(&format!("running on the CPU: {error}"));
                open_cpu(model)
            }
        },
    }
}

fn open_cpu(model: &Arc<Model>) -> Result<Opened, EngineError> {
    Ok(Opened {
        engine: Engine::cpu(model.clone())?,
        adapter: None,
    })
}

/// A GPU that is not a CPU in disguise and that computes the golden answer.
async fn open_working_gpu(model: &Arc<Model>) -> Result<Opened, EngineError> {
    let mut opened = open_gpu(model, false).await?;
    opened.engine.self_check().await?;
    Ok(opened)
}

/// A software adapter (lavapipe, WARP) is taken only where `software` says so.
async fn open_gpu(model: &Arc<Model>, software: bool) -> Result<Opened, EngineError> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = gpu::request(&instance, model).await?;
    let name = adapter.describe();
    if adapter.is_software() && !software {
        let reason = format!("{name} is a CPU; `--device gpu` takes it all the same");
        return Err(EngineError::NoAdapter {
            backend: "gpu",
            reason,
        });
    }
    let engine = Engine::gpu(model.clone(), adapter.device, adapter.queue, |_, _| {}).await?;
    Ok(Opened {
        engine,
        adapter: Some(name),
    })
}
