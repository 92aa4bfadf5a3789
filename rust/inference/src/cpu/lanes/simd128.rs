//! WebAssembly's SIMD128; where the module may use relaxed SIMD, a product is added without being rounded between.

use core::arch::wasm32::*;

use super::WORDS;
use crate::format::BLOCK;

/// Four floats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floats(v128);

/// Eight integers of 16 bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words(v128);

/// Four integers of 32 bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Integers(v128);

impl Floats {
    #[inline(always)]
    pub fn splat(value: f32) -> Self {
        Self(f32x4_splat(value))
    }

    #[inline(always)]
    pub fn load(values: &[f32; 4]) -> Self {
        // SAFETY: the array has the 16 bytes that are read, and the load asks for no alignment.
        Self(unsafe { v128_load(values.as_ptr().cast()) })
    }

    #[inline(always)]
    pub fn of_halves(bits: &[u16; 4]) -> Self {
        // SAFETY: the array has the 8 bytes that are read, and the load asks for no alignment.
        let bits = unsafe { i32x4_load_extend_i16x4(bits.as_ptr().cast()) };
        // As `Weight::widen` of u16.
        let moved = v128_and(i32x4_shl(bits, 13), u32x4_splat(0x8fff_ffff));
        Self(f32x4_mul(moved, u32x4_splat((127 + 112) << 23)))
    }

    #[inline(always)]
    pub fn store(self, values: &mut [f32; 4]) {
        // SAFETY: the array has the 16 bytes that are written, and the store asks for no alignment.
        unsafe { v128_store(values.as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    pub fn add(self, other: Self) -> Self {
        Self(f32x4_add(self.0, other.0))
    }

    #[inline(always)]
    pub fn mul(self, factor: Self) -> Self {
        Self(f32x4_mul(self.0, factor.0))
    }

    #[inline(always)]
    pub fn multiply_add(self, factor: Self, sum: Self) -> Self {
        #[cfg(target_feature = "relaxed-simd")]
        return Self(f32x4_relaxed_madd(self.0, factor.0, sum.0));
        #[cfg(not(target_feature = "relaxed-simd"))]
        self.mul(factor).add(sum)
    }

    #[inline(always)]
    pub fn sum(self) -> f32 {
        let two = f32x4_add(self.0, i32x4_shuffle::<2, 3, 0, 1>(self.0, self.0));
        f32x4_extract_lane::<0>(two) + f32x4_extract_lane::<1>(two)
    }
}

impl Words {
    #[inline(always)]
    pub fn load_all(words: &[i16; BLOCK]) -> [Self; WORDS] {
        let parts = words.as_chunks::<8>().0;
        // SAFETY: each part has the 16 bytes that are read, and the load asks for no alignment.
        core::array::from_fn(|i| Self(unsafe { v128_load(parts[i].as_ptr().cast()) }))
    }

    #[inline(always)]
    pub fn of_bytes(bytes: &[i8; BLOCK]) -> [Self; WORDS] {
        let parts = bytes.as_chunks::<8>().0;
        // SAFETY: each part has the 8 bytes that are read, and the load asks for no alignment.
        core::array::from_fn(|i| Self(unsafe { i16x8_load_extend_i8x8(parts[i].as_ptr()) }))
    }

    #[inline(always)]
    pub fn of_nibbles(bytes: &[u8; BLOCK / 2]) -> [Self; WORDS] {
        // SAFETY: the array has the 16 bytes that are read, and the load asks for no alignment.
        let bytes = unsafe { v128_load(bytes.as_ptr().cast()) };
        let low = u16x8_splat(15);
        [
            Self(v128_and(bytes, low)),
            Self(v128_and(u16x8_shr(bytes, 4), low)),
            Self(v128_and(u16x8_shr(bytes, 8), low)),
            Self(u16x8_shr(bytes, 12)),
        ]
    }

    #[inline(always)]
    pub fn dot(self, other: Self) -> Integers {
        Integers(i32x4_dot_i16x8(self.0, other.0))
    }
}

impl Integers {
    #[inline(always)]
    pub fn add(self, other: Self) -> Self {
        Self(i32x4_add(self.0, other.0))
    }

    #[inline(always)]
    pub fn floats(self) -> Floats {
        Floats(f32x4_convert_i32x4(self.0))
    }
}
