//! Products of one token with a block format, in integers: activations are rounded to 16 bits a block, so that eight of them are
//! multiplied by eight quants and added in pairs by one instruction, where floats take eight.
//!
//! A block's largest activation becomes ±32,767: rounding moves a product by some 2e-5 of its spread at most, a hundredth of what
//! rounding to 8 bits does, as llama.cpp has it. The quants are exact, and so are their sums in 32 bits.
//!
//! A quant of q4_0 is multiplied without its offset, as the unsigned half byte: Σ s·(u − 8)·x = Σ s·u·x − Σ s·(8·Σx), and what
//! stands in the last bracket is known once a block of activations.

use core::mem::MaybeUninit;

use super::columns::Columns;
use super::lanes::{Floats, LANES, WORDS, Words};
use crate::format::BLOCK;
use crate::weights::{Blocks, Q4_0, Q8_0, Quant};

/// How some instructions multiply the quants of a block, without an offset, by its activations.
///
/// # Safety
/// As [`Vector`](super::vector::Vector)'s.
pub(super) trait Dots {
    /// What a block's largest activation becomes.
    const LARGEST: i16;
    /// Registers with the activations of a block.
    type Words: Copy;

    /// A block's activations as [`load`](Self::load) reads them, to be multiplied by quants of this format.
    fn arrange<Q: Packed>(words: [i16; BLOCK]) -> [i16; BLOCK];
    /// What [`arrange`](Self::arrange) gave.
    unsafe fn load(words: &[i16; BLOCK]) -> Self::Words;
    /// The sum of the products is that of the lanes.
    unsafe fn q8_0(quants: &[i8; BLOCK], x: Self::Words) -> Floats;
    /// See [`q8_0`](Self::q8_0).
    unsafe fn q4_0(quants: &[u8; BLOCK / 2], x: Self::Words) -> Floats;
}

/// A block format whose quants are multiplied as integers.
pub(super) trait Packed: Quant {
    /// How much more is multiplied than the quant.
    const OFFSET: f32;

    /// The weight that word i of [`Words::of_bytes`] or [`Words::of_nibbles`] belongs to.
    fn place(word: usize) -> usize;
    /// The products of a block.
    ///
    /// # Safety
    /// As [`Vector`](super::vector::Vector)'s.
    unsafe fn products<D: Dots>(quants: &Self::Bytes, x: D::Words) -> Floats;
}

impl Packed for Q8_0 {
    const OFFSET: f32 = 0.0;

    #[inline(always)]
    fn place(word: usize) -> usize {
        word
    }

    #[inline(always)]
    unsafe fn products<D: Dots>(quants: &Self::Bytes, x: D::Words) -> Floats {
        // SAFETY: the caller's promise.
        unsafe { D::q8_0(quants, x) }
    }
}

impl Packed for Q4_0 {
    const OFFSET: f32 = 8.0;

    #[inline(always)]
    fn place(word: usize) -> usize {
        let (register, lane) = (word / 8, word % 8);
        2 * lane + register / 2 + register % 2 * (BLOCK / 2)
    }

    #[inline(always)]
    unsafe fn products<D: Dots>(quants: &Self::Bytes, x: D::Words) -> Floats {
        // SAFETY: the caller's promise.
        unsafe { D::q4_0(quants, x) }
    }
}

/// The registers of the portable loop.
pub(super) struct Portable;

impl Dots for Portable {
    const LARGEST: i16 = i16::MAX;
    type Words = [Words; WORDS];

    #[inline(always)]
    fn arrange<Q: Packed>(words: [i16; BLOCK]) -> [i16; BLOCK] {
        core::array::from_fn(|word| words[Q::place(word)])
    }

    #[inline(always)]
    unsafe fn load(words: &[i16; BLOCK]) -> Self::Words {
        Words::load_all(words)
    }

    #[inline(always)]
    unsafe fn q8_0(quants: &[i8; BLOCK], x: Self::Words) -> Floats {
        products(Words::of_bytes(quants), x)
    }

    #[inline(always)]
    unsafe fn q4_0(quants: &[u8; BLOCK / 2], x: Self::Words) -> Floats {
        products(Words::of_nibbles(quants), x)
    }
}

/// Rows that are multiplied together.
const ROWS: usize = 4;
/// Blocks of activations that are held at once: 16,384 columns, 32 KiB of words.
const HELD: usize = 512;

/// One token's activations as integers: `scale · word` is the activation.
#[derive(Clone, Copy)]
struct Rounded<'a> {
    /// (blocks)
    words: &'a [[i16; BLOCK]],
    /// (blocks)
    scales: &'a [f32],
    /// (blocks), −OFFSET · the sum of a block's activations.
    offsets: &'a [f32],
}

/// Room for [`Rounded`].
struct Room {
    words: [MaybeUninit<[i16; BLOCK]>; HELD],
    scales: [MaybeUninit<f32>; HELD],
    offsets: [MaybeUninit<f32>; HELD],
}

impl Room {
    /// Round the blocks of `x`, at most [`HELD`].
    fn round<D: Dots, Q: Packed>(&mut self, x: &[[f32; BLOCK]]) -> Rounded<'_> {
        let (words, scales) = (&mut self.words[..x.len()], &mut self.scales[..x.len()]);
        let offsets = &mut self.offsets[..x.len()];
        for (i, x) in x.iter().enumerate() {
            let (rounded, scale) = round(x, D::LARGEST);
            words[i].write(D::arrange::<Q>(rounded));
            scales[i].write(scale);
            let sum: f32 = if Q::OFFSET == 0.0 { 0.0 } else { sum(&rounded) };
            offsets[i].write(-Q::OFFSET * scale * sum);
        }
        // SAFETY: the loop wrote every element of each, one for each block.
        unsafe {
            Rounded {
                words: &*(&raw const *words as *const [[i16; BLOCK]]),
                scales: &*(&raw const *scales as *const [f32]),
                offsets: &*(&raw const *offsets as *const [f32]),
            }
        }
    }
}

