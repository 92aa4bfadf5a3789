//! Products of blocks by aarch64's dot products of bytes: sixteen multiplications an instruction.
//!
//! An activation of 16 bits is two bytes, 256 · high + low, both signed, so that nothing more is rounded than where words are
//! multiplied: four instructions for a block's products, where llama.cpp, which rounds activations to 8 bits, has two.

use core::arch::aarch64::*;
use core::arch::asm;

use super::integers::{Dots, Packed};
use super::lanes::{Floats, halves_of};
use crate::format::BLOCK;

/// Dot products of bytes (`sdot`).
pub(super) struct Sdot;

/// The high bytes of a block's activations, and the low ones: of the first sixteen, and of the others.
#[derive(Clone, Copy)]
pub(super) struct Bytes {
    high: [int8x16_t; 2],
    low: [int8x16_t; 2],
}

impl Dots for Sdot {
    /// 127 · 256 + 127: the largest whose high byte is one.
    const LARGEST: i16 = 32_639;
    type Words = Bytes;

    #[inline(always)]
    fn arrange<Q: Packed>(words: [i16; BLOCK]) -> [i16; BLOCK] {
        let mut bytes = [0; 2 * BLOCK];
        let (high, low) = bytes.split_at_mut(BLOCK);
        for ((high, low), word) in high.iter_mut().zip(low).zip(words) {
            *low = word as i8;
            *high = ((word - i16::from(*low)) >> 8) as i8;
        }
        bytemuck::cast(bytes)
    }

    #[inline(always)]
    unsafe fn load(words: &[i16; BLOCK]) -> Bytes {
        let bytes: *const i8 = words.as_ptr().cast();
        // SAFETY: the trait's; the words are 64 bytes.
        unsafe {
            Bytes {
                high: [vld1q_s8(bytes), vld1q_s8(bytes.add(16))],
                low: [vld1q_s8(bytes.add(32)), vld1q_s8(bytes.add(48))],
            }
        }
    }

    #[inline(always)]
    unsafe fn q8_0(quants: &[i8; BLOCK], x: Bytes) -> Floats {
        // SAFETY: the trait's; the array has the bytes that are read.
        unsafe {
            let first = vld1q_s8(quants.as_ptr());
            let last = vld1q_s8(quants.as_ptr().add(BLOCK / 2));
            products(first, last, x)
        }
    }

    #[inline(always)]
    unsafe fn q4_0(quants: &[u8; BLOCK / 2], x: Bytes) -> Floats {
        // SAFETY: the trait's.
        unsafe {
            let (low, high) = halves_of(quants);
            products(low, high, x)
        }
    }
}

/// The products of the first sixteen quants and of the others with a block's activations: those with the high bytes count 256 times.
///
/// # Safety
/// The processor has `dotprod`.
#[inline(always)]
unsafe fn products(first: int8x16_t, last: int8x16_t, x: Bytes) -> Floats {
    // SAFETY: the caller's promise.
    unsafe {
        let sum = sdot(vdupq_n_s32(0), first, x.high[0]);
        let sum = vshlq_n_s32::<8>(sdot(sum, last, x.high[1]));
        let sum = sdot(sum, first, x.low[0]);
        Floats::of_integers(sdot(sum, last, x.low[1]))
    }
}

/// Add the products of each four neighbouring bytes to a lane of `sum`.
///
/// # Safety
/// The processor has `dotprod`.
#[inline(always)]
unsafe fn sdot(mut sum: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // The library has it for nightly compilers alone (rust-lang/rust#117224).
    // SAFETY: the caller's promise; the instruction reads three registers and writes one of them.
    unsafe {
        asm!(
            "sdot {sum:v}.4s, {a:v}.16b, {b:v}.16b",
            sum = inout(vreg) sum,
            a = in(vreg) a,
            b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}
