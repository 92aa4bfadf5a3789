//! Where timestamps are written and read back.

/// The timestamps of so many passes.
pub(super) struct Timer {
    pub queries: wgpu::QuerySet,
    pub resolved: wgpu::Buffer,
    pub readback: wgpu::Buffer,
}

impl Timer {
    /// The n-th pass, between two timestamps.
    pub fn around(&self, n: u32) -> wgpu::ComputePassDescriptor<'_> {
        wgpu::ComputePassDescriptor {
            label: None,
            timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                query_set: &self.queries,
                beginning_of_pass_write_index: Some(2 * n),
                end_of_pass_write_index: Some(2 * n + 1),
            }),
        }
    }
}
