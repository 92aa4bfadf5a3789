//! The matrix loop in NEON, which every aarch64 processor has: eight weights at a time, in two registers.
//!
//! Two, since a row alone has one vector of sums (`rows`), and an addition takes as long as four of them may begin. A single token
//! meets q8_0 and q4_0 in integers (`integers`): to widen a quant to a float takes as long as to multiply it.

use core::arch::aarch64::*;
use core::mem::MaybeUninit;

use super::attend::{self, Scores};
use super::cache::Cached;
use super::columns::Columns;
use super::dotprod::Sdot;
use super::exp::silu_of;
use super::integers::{self, Dots, Packed};
use super::kernels::{Kernels, compile_kernels};
use super::lanes::{Floats, halves_of, widen_eight};
use super::quads;
use super::rows;
use super::softmax::Softmax;
use super::tiles::{Ahead, Quads, Rows, Sums, Tiling, tile};
use super::vector::{QUAD, Vector, Widened};
use crate::format::BLOCK;
use crate::weights::Weights;

/// Floats of a vector.
const LANES: usize = 8;

/// With two vectors of tokens 24 registers of sums, of 32.
const ROWS: usize = 6;

compile_kernels!("neon", Pair, products_in::<Smlal>, 1, 2);

/// [`KERNELS`], where there are dot products of bytes.
pub(super) const KERNELS_WITH_DOTPROD: Kernels = Kernels {
    products: products_by_dotprod,
    ..KERNELS
};

#[target_feature(enable = "neon,dotprod")]
fn products_by_dotprod(x: &[f32], w: Weights<'_>, t: usize, out: &mut Columns<'_>) {
    // SAFETY: this function is compiled for the instructions of both.
    unsafe { products_in::<Sdot>(x, w, t, out) };
}

/// [`rows::products`], where block formats are multiplied in integers.
///
/// # Safety
/// As [`Vector`]'s, and the processor has D's instructions.
#[inline(always)]
unsafe fn products_in<D: Dots>(x: &[f32], w: Weights<'_>, t: usize, out: &mut Columns<'_>) {
    // SAFETY: the caller's promise.
    unsafe {
        match w {
            Weights::F32(_) | Weights::F16(_) => rows::products::<Pair>(x, w, t, out),
            Weights::Q8_0(w) => integers::one_token::<D, _>(x, w, t, out),
            Weights::Q4_0(w) => integers::one_token::<D, _>(x, w, t, out),
        }
    }
}

/// Eight floats.
#[derive(Clone, Copy)]
struct Pair(float32x4_t, float32x4_t);

impl Vector for Pair {
    const LANES: usize = LANES;
    const SUMS: usize = 12;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the trait's.
        unsafe { Self(vdupq_n_f32(value), vdupq_n_f32(value)) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the trait's.
        unsafe { Self(vld1q_f32(from), vld1q_f32(from.add(4))) }
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> Self {
        // SAFETY: the trait's.
        unsafe {
            let (first, last) = widen_eight(vld1q_u16(from));
            Self(first, last)
        }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the trait's.
        unsafe {
            vst1q_f32(to, self.0);
            vst1q_f32(to.add(4), self.1);
        }
    }

    /// Nothing: whether it pays was measured on no such processor.
    #[inline(always)]
    unsafe fn prefetch<T>(_: *const T) {}

    #[inline(always)]
    unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self {
        // SAFETY: the trait's.
        unsafe {
            Self(
                vfmaq_f32(sum.0, self.0, factor.0),
                vfmaq_f32(sum.1, self.1, factor.1),
            )
        }
    }
}

impl Widened for Pair {
    type Block = [Self; BLOCK / LANES];

    #[inline(always)]
    unsafe fn multiply(self, factor: Self) -> Self {
        // SAFETY: the trait's.
        unsafe { Self(vmulq_f32(self.0, factor.0), vmulq_f32(self.1, factor.1)) }
    }

    #[inline(always)]
    unsafe fn sums([a, b, c, d]: [Self; 4]) -> [f32; 4] {
        let mut sums = [0.0; 4];
        // SAFETY: the trait's; the array has room for four.
        unsafe {
            let ab = vpaddq_f32(vaddq_f32(a.0, a.1), vaddq_f32(b.0, b.1));
            let cd = vpaddq_f32(vaddq_f32(c.0, c.1), vaddq_f32(d.0, d.1));
            vst1q_f32(sums.as_mut_ptr(), vpaddq_f32(ab, cd));
        }
        sums
    }

    #[inline(always)]
    unsafe fn transpose([a, b, c, d]: [Self; QUAD]) -> [Self; QUAD] {
        // SAFETY: the trait's.
        unsafe {
            let low = transpose_registers([a.0, b.0, c.0, d.0]);
            let high = transpose_registers([a.1, b.1, c.1, d.1]);
            [
                Self(low[0], high[0]),
                Self(low[1], high[1]),
                Self(low[2], high[2]),
                Self(low[3], high[3]),
            ]
        }
    }

