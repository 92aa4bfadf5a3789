//! The device, behind a wrapper that counts what is asked of it and that keeps its failures.
//!
//! All of the engine's calls go through here, so the counts are complete: a test reads them to hold the budget of dispatches, passes,
//! submissions and created objects a token. Errors that WebGPU reports out of band (no memory, lost device, refused commands) are
//! kept and returned by the next call that can fail; none panics.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::Cell;

use futures_channel::oneshot;
use once_cell::race::OnceBox;

use super::kernels::{Binding, Constants, Grid, Kernel};
use super::timer::Timer;
use crate::error::EngineError;

/// How often each thing was asked of the device since it was wrapped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Kernels dispatched.
    pub dispatches: u32,
    /// Compute passes begun.
    pub passes: u32,
    /// Command buffers submitted; each has an encoder of its own, which WebGPU makes single-use.
    pub submits: u32,
    /// Buffers, layouts, bind groups, shader modules and pipelines created.
    pub creations: u32,
}

/// What went wrong out of band.
enum Failure {
    Lost(String),
    Refused(String),
}

/// A device and its queue. A clone is the same device, with counts of its own.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    /// The first failure; those after it follow from it.
    failure: Arc<OnceBox<Failure>>,
    counts: Cell<Counts>,
}

/// What a dispatch is to be told of in a profile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    /// The kernel's.
    pub name: &'static str,
    /// Bytes of weights, cache and logits that it reads, each counted once.
    pub bytes: u64,
}

/// Dispatches being recorded.
pub(super) struct Pass<'a> {
    pub(super) recorder: Recorder<'a>,
    pub(super) dispatches: u32,
}

pub(super) enum Recorder<'a> {
    /// All in one compute pass.
    Together(Box<wgpu::ComputePass<'a>>),
    /// Each in a pass of its own, between two timestamps.
    Timed {
        encoder: &'a mut wgpu::CommandEncoder,
        timer: &'a Timer,
        works: &'a mut Vec<Work>,
    },
}

impl Pass<'_> {
    /// Record one kernel.
    pub fn dispatch(
        &mut self,
        work: Work,
        pipeline: &wgpu::ComputePipeline,
        group: &wgpu::BindGroup,
        [x, y, z]: Grid,
    ) {
        let record = |pass: &mut wgpu::ComputePass<'_>| {
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, group, &[]);
            pass.dispatch_workgroups(x, y, z);
        };
        match &mut self.recorder {
            Recorder::Together(pass) => record(pass),
            Recorder::Timed {
                encoder,
                timer,
                works,
            } => {
                record(&mut encoder.begin_compute_pass(&timer.around(works.len() as u32)));
                works.push(work);
            }
        }
        self.dispatches += 1;
    }
}

