//! Getting a device: natively and in the browser the same way.

use alloc::format;
use alloc::string::ToString;

use super::buffers::largest_binding;
use super::matrices::Dtypes;
use crate::cache::Cache;
use crate::error::EngineError;
use crate::model::Model;

/// A device that can hold a model, and where it is.
pub struct Adapter {
    /// The adapter's name, driver and kind. In a browser the name is often empty.
    pub info: wgpu::AdapterInfo,
    /// For [`GpuEngine::new`](super::GpuEngine::new).
    pub device: wgpu::Device,
    /// Its queue.
    pub queue: wgpu::Queue,
}

impl Adapter {
    /// Whether this is a CPU in disguise (lavapipe, SwiftShader, WARP), which our own CPU backend outruns.
    pub fn is_software(&self) -> bool {
        self.info.device_type == wgpu::DeviceType::Cpu
    }

    /// The name and the driver, in one line: "llvmpipe (LLVM 15.0.6, 256 bits), llvmpipe".
    pub fn describe(&self) -> alloc::string::String {
        let known = [&self.info.name, &self.info.driver]
            .into_iter()
            .filter(|text| !text.is_empty());
        let parts: alloc::vec::Vec<_> = known.map(alloc::string::String::as_str).collect();
        if parts.is_empty() {
            format!("{:?}", self.info.backend)
        } else {
            parts.join(", ")
        }
    }
}

/// Ask for the fastest adapter and a device with WebGPU's default limits, and buffers as large as `model` with such a cache needs
/// ([`Cache::of`] it unless told), where that is more than the defaults have. No kernel needs an optional feature; timestamps are asked for where they are to be had, to
/// [profile](super::GpuEngine::profile).
///
/// # Errors
/// [`EngineError::NoAdapter`] with the reason: there is none, or its buffers are too small for the model.
pub async fn request(
    instance: &wgpu::Instance,
    model: &Model,
    cache: Option<Cache>,
) -> Result<Adapter, EngineError> {
    let no_adapter = |reason| EngineError::NoAdapter {
        backend: "gpu",
        reason,
    };
    let options = wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        ..Default::default()
    };
    let adapter = instance
        .request_adapter(&options)
        .await
        .map_err(|error| no_adapter(error.to_string()))?;
    let cache = cache.unwrap_or_else(|| Cache::of(model));
    let needed = largest_binding(model.config(), cache, &Dtypes::of(model));
    let most = adapter.limits();
    let largest = most
        .max_storage_buffer_binding_size
        .min(most.max_buffer_size);
    if needed > largest {
        let reason = format!(
            "the model's largest tensor takes {needed} bytes, the adapter's limit is {largest}"
        );
        return Err(no_adapter(reason));
    }
    let mut limits = wgpu::Limits::defaults();
    limits.max_storage_buffer_binding_size = limits.max_storage_buffer_binding_size.max(needed);
    limits.max_buffer_size = limits.max_buffer_size.max(needed);
    let descriptor = wgpu::DeviceDescriptor {
        label: Some("pocketlm"),
        required_features: adapter.features() & wgpu::Features::TIMESTAMP_QUERY,
        required_limits: limits,
        ..Default::default()
    };
    let (device, queue) = adapter
        .request_device(&descriptor)
        .await
        .map_err(|error| no_adapter(error.to_string()))?;
    Ok(Adapter {
        info: adapter.get_info(),
        device,
        queue,
    })
}
