//! NEON, which every aarch64 processor has.

use core::arch::aarch64::*;
use core::arch::asm;

use super::WORDS;
use crate::format::BLOCK;

/// Instructions of NEON, and loads and stores whose addresses are those of arrays of the registers' length.
macro_rules! neon {
    ($instructions:expr) => {
        // SAFETY: every aarch64 processor has NEON; the arrays have the bytes that are read or written, which need no alignment.
        unsafe { $instructions }
    };
}

/// Four floats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floats(float32x4_t);

/// Eight integers of 16 bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words(int16x8_t);

/// Four integers of 32 bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Integers(int32x4_t);

/// Binary16 values, widened exactly, by an instruction that widens four of them. (The library's functions for it came with Rust 1.94,
/// later than what this crate asks for.)
macro_rules! widen_halves {
    ($instruction:literal, $halves:expr) => {{
        let widened: float32x4_t;
        // SAFETY: every aarch64 processor has the instruction, which reads one register and writes another.
        unsafe {
            asm!(
                $instruction,
                widened = out(vreg) widened,
                halves = in(vreg) $halves,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        widened
    }};
}

/// The first four halves as floats, and the last four.
#[inline(always)]
pub(in crate::cpu) fn widen_eight(halves: uint16x8_t) -> (float32x4_t, float32x4_t) {
    (
        widen_halves!("fcvtl {widened:v}.4s, {halves:v}.4h", halves),
        widen_halves!("fcvtl2 {widened:v}.4s, {halves:v}.8h", halves),
    )
}

/// The low and the high halves of a block's bytes, unsigned: the first sixteen weights, and the others.
#[inline(always)]
pub(in crate::cpu) fn halves_of(quants: &[u8; BLOCK / 2]) -> (int8x16_t, int8x16_t) {
    neon!({
        let bytes = vld1q_u8(quants.as_ptr());
        let (low, high) = (vandq_u8(bytes, vdupq_n_u8(15)), vshrq_n_u8::<4>(bytes));
        (vreinterpretq_s8_u8(low), vreinterpretq_s8_u8(high))
    })
}

impl Floats {
    #[inline(always)]
    pub fn splat(value: f32) -> Self {
        Self(neon!(vdupq_n_f32(value)))
    }

    #[inline(always)]
    pub fn load(values: &[f32; 4]) -> Self {
        Self(neon!(vld1q_f32(values.as_ptr())))
    }

    #[inline(always)]
    pub fn of_halves(bits: &[u16; 4]) -> Self {
        let halves = neon!(vld1_u16(bits.as_ptr()));
        Self(widen_halves!("fcvtl {widened:v}.4s, {halves:v}.4h", halves))
    }

    /// Four integers as floats.
    #[inline(always)]
    pub fn of_integers(values: int32x4_t) -> Self {
        Self(neon!(vcvtq_f32_s32(values)))
    }

    #[inline(always)]
    pub fn store(self, values: &mut [f32; 4]) {
        neon!(vst1q_f32(values.as_mut_ptr(), self.0));
    }

    #[inline(always)]
    pub fn add(self, other: Self) -> Self {
        Self(neon!(vaddq_f32(self.0, other.0)))
    }

    #[inline(always)]
    pub fn mul(self, factor: Self) -> Self {
        Self(neon!(vmulq_f32(self.0, factor.0)))
    }

    #[inline(always)]
    pub fn multiply_add(self, factor: Self, sum: Self) -> Self {
        Self(neon!(vfmaq_f32(sum.0, self.0, factor.0)))
    }

    #[inline(always)]
    pub fn sum(self) -> f32 {
        neon!({
            let two = vadd_f32(vget_low_f32(self.0), vget_high_f32(self.0));
            vget_lane_f32::<0>(two) + vget_lane_f32::<1>(two)
        })
    }
}

impl Words {
    #[inline(always)]
    pub fn load_all(words: &[i16; BLOCK]) -> [Self; WORDS] {
        let parts = words.as_chunks::<8>().0;
        core::array::from_fn(|i| Self(neon!(vld1q_s16(parts[i].as_ptr()))))
    }

    #[inline(always)]
    pub fn of_bytes(bytes: &[i8; BLOCK]) -> [Self; WORDS] {
        let parts = bytes.as_chunks::<8>().0;
        core::array::from_fn(|i| Self(neon!(vmovl_s8(vld1_s8(parts[i].as_ptr())))))
    }

    #[inline(always)]
    pub fn of_nibbles(bytes: &[u8; BLOCK / 2]) -> [Self; WORDS] {
        let words = neon!({
            let bytes = vreinterpretq_u16_u8(vld1q_u8(bytes.as_ptr()));
            let low = vdupq_n_u16(15);
            [
                vandq_u16(bytes, low),
                vandq_u16(vshrq_n_u16::<4>(bytes), low),
                vandq_u16(vshrq_n_u16::<8>(bytes), low),
                vshrq_n_u16::<12>(bytes),
            ]
        });
        words.map(|words| Self(neon!(vreinterpretq_s16_u16(words))))
    }

    #[inline(always)]
    pub fn dot(self, other: Self) -> Integers {
        Integers(neon!({
            let low = vmull_s16(vget_low_s16(self.0), vget_low_s16(other.0));
            vpaddq_s32(low, vmull_high_s16(self.0, other.0))
        }))
    }
}

impl Integers {
    #[inline(always)]
    pub fn add(self, other: Self) -> Self {
        Self(neon!(vaddq_s32(self.0, other.0)))
    }

    #[inline(always)]
    pub fn floats(self) -> Floats {
        Floats::of_integers(self.0)
    }
}
