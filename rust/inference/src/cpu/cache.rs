//! Keys and values as the CPU keeps them: one after another, in f32 or in f16.

use alloc::vec::Vec;
use core::ops::Range;

use super::kernels::{Attend, Kernels};
use super::vector::Load;
use crate::cache::{Cache, narrow};
use crate::error::EngineError;
use crate::memory::zeros;
use crate::weights::Weights;

/// Keys or values of a layer that some are to be written to: (G, S, D).
#[derive(Debug)]
pub enum CacheMut<'a> {
    /// IEEE binary32.
    F32(&'a mut [f32]),
    /// IEEE binary16, as bits.
    F16(&'a mut [u16]),
}

impl CacheMut<'_> {
    /// How many numbers there are.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F16(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Write `row`, rounded where it must be, from `at` on.
    pub(super) fn write(&mut self, at: usize, row: &[f32]) {
        match self {
            Self::F32(values) => values[at..at + row.len()].copy_from_slice(row),
            Self::F16(values) => {
                for (to, value) in values[at..at + row.len()].iter_mut().zip(row) {
                    *to = narrow(*value);
                }
            }
        }
    }
}

/// Keys or values of all layers: (L, G, S, D).
pub(super) enum Stored {
    F32(Vec<f32>),
    F16(Vec<u16>),
}

impl Stored {
    /// Zeros.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`].
    pub fn new(cache: Cache, len: usize) -> Result<Self, EngineError> {
        Ok(match cache {
            Cache::F32 => Self::F32(zeros("KV cache", len)?),
            Cache::F16 => Self::F16(zeros("KV cache", len)?),
        })
    }

    pub fn cache(&self) -> Cache {
        match self {
            Self::F32(_) => Cache::F32,
            Self::F16(_) => Cache::F16,
        }
    }

    pub fn part(&self, part: Range<usize>) -> Weights<'_> {
        match self {
            Self::F32(values) => Weights::F32(&values[part]),
            Self::F16(values) => Weights::F16(&values[part]),
        }
    }

    pub fn part_mut(&mut self, part: Range<usize>) -> CacheMut<'_> {
        match self {
            Self::F32(values) => CacheMut::F32(&mut values[part]),
            Self::F16(values) => CacheMut::F16(&mut values[part]),
        }
    }

    /// Copy the first `used` numbers of each head, which has `of_a_head`, from a cache of the same kind and size.
    pub fn copy_used(&mut self, from: &Self, of_a_head: usize, used: usize) {
        fn copy<C: Copy>(to: &mut [C], from: &[C], of_a_head: usize, used: usize) {
            let heads = to.chunks_exact_mut(of_a_head);
            for (to, from) in heads.zip(from.chunks_exact(of_a_head)) {
                to[..used].copy_from_slice(&from[..used]);
            }
        }
        match (self, from) {
            (Self::F32(to), Self::F32(from)) => copy(to, from, of_a_head, used),
            (Self::F16(to), Self::F16(from)) => copy(to, from, of_a_head, used),
            _ => unreachable!("a fork's cache is of its engine's kind"),
        }
    }
}

/// A number as the cache holds it.
pub(super) trait Cached: Load + Sync {
    /// As a matrix that queries are multiplied by.
    fn weights(values: &[Self]) -> Weights<'_>;
    /// The values where they are f32 as they lie.
    fn as_f32(values: &[Self]) -> Option<&[f32]>;
    /// The loop over a cache of this kind.
    fn attend(kernels: &Kernels) -> Attend<Self>;
}

impl Cached for f32 {
    fn weights(values: &[Self]) -> Weights<'_> {
        Weights::F32(values)
    }

    fn as_f32(values: &[Self]) -> Option<&[f32]> {
        Some(values)
    }

    fn attend(kernels: &Kernels) -> Attend<Self> {
        kernels.attend
    }
}

impl Cached for u16 {
    fn weights(values: &[Self]) -> Weights<'_> {
        Weights::F16(values)
    }

    fn as_f32(_: &[Self]) -> Option<&[f32]> {
        None
    }

    fn attend(kernels: &Kernels) -> Attend<Self> {
        kernels.attend_f16
    }
}
