//! Keys or values of a layer, as a cache on the CPU keeps them.
#![allow(dead_code, reason = "each test file uses a part")]

use pocketlm_inference::cpu::ops::CacheMut;
use pocketlm_inference::format::Dtype;
use pocketlm_inference::{Cache, Weights};

use crate::stored;

pub const CACHES: [Cache; 2] = [Cache::F32, Cache::F16];

/// (G, S, D)
pub enum Kept {
    F32(Vec<f32>),
    F16(Vec<u16>),
}

impl Kept {
    /// These values; for f16 they are rounded, some way or other.
    pub fn of(values: &[f32], cache: Cache) -> Self {
        match cache {
            Cache::F32 => Self::F32(values.to_vec()),
            Cache::F16 => Self::F16(bytemuck::pod_collect_to_vec(&stored(values, Dtype::F16))),
        }
    }

    pub fn weights(&self) -> Weights<'_> {
        match self {
            Self::F32(values) => Weights::F32(values),
            Self::F16(bits) => Weights::F16(bits),
        }
    }

    pub fn writable(&mut self) -> CacheMut<'_> {
        match self {
            Self::F32(values) => CacheMut::F32(values),
            Self::F16(bits) => CacheMut::F16(bits),
        }
    }

    /// What it holds, widened.
    pub fn values(&self) -> Vec<f32> {
        let weights = self.weights();
        (0..weights.len()).map(|index| weights.get(index)).collect()
    }
}