/// The words of a block, the largest of which is `most`, and what one of them is worth. What is no number stays none: its scale is NaN
/// or infinite.
#[inline(always)]
fn round(x: &[f32; BLOCK], most: i16) -> ([i16; BLOCK], f32) {
    // Below this a block is 0: its quotients would leave f32.
    const LEAST: f32 = 1e-30;
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2^23: adding it rounds to an integer, which its low bits then hold
    // As integers the magnitudes have the order of the floats, and NaN is the largest.
    let magnitude = |x: &f32| (x.to_bits() & 0x7fff_ffff) as i32;
    let largest = x.iter().map(magnitude).fold(0, i32::max);
    let largest = f32::from_bits(largest as u32);
    if largest < LEAST {
        return ([0; BLOCK], 0.0);
    }
    let most = f32::from(most);
    let quotient = most / largest;
    (
        x.map(|x| (x * quotient + ROUND).to_bits() as i16),
        largest / most,
    )
}

/// The sum of a block's words, exact.
#[inline(always)]
fn sum(words: &[i16; BLOCK]) -> f32 {
    words.iter().map(|word| i32::from(*word)).sum::<i32>() as f32
}

/// `out = x · wᵀ` for the token `t`. x: (K); w: (N, K) in blocks along K, which is a multiple of [`BLOCK`].
///
/// # Safety
/// As [`Vector`](super::vector::Vector)'s.
#[inline(always)]
pub(super) unsafe fn one_token<D: Dots, Q: Packed>(
    x: &[f32],
    w: Blocks<'_, Q>,
    t: usize,
    out: &mut Columns<'_>,
) {
    let mut room = Room {
        words: [MaybeUninit::uninit(); HELD],
        scales: [MaybeUninit::uninit(); HELD],
        offsets: [MaybeUninit::uninit(); HELD],
    };
    let per_row = x.len() / BLOCK;
    for (part, x) in x.as_chunks::<BLOCK>().0.chunks(HELD).enumerate() {
        let x = room.round::<D, Q>(x);
        let row = |n: usize| w.part(n * per_row + part * HELD, x.words.len());
        let mut put = |n: usize, value: f32| {
            if part == 0 {
                out.set(t, n, value);
            } else {
                out.add(t, n, value);
            }
        };
        let n_rows = w.scales.len() / per_row;
        let in_groups = n_rows - n_rows % ROWS;
        for n in (0..in_groups).step_by(ROWS) {
            // SAFETY: the caller's promise.
            let values = unsafe { dots::<D, Q, ROWS>(core::array::from_fn(|r| row(n + r)), x) };
            for (r, value) in values.into_iter().enumerate() {
                put(n + r, value);
            }
        }
        for n in in_groups..n_rows {
            // SAFETY: the caller's promise.
            let [value] = unsafe { dots::<D, Q, 1>([row(n)], x) };
            put(n, value);
        }
    }
}

/// Four scales, or as many as there are and zeros.
#[inline(always)]
fn four<T: Copy + Default>(values: &[T], first: usize) -> [T; LANES] {
    match values[first..].first_chunk() {
        Some(four) => *four,
        None => core::array::from_fn(|i| values.get(first + i).copied().unwrap_or_default()),
    }
}

/// The sum of the products of a block's words.
#[inline(always)]
fn products(a: [Words; WORDS], b: [Words; WORDS]) -> Floats {
    let [p, q, r, s]: [_; WORDS] = core::array::from_fn(|i| a[i].dot(b[i]));
    p.add(q).add(r.add(s)).floats()
}

/// Dot products of R rows with a token's activations. Not inlined where that need not be: in a large function V8 keeps the sums in memory.
///
/// # Safety
/// As [`Vector`](super::vector::Vector)'s.
#[cfg_attr(not(target_arch = "aarch64"), inline(never))]
#[cfg_attr(target_arch = "aarch64", inline(always))]
unsafe fn dots<D: Dots, Q: Packed, const R: usize>(
    rows: [Blocks<'_, Q>; R],
    x: Rounded<'_>,
) -> [f32; R] {
    let blocks = x.words.len();
    let mut sums = [Floats::splat(0.0); R];
    for first in (0..blocks).step_by(LANES) {
        let x_scales = Floats::load(&four(x.scales, first));
        let offsets = Floats::load(&four(x.offsets, first));
        let mut scales = [[0.0; LANES]; R];
        for ((scales, sum), row) in scales.iter_mut().zip(&mut sums).zip(&rows) {
            let own = Floats::of_halves(&four(row.scales, first));
            own.mul(x_scales).store(scales);
            if Q::OFFSET != 0.0 {
                *sum = own.multiply_add(offsets, *sum);
            }
        }
        for block in first..blocks.min(first + LANES) {
            // SAFETY: the caller's promise.
            let x = unsafe { D::load(&x.words[block]) };
            for ((scales, sum), row) in scales.iter().zip(&mut sums).zip(&rows) {
                // SAFETY: the caller's promise.
                let product = unsafe { Q::products::<D>(&row.quants[block], x) };
                *sum = product.multiply_add(Floats::splat(scales[block - first]), *sum);
            }
        }
    }
    sums.map(Floats::sum)
}
