//! How rows, keys and values lie in GPU memory.
#![allow(dead_code, reason = "each test file uses a part of it")]

use pocketlm_inference::Cache;
use pocketlm_inference::format::Dtype;

use crate::cached::Kept;
use crate::gpu_support::assert_close;
use crate::stored;

/// Rows of f32 values, each padded to whole vec4s.
pub fn padded(values: &[f32], width: u32) -> Vec<u8> {
    let stride = width.next_multiple_of(4) as usize;
    let rows = values.chunks_exact(width as usize).flat_map(|row| {
        let mut row = row.to_vec();
        row.resize(stride, 0.0);
        row
    });
    rows.flat_map(f32::to_le_bytes).collect()
}

/// The inverse of [`padded`].
pub fn unpadded(bytes: &[u8], width: u32) -> Vec<f32> {
    let stride = width.next_multiple_of(4) as usize;
    let values: Vec<f32> = bytemuck::pod_collect_to_vec(bytes);
    values
        .chunks_exact(stride)
        .flat_map(|row| row[..width as usize].to_vec())
        .collect()
}

/// Keys or values as the kernels have them: a head's halves, each padded; in f16 a word is a pair of both.
pub fn cached(values: &[f32], cache: Cache, d_head: u32) -> Vec<u8> {
    let half = d_head as usize / 2;
    match cache {
        Cache::F32 => padded(values, d_head / 2),
        Cache::F16 => {
            let heads = values.chunks_exact(2 * half).flat_map(|head| {
                let bits = stored(head, Dtype::F16);
                let (low, high) = bits.split_at(2 * half);
                let pairs = low.chunks_exact(2).zip(high.chunks_exact(2));
                let mut words: Vec<[u8; 4]> = pairs
                    .map(|(low, high)| [low[0], low[1], high[0], high[1]])
                    .collect();
                words.resize(half.next_multiple_of(4), [0; 4]);
                words
            });
            heads.flatten().collect()
        }
    }
}

/// The inverse of [`cached`] for f16, widened.
fn uncached(bytes: &[u8], d_head: u32) -> Vec<f32> {
    let half = d_head as usize / 2;
    let pairs: Vec<[u16; 2]> = bytemuck::pod_collect_to_vec(bytes);
    let halves = pairs
        .chunks_exact(half.next_multiple_of(4))
        .flat_map(|pairs| [0, 1].map(|which| pairs[..half].iter().map(move |pair| pair[which])));
    Kept::F16(halves.flatten().collect()).values()
}

/// Compare a cache that a kernel wrote with the CPU twin's; numbers in f16 may lie on either side of where a rounding changes.
pub fn assert_cached(op: &str, bytes: &[u8], d_head: u32, expected: &Kept, tolerance: f32) {
    let values = expected.values();
    let largest = values.iter().fold(0.0f32, |a, b| a.max(b.abs()));
    let (got, tolerance) = match expected {
        Kept::F32(_) => (unpadded(bytes, d_head / 2), tolerance),
        Kept::F16(_) => (uncached(bytes, d_head), largest / 1024.0),
    };
    assert_close(op, &got, &values, tolerance);
}