impl Context {
    /// Take the device over: its error callbacks are replaced.
    pub fn new(device: wgpu::Device, queue: wgpu::Queue) -> Self {
        let failure = Arc::new(OnceBox::new());
        // `set` fails where a failure is already kept: the first one counts.
        let keep = failure.clone();
        device.set_device_lost_callback(move |_, message| {
            drop(keep.set(Box::new(Failure::Lost(message))))
        });
        let keep = failure.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            drop(keep.set(Box::new(Failure::Refused(error.to_string()))));
        }));
        Self {
            device,
            queue,
            failure,
            counts: Cell::default(),
        }
    }

    /// Whether the adapter is a GPU or a CPU in disguise.
    pub fn device_type(&self) -> wgpu::DeviceType {
        self.device.adapter_info().device_type
    }

    /// The adapter's name and driver.
    pub fn adapter_info(&self) -> wgpu::AdapterInfo {
        self.device.adapter_info()
    }

    /// The largest buffer that a kernel can be given.
    pub fn largest_binding(&self) -> u64 {
        let limits = self.device.limits();
        limits
            .max_storage_buffer_binding_size
            .min(limits.max_buffer_size)
    }

    /// What was asked of the device so far.
    pub fn counts(&self) -> Counts {
        self.counts.get()
    }

    pub(super) fn count(&self, add: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.get();
        add(&mut counts);
        self.counts.set(counts);
    }

    /// The failure that was reported out of band, where there is one.
    pub fn check(&self, what: &'static str) -> Result<(), EngineError> {
        match self.failure.get() {
            None => Ok(()),
            Some(Failure::Lost(reason)) => Err(EngineError::DeviceLost {
                reason: reason.clone(),
            }),
            Some(Failure::Refused(reason)) => Err(EngineError::Gpu {
                what,
                reason: reason.clone(),
            }),
        }
    }

    /// `reason`, unless the device has reported something better.
    fn failed(&self, what: &'static str, reason: impl ToString) -> EngineError {
        self.check(what).err().unwrap_or_else(|| EngineError::Gpu {
            what,
            reason: reason.to_string(),
        })
    }

    // ---- creation, when loading --------------------------------------------------------------------------------------------

    /// Run `allocate`, which creates buffers of `needed_bytes` together, and wait for the device's word that it has the memory.
    pub async fn allocating<T>(
        &self,
        what: &'static str,
        needed_bytes: u64,
        allocate: impl FnOnce(&Self) -> T,
    ) -> Result<T, EngineError> {
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let made = allocate(self);
        let error = scope.pop();
        match error.await {
            Some(_) => Err(EngineError::OutOfMemory { what, needed_bytes }),
            None => self.check(what).map(|()| made),
        }
    }

    pub fn create_buffer(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
        self.count(|counts| counts.creations += 1);
        let descriptor = wgpu::BufferDescriptor {
            label: Some(label),
            size,
            usage,
            mapped_at_creation: false,
        };
        self.device.create_buffer(&descriptor)
    }

    /// A buffer of the size and for the uses of another.
    pub fn create_like(&self, buffer: &wgpu::Buffer) -> wgpu::Buffer {
        self.create_buffer("another session's", buffer.size(), buffer.usage())
    }

    pub fn create_bind_group_layout(&self, kernel: Kernel) -> wgpu::BindGroupLayout {
        self.count(|counts| counts.creations += 1);
        let entries: Vec<_> = (0..)
            .zip(kernel.bindings)
            .map(|(binding, use_of)| wgpu::BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: match use_of {
                        Binding::Uniform => wgpu::BufferBindingType::Uniform,
                        Binding::Read => wgpu::BufferBindingType::Storage { read_only: true },
                        Binding::Write => wgpu::BufferBindingType::Storage { read_only: false },
                    },
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            })
            .collect();
        let label = Some(kernel.name);
        self.device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label,
                entries: &entries,
            })
    }

    /// A bind group of whole buffers, at bindings 0, 1, …
    pub fn create_bind_group(
        &self,
        layout: &wgpu::BindGroupLayout,
        buffers: &[&wgpu::Buffer],
    ) -> wgpu::BindGroup {
        self.count(|counts| counts.creations += 1);
        let entries: Vec<_> = (0..)
            .zip(buffers)
            .map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding,
                resource: buffer.as_entire_binding(),
            })
            .collect();
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout,
            entries: &entries,
        })
    }

    /// Compile a kernel. In a browser this returns at once and the compiler works beside us; the first use waits for it.
    pub async fn create_pipeline(
        &self,
        kernel: Kernel,
        layout: &wgpu::BindGroupLayout,
        constants: &Constants,
    ) -> Result<wgpu::ComputePipeline, EngineError> {
        self.count(|counts| counts.creations += 3);
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let label = Some(kernel.name);
        let source = wgpu::ShaderSource::Wgsl(kernel.text().into());
        let module = self
            .device
            .create_shader_module(wgpu::ShaderModuleDescriptor { label, source });
        let bind_group_layouts = [Some(layout)];
        let layout = self
            .device
            .create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label,
                bind_group_layouts: &bind_group_layouts,
                immediate_size: 0,
            });
        let pipeline = self
            .device
            .create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label,
                layout: Some(&layout),
                module: &module,
                entry_point: Some(kernel.name),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants,
                    ..Default::default()
                },
                cache: None,
            });
        let error = scope.pop();
        match error.await {
            Some(error) => Err(EngineError::Gpu {
                what: kernel.name,
                reason: error.to_string(),
            }),
            None => Ok(pipeline),
        }
    }

    // ---- work --------------------------------------------------------------------------------------------------------------

    /// Write bytes into a buffer, before the next submission's commands.
    pub fn write(&self, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) {
        self.queue.write_buffer(buffer, offset, bytes);
    }

    /// Let the queue begin what was written so far, so that its staging memory can be used again.
    pub fn flush(&self) {
        self.queue.submit([]);
    }

    /// Record one pass, then the copies (source, destination, bytes; both from offset 0), and submit both as one.
    pub fn submit(
        &self,
        record: impl FnOnce(&mut Pass<'_>),
        copy: Option<(&wgpu::Buffer, &wgpu::Buffer, u64)>,
    ) {
        let mut encoder = self
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut pass = Pass {
            recorder: Recorder::Together(Box::new(
                encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()),
            )),
            dispatches: 0,
        };
        record(&mut pass);
        let dispatches = pass.dispatches;
        drop(pass);
        if let Some((source, destination, bytes)) = copy {
            encoder.copy_buffer_to_buffer(source, 0, destination, 0, bytes);
        }
        self.queue.submit([encoder.finish()]);
        self.count(|counts| {
            counts.dispatches += dispatches;
            counts.passes += 1;
            counts.submits += 1;
        });
    }

    /// Copy a buffer into one that can be mapped, outside any pass.
    pub fn copy(&self, source: &wgpu::Buffer, destination: &wgpu::Buffer, bytes: u64) {
        let mut encoder = self
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(source, 0, destination, 0, bytes);
        self.queue.submit([encoder.finish()]);
        self.count(|counts| counts.submits += 1);
    }

    /// Copy whole buffers, each of the first into the second of its size.
    pub fn copy_whole<'b>(
        &self,
        pairs: impl Iterator<Item = (&'b wgpu::Buffer, &'b wgpu::Buffer)>,
    ) {
        let mut encoder = self
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for (source, destination) in pairs {
            encoder.copy_buffer_to_buffer(source, 0, destination, 0, source.size());
        }
        self.queue.submit([encoder.finish()]);
        self.count(|counts| counts.submits += 1);
    }

    /// Wait until all submitted work is done.
    pub async fn finish(&self) -> Result<(), EngineError> {
        let (sender, receiver) = oneshot::channel();
        // Sending fails where nobody waits any more.
        self.queue.on_submitted_work_done(move || {
            let _ = sender.send(());
        });
        self.drive("wait")?;
        receiver
            .await
            .map_err(|_| self.failed("wait", "the queue dropped its callback"))?;
        self.check("run")
    }

    /// Wait for the submitted work, then give the first `bytes` of a mappable buffer to `read`.
    pub async fn read<T>(
        &self,
        buffer: &wgpu::Buffer,
        bytes: u64,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, EngineError> {
        let (sender, receiver) = oneshot::channel();
        buffer.map_async(wgpu::MapMode::Read, 0..bytes, move |result| {
            drop(sender.send(result))
        });
        self.drive("read back")?;
        match receiver.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(self.failed("read back", error)),
            Err(_) => {
                return Err(self.failed("read back", "the buffer was dropped while being mapped"));
            }
        }
        let value = match buffer.get_mapped_range(0..bytes) {
            Ok(view) => read(&view),
            Err(error) => return Err(self.failed("read back", error)),
        };
        buffer.unmap();
        self.check("run")?;
        Ok(value)
    }

    /// Run callbacks. Natively this waits for the queue; in a browser it does nothing, since the event loop runs them.
    fn drive(&self, what: &'static str) -> Result<(), EngineError> {
        self.device
            .poll(wgpu::PollType::wait_indefinitely())
            .map(drop)
            .map_err(|error| self.failed(what, error))
    }
}
