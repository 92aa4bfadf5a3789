//! Which backend runs a model: `--device cpu|gpu|auto`.

use std::sync::Arc;

use anyhow::bail;
use pocketlm_inference::cpu::Isa;
use pocketlm_inference::{Engine, EngineError, Model, gpu};

use crate::{Device, Instructions, ModelOptions, report};

/// An engine and the adapter it runs on.
pub struct Opened {
    /// Ready to run, its cache empty.
    pub engine: Engine,
    /// The GPU's name; `None` on the CPU.
    pub adapter: Option<String>,
}

impl Opened {
    /// "cpu" with its instructions, or "gpu" with the adapter's name.
    pub fn describe(&self) -> String {
        match (&self.adapter, self.isa()) {
            (Some(adapter), _) => format!("gpu ({adapter})"),
            (None, Some(isa)) => format!("cpu ({isa})"),
            (None, None) => self.engine.backend().into(),
        }
    }

    /// The instructions of the CPU's matrix loop; `None` on a GPU.
    pub fn isa(&self) -> Option<&'static str> {
        match &self.engine {
            Engine::Cpu(engine) => Some(engine.isa().name()),
            Engine::Gpu(_) => None,
        }
    }
}

/// Make an engine, and check it against the golden answer of the file.
///
/// # Errors
/// Those of [`open`], and [`EngineError::SelfCheck`].
pub async fn open_checked(model: &Arc<Model>, options: &ModelOptions) -> anyhow::Result<Opened> {
    let mut opened = open(model, options).await?;
    opened.engine.self_check().await?;
    Ok(opened)
}

/// Make an engine. [`Device::Auto`] checks the GPU, and says on stderr why it was not taken.
///
/// # Errors
/// [`EngineError`]; with [`Device::Auto`] only those of the CPU. Instructions that this processor lacks.
pub async fn open(model: &Arc<Model>, options: &ModelOptions) -> anyhow::Result<Opened> {
    let isa = isa(options.isa)?;
    match options.device {
        Device::Cpu => Ok(open_cpu(model, isa)?),
        Device::Gpu => Ok(open_gpu(model, true).await?),
        Device::Auto => match open_working_gpu(model).await {
            Ok(opened) => Ok(opened),
            Err(error) => {
                report(&format!("running on the CPU: {error}"));
                Ok(open_cpu(model, isa)?)
            }
        },
    }
}

/// What the matrix loop may use.
fn isa(asked: Instructions) -> anyhow::Result<Isa> {
    let best = best_isa();
    match asked {
        Instructions::Auto => Ok(best),
        Instructions::Portable => Ok(Isa::PORTABLE),
        Instructions::Avx2 if best != Isa::PORTABLE => Ok(best),
        Instructions::Avx2 => {
            bail!("this processor has no AVX2 with FMA and F16C; leave out `--isa`")
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn best_isa() -> Isa {
    let has_avx2 = std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("fma")
        && std::arch::is_x86_feature_detected!("f16c");
    if has_avx2 {
        // SAFETY: the processor has all three.
        unsafe { Isa::avx2() }
    } else {
        Isa::PORTABLE
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn best_isa() -> Isa {
    Isa::PORTABLE
}

fn open_cpu(model: &Arc<Model>, isa: Isa) -> Result<Opened, EngineError> {
    Ok(Opened {
        engine: Engine::cpu_with(model.clone(), isa)?,
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
