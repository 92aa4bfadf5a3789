//! The matrix loop in AVX2 with FMA and F16C: eight weights at a time.

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
const LANES: usize = 8;

/// With two vectors of tokens 12 sums, of 16 registers.
const ROWS: usize = 6;

compile_kernels!("avx2,fma,f16c", __m256, rows::products::<__m256>, 1, 2);

impl Vector for __m256 {
    const LANES: usize = LANES;
    const SUMS: usize = 12;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the trait's.
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the trait's.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> Self {
        // SAFETY: the trait's.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the trait's.
        unsafe { _mm256_storeu_ps(to, self) }
    }

    #[inline(always)]
    unsafe fn prefetch<T>(from: *const T) {
        // SAFETY: the trait's; an address that is nobody's is left alone.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) };
    }

    #[inline(always)]
    unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self {
        // SAFETY: the trait's.
        unsafe { _mm256_fmadd_ps(self, factor, sum) }
    }
}

impl Widened for __m256 {
    type Block = [Self; BLOCK / LANES];

    #[inline(always)]
    unsafe fn multiply(self, factor: Self) -> Self {
        // SAFETY: the trait's.
        unsafe { _mm256_mul_ps(self, factor) }
    }

    #[inline(always)]
    unsafe fn sums([a, b, c, d]: [Self; 4]) -> [f32; 4] {
        let mut sums = [0.0; 4];
        // SAFETY: the trait's; the array has room for four.
        unsafe {
            // Of each half of a register: a, b, c, d.
            let halves = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
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
            let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
            let (ab_high, cd_high) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
            [
                _mm256_shuffle_ps::<0b01_00_01_00>(ab, cd),
                _mm256_shuffle_ps::<0b11_10_11_10>(ab, cd),
                _mm256_shuffle_ps::<0b01_00_01_00>(ab_high, cd_high),
                _mm256_shuffle_ps::<0b11_10_11_10>(ab_high, cd_high),
            ]
        }
    }

    #[inline(always)]
    unsafe fn q8_0(quants: &[i8; BLOCK]) -> Self::Block {
        // SAFETY: the trait's; the array has the bytes that are read.
        unsafe {
            let mut widened = [_mm256_setzero_ps(); BLOCK / LANES];
            for (widened, quants) in widened.iter_mut().zip(quants.as_chunks::<LANES>().0) {
                *widened = floats_of(_mm_loadl_epi64(quants.as_ptr().cast()));
            }
            widened
        }
    }

    #[inline(always)]
    unsafe fn q4_0(quants: &[u8; BLOCK / 2]) -> Self::Block {
        // SAFETY: the trait's; the array has the 16 bytes that are read.
        unsafe {
            let bytes = _mm_loadu_si128(quants.as_ptr().cast());
            let (low_half, eight) = (_mm_set1_epi8(15), _mm_set1_epi8(8));
            let low = _mm_sub_epi8(_mm_and_si128(bytes, low_half), eight);
            let high = _mm_and_si128(_mm_srli_epi16::<4>(bytes), low_half);
            let high = _mm_sub_epi8(high, eight);
            [
                floats_of(low),
                floats_of(_mm_srli_si128::<8>(low)),
                floats_of(high),
                floats_of(_mm_srli_si128::<8>(high)),
            ]
        }
    }
}

/// Eight signed bytes, in the low half of a register, as floats.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn floats_of(bytes: __m128i) -> __m256 {
    // SAFETY: the caller's promise.
    unsafe { _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)) }
}
