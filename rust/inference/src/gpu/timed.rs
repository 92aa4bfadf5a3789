//! Kernels between timestamps: how long they take by the device's own clock.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::context::{Context, Pass, Recorder, Work};
use super::timer::Timer;
use crate::error::EngineError;

impl Context {
    /// Room for the timestamps of so many dispatches.
    pub fn timer(&self, dispatches: u32) -> Result<Timer, EngineError> {
        let feature = wgpu::Features::TIMESTAMP_QUERY;
        if !self.device.features().contains(feature) {
            let adapter = self.adapter_info().name;
            return Err(EngineError::NoTimestamps { adapter });
        }
        use wgpu::BufferUsages as Usage;
        let count = 2 * dispatches;
        let bytes = u64::from(count) * 8;
        let resolving = Usage::QUERY_RESOLVE | Usage::COPY_SRC;
        self.count(|counts| counts.creations += 1);
        Ok(Timer {
            queries: self.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("profile"),
                ty: wgpu::QueryType::Timestamp,
                count,
            }),
            resolved: self.create_buffer("timestamps", bytes, resolving),
            readback: self.create_buffer("profile", bytes, Usage::MAP_READ | Usage::COPY_DST),
        })
    }

    /// Record dispatches, each in a pass of its own, run them, and return each one's time in nanoseconds.
    pub async fn timed(
        &self,
        timer: &Timer,
        record: impl FnOnce(&mut Pass<'_>),
    ) -> Result<Vec<(Work, f64)>, EngineError> {
        let mut encoder = self
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut works = Vec::new();
        record(&mut Pass {
            recorder: Recorder::Timed {
                encoder: &mut encoder,
                timer,
                works: &mut works,
            },
            dispatches: 0,
        });
        let times = self.times(timer, encoder, works.len() as u32).await?;
        Ok(works.into_iter().zip(times).collect())
    }

    /// Record passes, run them, and return each one's time in nanoseconds.
    pub async fn timed_passes(
        &self,
        timer: &Timer,
        passes: impl Iterator<Item = impl FnOnce(&mut Pass<'_>)>,
    ) -> Result<Vec<f64>, EngineError> {
        let mut encoder = self
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut count = 0;
        for record in passes {
            let pass = encoder.begin_compute_pass(&timer.around(count));
            record(&mut Pass {
                recorder: Recorder::Together(Box::new(pass)),
                dispatches: 0,
            });
            count += 1;
        }
        self.times(timer, encoder, count).await
    }

    /// Submit so many timed passes, and return each one's time in nanoseconds.
    async fn times(
        &self,
        timer: &Timer,
        mut encoder: wgpu::CommandEncoder,
        count: u32,
    ) -> Result<Vec<f64>, EngineError> {
        let bytes = u64::from(count) * 16;
        encoder.resolve_query_set(&timer.queries, 0..2 * count, &timer.resolved, 0);
        encoder.copy_buffer_to_buffer(&timer.resolved, 0, &timer.readback, 0, bytes);
        self.queue.submit([encoder.finish()]);
        self.count(|counts| {
            counts.dispatches += count;
            counts.passes += count;
            counts.submits += 1;
        });
        let period = f64::from(self.queue.get_timestamp_period());
        let times = |bytes: &[u8]| -> Vec<f64> {
            let ticks: &[[u64; 2]] = bytemuck::cast_slice(bytes);
            // A clock that is set while a kernel runs may go back.
            let took = |[begin, end]: &[u64; 2]| end.saturating_sub(*begin) as f64 * period;
            ticks.iter().map(took).collect()
        };
        self.read(&timer.readback, bytes, times).await
    }
}
