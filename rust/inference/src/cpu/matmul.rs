//! Products of activations with stored weights: the choice of instructions.

use super::columns::Columns;
use super::isa::{Isa, Kind};
use super::portable;
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};
use crate::weights::Weights;

/// `out = x · wᵀ`, whatever the dtype. x: (T, K); w: (N, K); out: (T, N), written. Each weight is read once.
///
/// What an operation does with the products it does in a second pass over them, which costs next to nothing beside K
/// multiplications each: so the loops are compiled once a dtype, not once more for each operation.
pub(super) fn matmul(isa: Isa, x: &[f32], w: Weights<'_>, k: usize, out: &mut [f32]) {
    let n_rows = w.len() / k;
    assert_eq!(x.len() / k * n_rows, out.len());
    let out = &mut Columns::all(out, n_rows);
    match isa.0 {
        Kind::Portable => portable::matmul(x, w, k, out),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: whoever made the Isa promised that the processor has these instructions.
        Kind::Avx2 => unsafe { avx2::matmul(avx2::TILING, x, w, k, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Kind::Avx512 => unsafe { avx2::matmul(avx512::TILING, x, w, k, out) },
    }
}
