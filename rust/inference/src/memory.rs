//! Large buffers: an error with the size where there is no memory for them, not an abort.

use alloc::vec::Vec;

use crate::error::EngineError;

/// The product of sizes, or an error where so many floats do not fit the address space.
pub(crate) fn product(what: &'static str, sizes: &[usize]) -> Result<usize, EngineError> {
    let bytes = sizes.iter().map(|size| *size as u64).product::<u64>() * size_of::<f32>() as u64;
    let len = usize::try_from(bytes).map_err(|_| EngineError::OutOfMemory {
        what,
        needed_bytes: bytes,
    })?;
    Ok(len / size_of::<f32>())
}

/// An empty vector with room for `len` floats, or an error instead of an abort.
pub(crate) fn with_capacity(what: &'static str, len: usize) -> Result<Vec<f32>, EngineError> {
    let mut vec = Vec::new();
    vec.try_reserve_exact(len)
        .map_err(|_| EngineError::OutOfMemory {
            what,
            needed_bytes: len as u64 * size_of::<f32>() as u64,
        })?;
    Ok(vec)
}

/// A vector of `len` zeros, or an error instead of an abort. The zeros are the allocator's: a cache costs memory only where it is used.
pub(crate) fn zeros<T: bytemuck::Zeroable>(
    what: &'static str,
    len: usize,
) -> Result<Vec<T>, EngineError> {
    bytemuck::allocation::try_zeroed_vec(len).map_err(|()| EngineError::OutOfMemory {
        what,
        needed_bytes: len as u64 * size_of::<T>() as u64,
    })
}
