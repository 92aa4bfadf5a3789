//! Which backend runs a model: `--device cpu|gpu|auto`.

use std::sync::Arc;

use anyhow::Context as _;
use pocketlm_inference::cpu::Isa;
use pocketlm_inference::{Cache, Engine, EngineError, Model, gpu};

use crate::threads::{self, Pool};
use crate::{CacheDtype, Device, Instructions, ModelOptions, report, tunings};

/// An engine and the adapter it runs on.
pub struct Opened {
    /// Ready to run, its cache empty.
    pub engine: Engine,
    /// The GPU's name; `None` on the CPU.
    pub adapter: Option<String>,
}

impl Opened {
    /// "cpu" with its instructions and threads, or "gpu" with the adapter's name.
    pub fn describe(&self) -> String {
        match (&self.adapter, &self.engine) {
            (Some(adapter), _) => format!("gpu ({adapter})"),
            (None, Engine::Cpu(engine)) => match engine.threads() {
                1 => format!("cpu ({}, 1 thread)", engine.isa().name()),
                threads => format!("cpu ({}, {threads} threads)", engine.isa().name()),
            },
            (None, Engine::Gpu(_)) => self.engine.backend().into(),
        }
    }

    /// The threads that share the CPU's operations; `None` on a GPU.
    pub fn threads(&self) -> Option<usize> {
        match &self.engine {
            Engine::Cpu(engine) => Some(engine.threads()),
            Engine::Gpu(_) => None,
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
    let threads = options.threads.map_or_else(threads::available, usize::from);
    let cache = options.cache.map(|cache| match cache {
        CacheDtype::F32 => Cache::F32,
        CacheDtype::F16 => Cache::F16,
    });
    match options.device {
        Device::Cpu => open_cpu(model, cache, isa, threads),
        Device::Gpu => Ok(open_gpu(model, cache, true).await?),
        Device::Auto => match open_working_gpu(model, cache).await {
            Ok(opened) => Ok(opened),
            Err(error) => {
                report(&format!("running on the CPU: {error}"));
                open_cpu(model, cache, isa, threads)
            }
        },
    }
}

/// What the matrix loop may use.
fn isa(asked: Instructions) -> anyhow::Result<Isa> {
    let isas = isas();
    let called = |name| isas.iter().find(|isa| isa.name() == name);
    let found = match asked {
        Instructions::Auto => isas.last(),
        Instructions::Portable => isas.first(),
        Instructions::Avx2 => called("avx2"),
        Instructions::Avx512 => called("avx512"),
        Instructions::Neon => called("neon"),
        Instructions::Dotprod => called("dotprod"),
    };
    let names: Vec<_> = isas.iter().map(|isa| isa.name()).collect();
    found.copied().with_context(|| {
        format!(
            "this processor lacks what `--isa` asks for, it has: {}; leave `--isa` out",
            names.join(", ")
        )
    })
}

/// What this processor has, the best last.
#[cfg(target_arch = "x86_64")]
fn isas() -> Vec<Isa> {
    let mut isas = vec![Isa::PORTABLE];
    let has_avx2 = std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("fma")
        && std::arch::is_x86_feature_detected!("f16c");
    if has_avx2 {
        // SAFETY: the processor has all three.
        isas.push(unsafe { Isa::avx2() });
        if std::arch::is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has this, too.
            isas.push(unsafe { Isa::avx512() });
        }
    }
    isas
}

/// What this processor has, the best last.
#[cfg(target_arch = "aarch64")]
fn isas() -> Vec<Isa> {
    let mut isas = vec![Isa::PORTABLE, Isa::BASELINE];
    if std::arch::is_aarch64_feature_detected!("dotprod") {
        // SAFETY: the processor has it.
        isas.push(unsafe { Isa::dotprod() });
    }
    isas
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn isas() -> Vec<Isa> {
    vec![Isa::PORTABLE]
}

fn open_cpu(
    model: &Arc<Model>,
    cache: Option<Cache>,
    isa: Isa,
    threads: usize,
) -> anyhow::Result<Opened> {
    let pool = Arc::new(Pool::new(threads)?);
    Ok(Opened {
        engine: Engine::cpu_with(model.clone(), cache, isa, pool)?,
        adapter: None,
    })
}

/// A GPU that is not a CPU in disguise and that computes the golden answer.
async fn open_working_gpu(model: &Arc<Model>, cache: Option<Cache>) -> Result<Opened, EngineError> {
    let mut opened = open_gpu(model, cache, false).await?;
    opened.engine.self_check().await?;
    Ok(opened)
}

/// A software adapter (lavapipe, WARP) is taken only where `software` says so.
async fn open_gpu(
    model: &Arc<Model>,
    cache: Option<Cache>,
    software: bool,
) -> Result<Opened, EngineError> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = gpu::request(&instance, model, cache).await?;
    let name = adapter.describe();
    if adapter.is_software() && !software {
        let reason = format!("{name} is a CPU; `--device gpu` takes it all the same");
        return Err(EngineError::NoAdapter {
            backend: "gpu",
            reason,
        });
    }
    let with_driver = format!("{name} {}", adapter.info.driver_info);
    let (device, queue) = (adapter.device, adapter.queue);
    let mut engine = Engine::gpu(model.clone(), cache, device, queue, |_, _| {}).await?;
    if let Some(measured) = engine.tune(&with_driver, &tunings::read()).await?
        && let Err(error) = tunings::write(&measured)
    {
        report(&format!("the GPU is measured again next time: {error}"));
    }
    Ok(Opened {
        engine,
        adapter: Some(name),
    })
}
