//! Tiles in AVX-512: 64 tokens a tile.

use core::arch::x86_64::*;

use super::tiles::{ROWS as ROWS_OF_A_TILE, Rows, Sums, Tiling, Vector, tile};

pub(super) const TILING: Tiling = Tiling {
    rows: ROWS_OF_A_TILE,
    lanes: 16,
    tokens: 64,
    tile: products,
};

#[target_feature(enable = "avx512f")]
fn products(activations: &[f32], tokens: usize, rows: &Rows, sums: &mut Sums) {
    // SAFETY: this function is compiled for AVX-512, and so is what is inlined here.
    unsafe {
        match tokens {
            16 => tile::<__m512, ROWS_OF_A_TILE, 1>(activations, rows, sums),
            32 => tile::<__m512, ROWS_OF_A_TILE, 2>(activations, rows, sums),
            48 => tile::<__m512, ROWS_OF_A_TILE, 3>(activations, rows, sums),
            _ => tile::<__m512, ROWS_OF_A_TILE, 4>(activations, rows, sums),
        }
    }
}

impl Vector for __m512 {
    const LANES: usize = 16;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the trait's.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the trait's, and the caller's that 16 values lie there.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the trait's, and the caller's that there is room for 16 values.
        unsafe { _mm512_storeu_ps(to, self) }
    }

    #[inline(always)]
    unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self {
        // SAFETY: the trait's.
        unsafe { _mm512_fmadd_ps(self, factor, sum) }
    }
}