    #[inline(always)]
    unsafe fn q8_0(quants: &[i8; BLOCK]) -> Self::Block {
        // SAFETY: the trait's; the array has the 32 bytes that are read.
        unsafe {
            let first = floats_of(vld1q_s8(quants.as_ptr()));
            let last = floats_of(vld1q_s8(quants.as_ptr().add(BLOCK / 2)));
            [first[0], first[1], last[0], last[1]]
        }
    }

    #[inline(always)]
    unsafe fn q4_0(quants: &[u8; BLOCK / 2]) -> Self::Block {
        // SAFETY: the trait's; the array has the 16 bytes that are read.
        unsafe {
            let (low, high) = halves_of(quants);
            let eight = vdupq_n_s8(8);
            let first = floats_of(vsubq_s8(low, eight));
            let last = floats_of(vsubq_s8(high, eight));
            [first[0], first[1], last[0], last[1]]
        }
    }
}

/// Lane i of register j changes places with lane j of register i.
///
/// # Safety
/// As [`Vector`]'s.
#[inline(always)]
unsafe fn transpose_registers([a, b, c, d]: [float32x4_t; QUAD]) -> [float32x4_t; QUAD] {
    // SAFETY: the caller's promise.
    unsafe {
        // Even lanes of both, by turns; odd ones.
        let pairs = |a, b| {
            let (even, odd) = (vtrn1q_f32(a, b), vtrn2q_f32(a, b));
            (vreinterpretq_f64_f32(even), vreinterpretq_f64_f32(odd))
        };
        let ((ab_even, ab_odd), (cd_even, cd_odd)) = (pairs(a, b), pairs(c, d));
        [
            vreinterpretq_f32_f64(vzip1q_f64(ab_even, cd_even)),
            vreinterpretq_f32_f64(vzip1q_f64(ab_odd, cd_odd)),
            vreinterpretq_f32_f64(vzip2q_f64(ab_even, cd_even)),
            vreinterpretq_f32_f64(vzip2q_f64(ab_odd, cd_odd)),
        ]
    }
}

/// Sixteen signed bytes as floats.
///
/// # Safety
/// As [`Vector`]'s.
#[inline(always)]
unsafe fn floats_of(bytes: int8x16_t) -> [Pair; 2] {
    // SAFETY: the caller's promise.
    unsafe {
        let (low, high) = (vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes));
        let pair = |words| {
            Pair(
                vcvtq_f32_s32(vmovl_s16(vget_low_s16(words))),
                vcvtq_f32_s32(vmovl_high_s16(words)),
            )
        };
        [pair(low), pair(high)]
    }
}

/// Products of 16-bit integers that are added as they are made: eight instructions for a block, without those that widen its quants.
pub(super) struct Smlal;

impl Dots for Smlal {
    const LARGEST: i16 = i16::MAX;
    type Words = [int16x8_t; BLOCK / 8];

    #[inline(always)]
    fn arrange<Q: Packed>(words: [i16; BLOCK]) -> [i16; BLOCK] {
        words
    }

    #[inline(always)]
    unsafe fn load(words: &[i16; BLOCK]) -> Self::Words {
        let words = words.as_ptr();
        // SAFETY: the trait's; the array has the words that are read.
        unsafe {
            [
                vld1q_s16(words),
                vld1q_s16(words.add(8)),
                vld1q_s16(words.add(16)),
                vld1q_s16(words.add(24)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn q8_0(quants: &[i8; BLOCK], x: Self::Words) -> Floats {
        // SAFETY: the trait's; the array has the bytes that are read.
        unsafe {
            let first = vld1q_s8(quants.as_ptr());
            let last = vld1q_s8(quants.as_ptr().add(BLOCK / 2));
            Self::products(first, last, x)
        }
    }

    #[inline(always)]
    unsafe fn q4_0(quants: &[u8; BLOCK / 2], x: Self::Words) -> Floats {
        // SAFETY: the trait's.
        unsafe {
            let (low, high) = halves_of(quants);
            Self::products(low, high, x)
        }
    }
}

impl Smlal {
    /// The products of the first sixteen quants and of the others with a block's words.
    ///
    /// # Safety
    /// As [`Vector`]'s.
    #[inline(always)]
    unsafe fn products(first: int8x16_t, last: int8x16_t, x: [int16x8_t; BLOCK / 8]) -> Floats {
        // SAFETY: the caller's promise.
        unsafe {
            let quants = [
                vmovl_s8(vget_low_s8(first)),
                vmovl_high_s8(first),
                vmovl_s8(vget_low_s8(last)),
                vmovl_high_s8(last),
            ];
            let mut sum = vmull_s16(vget_low_s16(quants[0]), vget_low_s16(x[0]));
            sum = vmlal_high_s16(sum, quants[0], x[0]);
            for i in 1..BLOCK / 8 {
                sum = vmlal_s16(sum, vget_low_s16(quants[i]), vget_low_s16(x[i]));
                sum = vmlal_high_s16(sum, quants[i], x[i]);
            }
            Floats::of_integers(sum)
        }
    }
}
