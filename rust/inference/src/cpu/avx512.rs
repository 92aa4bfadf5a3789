//! The matrix loop in AVX-512: sixteen weights at a time.

use core::arch::x86_64::*;
use core::mem::MaybeUninit;

use super::attend::{self, Scores};
use super::cache::Cached;
use super::columns::Columns;
use super::exp::silu_of;
use super::kernels::{Kernels, compile_kernels};
use super::quads;
use super::rows;
use super::softmax::Softmax;
use super::tiles::{Ahead, Quads, Rows, Sums, Tiling, tile};
use super::vector::{QUAD, Vector, Widened};
use crate::format::BLOCK;
use crate::weights::Weights;

/// Floats of a register.
const LANES: usize = 16;

/// With two vectors of tokens 24 sums, of 32 registers: each vector that is loaded is used twelve times, and each weight twice.
const ROWS: usize = 12;

compile_kernels!(
    "avx512f,avx2,fma,f16c",
    __m512,
    rows::products::<__m512>,
    1,
    2
);

impl Vector for __m512 {
    const LANES: usize = LANES;
    const SUMS: usize = 24;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the trait's.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the trait's.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> Self {
        // SAFETY: the trait's.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the trait's.
        unsafe { _mm512_storeu_ps(to, self) }
    }

    #[inline(always)]
    unsafe fn prefetch<T>(from: *const T) {
        // SAFETY: the trait's; an address that is nobody's is left alone.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) };
    }

    #[inline(always)]
    unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self {
        // SAFETY: the trait's.
        unsafe { _mm512_fmadd_ps(self, factor, sum) }
    }
}

impl Widened for __m512 {
    type Block = [Self; BLOCK / LANES];

    #[inline(always)]
    unsafe fn multiply(self, factor: Self) -> Self {
        // SAFETY: the trait's.
        unsafe { _mm512_mul_ps(self, factor) }
    }

    #[inline(always)]
    unsafe fn sums([a, b, c, d]: [Self; 4]) -> [f32; 4] {
        let mut sums = [0.0; 4];
        // SAFETY: the trait's; the array has room for four.
        unsafe {
            let ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
            let cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
            let low = _mm512_shuffle_ps::<0b01_00_01_00>(ab, cd);
            let high = _mm512_shuffle_ps::<0b11_10_11_10>(ab, cd);
            // Of each quarter of a register: a, b, c, d.
            let quarters = _mm512_add_ps(low, high);
            let upper = _mm512_castpd_ps(_mm512_castpd256_pd512(_mm512_extractf64x4_pd::<1>(
                _mm512_castps_pd(quarters),
            )));
            let halves = _mm512_castps512_ps256(_mm512_add_ps(quarters, upper));
            let high = _mm256_extractf128_ps::<1>(halves);
            let all = _mm_add_ps(_mm256_castps256_ps128(halves), high);
            _mm_storeu_ps(sums.as_mut_ptr(), all);
        }
        sums
    }

    #[inline(always)]
    unsafe fn transpose([a, b, c, d]: [Self; QUAD]) -> [Self; QUAD] {
        // SAFETY: the trait's.
        unsafe {
            let (ab, cd) = (_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d));
            let (ab_high, cd_high) = (_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d));
            [
                _mm512_shuffle_ps::<0b01_00_01_00>(ab, cd),
                _mm512_shuffle_ps::<0b11_10_11_10>(ab, cd),
                _mm512_shuffle_ps::<0b01_00_01_00>(ab_high, cd_high),
                _mm512_shuffle_ps::<0b11_10_11_10>(ab_high, cd_high),
            ]
        }
    }

    #[inline(always)]
    unsafe fn q8_0(quants: &[i8; BLOCK]) -> Self::Block {
        // SAFETY: the trait's; the array has the 32 bytes that are read.
        unsafe {
            let from = quants.as_ptr().cast::<__m128i>();
            [
                floats_of(_mm_loadu_si128(from)),
                floats_of(_mm_loadu_si128(from.add(1))),
            ]
        }
    }

    #[inline(always)]
    unsafe fn q4_0(quants: &[u8; BLOCK / 2]) -> Self::Block {
        const FLOATS: [f32; 16] = [
            -8.0, -7.0, -6.0, -5.0, -4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0,
        ];
        // SAFETY: the trait's; the array has the 16 bytes that are read.
        unsafe {
            let floats = _mm512_loadu_ps(FLOATS.as_ptr());
            let low = _mm512_cvtepu8_epi32(_mm_loadu_si128(quants.as_ptr().cast()));
            // Of an index the lowest four bits count.
            [
                _mm512_permutexvar_ps(low, floats),
                _mm512_permutexvar_ps(_mm512_srli_epi32::<4>(low), floats),
            ]
        }
    }
}

/// Sixteen signed bytes as floats.
///
/// # Safety
/// The processor has AVX-512.
#[inline(always)]
unsafe fn floats_of(bytes: __m128i) -> __m512 {
    // SAFETY: the caller's promise.
    unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)) }
}
