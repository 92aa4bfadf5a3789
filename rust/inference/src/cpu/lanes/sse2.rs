//! SSE2, which every x86-64 processor has.

use core::arch::x86_64::*;

use super::WORDS;
use crate::format::BLOCK;

/// Instructions of SSE2, and loads and stores whose addresses are those of arrays of the registers' length.
macro_rules! sse2 {
    ($instructions:expr) => {
        // SAFETY: every x86-64 processor has SSE2; the arrays have the bytes that are read or written, which need no alignment.
        unsafe { $instructions }
    };
}

/// Four floats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floats(__m128);

/// Eight integers of 16 bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words(__m128i);

/// Four integers of 32 bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Integers(__m128i);

impl Floats {
    #[inline(always)]
    pub fn splat(value: f32) -> Self {
        Self(sse2!(_mm_set1_ps(value)))
    }

    #[inline(always)]
    pub fn load(values: &[f32; 4]) -> Self {
        Self(sse2!(_mm_loadu_ps(values.as_ptr())))
    }

    #[inline(always)]
    pub fn of_halves(bits: &[u16; 4]) -> Self {
        // As `Weight::widen` of u16.
        Self(sse2!({
            let bits = _mm_loadl_epi64(bits.as_ptr().cast());
            let bits = _mm_srai_epi32::<3>(_mm_unpacklo_epi16(_mm_setzero_si128(), bits));
            let moved = _mm_and_si128(bits, _mm_set1_epi32(0x8fff_ffff_u32 as i32));
            let factor = _mm_set1_ps(f32::from_bits((127 + 112) << 23));
            _mm_mul_ps(_mm_castsi128_ps(moved), factor)
        }))
    }

    #[inline(always)]
    pub fn store(self, values: &mut [f32; 4]) {
        sse2!(_mm_storeu_ps(values.as_mut_ptr(), self.0));
    }

    #[inline(always)]
    pub fn add(self, other: Self) -> Self {
        Self(sse2!(_mm_add_ps(self.0, other.0)))
    }

    #[inline(always)]
    pub fn mul(self, factor: Self) -> Self {
        Self(sse2!(_mm_mul_ps(self.0, factor.0)))
    }

    #[inline(always)]
    pub fn multiply_add(self, factor: Self, sum: Self) -> Self {
        self.mul(factor).add(sum)
    }

    #[inline(always)]
    pub fn sum(self) -> f32 {
        sse2!({
            let two = _mm_add_ps(self.0, _mm_movehl_ps(self.0, self.0));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        })
    }
}

impl Words {
    #[inline(always)]
    pub fn load_all(words: &[i16; BLOCK]) -> [Self; WORDS] {
        let parts = words.as_chunks::<8>().0;
        core::array::from_fn(|i| Self(sse2!(_mm_loadu_si128(parts[i].as_ptr().cast()))))
    }

    #[inline(always)]
    pub fn of_bytes(bytes: &[i8; BLOCK]) -> [Self; WORDS] {
        let parts = bytes.as_chunks::<8>().0;
        core::array::from_fn(|i| {
            Self(sse2!({
                let bytes = _mm_loadl_epi64(parts[i].as_ptr().cast());
                _mm_srai_epi16::<8>(_mm_unpacklo_epi8(bytes, bytes))
            }))
        })
    }

    #[inline(always)]
    pub fn of_nibbles(bytes: &[u8; BLOCK / 2]) -> [Self; WORDS] {
        let words = sse2!({
            let bytes = _mm_loadu_si128(bytes.as_ptr().cast());
            let low = _mm_set1_epi16(15);
            [
                _mm_and_si128(bytes, low),
                _mm_and_si128(_mm_srli_epi16::<4>(bytes), low),
                _mm_and_si128(_mm_srli_epi16::<8>(bytes), low),
                _mm_srli_epi16::<12>(bytes),
            ]
        });
        words.map(Self)
    }

    #[inline(always)]
    pub fn dot(self, other: Self) -> Integers {
        Integers(sse2!(_mm_madd_epi16(self.0, other.0)))
    }
}

impl Integers {
    #[inline(always)]
    pub fn add(self, other: Self) -> Self {
        Self(sse2!(_mm_add_epi32(self.0, other.0)))
    }

    #[inline(always)]
    pub fn floats(self) -> Floats {
        Floats(sse2!(_mm_cvtepi32_ps(self.0)))
    }
}
