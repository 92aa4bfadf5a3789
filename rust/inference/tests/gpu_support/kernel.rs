//! Runs one kernel alone, outside the engine.
#![allow(dead_code, reason = "each test file uses a part of it")]

use pocketlm_inference::format::Dtype;
use pocketlm_inference::gpu::{Binding, Constants, KERNELS, Tuning, constants};
use pocketlm_inference::{Cache, Config};
use pollster::block_on;

use crate::gpu_support::INSTALL;

/// A device, and how its kind of adapter is served.
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    pub tuning: Tuning,
}

impl Gpu {
    pub fn new() -> Self {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let adapter = block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()))
            .unwrap_or_else(|error| {
                panic!("{error}. On Debian, install a software driver: {INSTALL}")
            });
        let (device, queue) =
            block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).unwrap();
        Self {
            device,
            queue,
            tuning: Tuning::new(adapter.get_info().device_type),
        }
    }

    /// Dispatch a kernel once over buffers with these contents; returns the contents of all afterwards.
    pub fn run(
        &self,
        name: &str,
        constants: &Constants,
        contents: &[&[u8]],
        grid: [u32; 3],
    ) -> Vec<Vec<u8>> {
        let kernel = KERNELS
            .iter()
            .copied()
            .find(|kernel| kernel.name == name)
            .expect("a kernel of this name");
        let kernel = if constants.iter().any(|(name, _)| *name == "ROW_THREADS") {
            kernel.tiled().expect("a kernel that multiplies by weights")
        } else {
            kernel
        };
        let module = self
            .device
            .create_shader_module(wgpu::ShaderModuleDescriptor {
                label: Some(name),
                source: wgpu::ShaderSource::Wgsl(kernel.text().into()),
            });
        let pipeline = self
            .device
            .create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(name),
                layout: None,
                module: &module,
                entry_point: Some(name),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants,
                    ..Default::default()
                },
                cache: None,
            });
        let buffers: Vec<wgpu::Buffer> = kernel
            .bindings
            .iter()
            .zip(contents)
            .map(|(binding, bytes)| {
                let usage = match binding {
                    Binding::Uniform => wgpu::BufferUsages::UNIFORM,
                    Binding::Read | Binding::Write => wgpu::BufferUsages::STORAGE,
                };
                let usage = usage | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
                let size = bytes.len() as u64;
                let descriptor = wgpu::BufferDescriptor {
                    label: None,
                    size,
                    usage,
                    mapped_at_creation: false,
                };
                let buffer = self.device.create_buffer(&descriptor);
                self.queue.write_buffer(&buffer, 0, bytes);
                buffer
            })
            .collect();
        let entries: Vec<_> = (0..)
            .zip(&buffers)
            .map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding,
                resource: buffer.as_entire_binding(),
            })
            .collect();
        let layout = &pipeline.get_bind_group_layout(0);
        let group = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout,
            entries: &entries,
        });
        let mut encoder = self.device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(grid[0], grid[1], grid[2]);
        drop(pass);
        self.queue.submit([encoder.finish()]);
        buffers.iter().map(|buffer| self.read(buffer)).collect()
    }

    fn read(&self, buffer: &wgpu::Buffer) -> Vec<u8> {
        let size = buffer.size();
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let descriptor = wgpu::BufferDescriptor {
            label: None,
            size,
            usage,
            mapped_at_creation: false,
        };
        let mappable = self.device.create_buffer(&descriptor);
        let mut encoder = self.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &mappable, 0, size);
        self.queue.submit([encoder.finish()]);
        mappable.map_async(wgpu::MapMode::Read, .., |result| result.expect("mapped"));
        self.device
            .poll(wgpu::PollType::wait_indefinitely())
            .unwrap();
        mappable.get_mapped_range(..).unwrap().to_vec()
    }

    /// The constants and the grid of a kernel that multiplies by weights: `matvec.wgsl`'s for a few tokens, `matmul.wgsl`'s for many.
    pub fn products(
        &self,
        config: &Config,
        cache: Cache,
        pairs: u32,
        tokens: u32,
    ) -> (Constants, [u32; 3]) {
        let (split, tiling) = (self.tuning.split(pairs), self.tuning.tiling());
        let mut constants = constants(config, cache, Dtype::F32);
        let (own, tile) = if tokens < 8 {
            let tile = if tokens == 1 { 1 } else { 4 };
            let own = [
                ("WORKGROUP", split.workgroup),
                ("LANES", split.lanes),
                ("TILE", tile),
            ];
            (own, [split.workgroup / split.lanes, tile])
        } else {
            let own = [
                ("WORKGROUP", tiling.workgroup),
                ("ROW_THREADS", tiling.row_threads),
                ("QUADS", tiling.quads),
            ];
            (own, [tiling.rows() / 2, tiling.tokens()])
        };
        constants.extend(own.map(|(name, value)| (name, f64::from(value))));
        (
            constants,
            [pairs.div_ceil(tile[0]), 1, tokens.div_ceil(tile[1])],
        )
    }
}
