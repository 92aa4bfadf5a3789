//! What a set of vector instructions must offer for the loops of [`rows`](super::rows) and [`tiles`](super::tiles), and how the
//! stored dtypes are widened by it.

use crate::format::BLOCK;
use crate::weights::{Q4_0, Q8_0, Quant, Weight};

/// Vectors, and neighbouring lanes, whose values change places.
pub(super) const QUAD: usize = 4;
/// The most floats of a vector.
pub(super) const MOST_LANES: usize = 16;

/// A vector of f32.
///
/// # Safety
/// Its functions may be called only where the processor has its instructions, and from functions compiled for them: they are inlined.
/// What reads or writes through a pointer wants [`LANES`](Self::LANES) values there, at any address.
pub(super) trait Vector: Copy {
    /// Floats of a vector; [`BLOCK`] is a multiple of it.
    const LANES: usize;
    /// How many sums stay in registers beside what they are added up from.
    const SUMS: usize;

    /// One value in all lanes.
    unsafe fn splat(value: f32) -> Self;
    /// The values at `from`.
    unsafe fn load(from: *const f32) -> Self;
    /// The binary16 values at `from`, widened.
    unsafe fn load_f16(from: *const u16) -> Self;
    /// Write the lanes to `to`.
    unsafe fn store(self, to: *mut f32);
    /// Have the cache line at `from` fetched, wherever that is; nothing where there is no such instruction.
    unsafe fn prefetch<T>(from: *const T);
    /// `self · factor + sum`, rounded once where the processor can.
    unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self;
}

/// A vector that weights of every dtype become.
///
/// # Safety
/// As [`Vector`]'s.
pub(super) trait Widened: Vector {
    /// The weights of a block: BLOCK / LANES vectors.
    type Block: AsRef<[Self]>;

    /// `self · factor`.
    unsafe fn multiply(self, factor: Self) -> Self;
    /// The sum of each vector's lanes, pairwise; the order does not depend on the place among the four.
    unsafe fn sums(vectors: [Self; 4]) -> [f32; 4];
    /// Lane i of vector j changes places with lane j of vector i, in each four neighbouring lanes.
    unsafe fn transpose(vectors: [Self; QUAD]) -> [Self; QUAD];
    /// The quants of a block as floats.
    unsafe fn q8_0(quants: &[i8; BLOCK]) -> Self::Block;
    /// The quants of a block as floats.
    unsafe fn q4_0(quants: &[u8; BLOCK / 2]) -> Self::Block;
}

/// A weight that a vector is loaded from.
pub(super) trait Load: Weight {
    /// The weights at `from`, widened.
    ///
    /// # Safety
    /// As [`Vector`]'s.
    unsafe fn load<V: Vector>(from: *const Self) -> V;
}

impl Load for f32 {
    #[inline(always)]
    unsafe fn load<V: Vector>(from: *const Self) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::load(from) }
    }
}

impl Load for u16 {
    #[inline(always)]
    unsafe fn load<V: Vector>(from: *const Self) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::load_f16(from) }
    }
}

/// A block format whose quants become vectors.
pub(super) trait Unpack: Quant {
    /// The quants of a block as floats.
    ///
    /// # Safety
    /// As [`Vector`]'s.
    unsafe fn vectors<V: Widened>(quants: &Self::Bytes) -> V::Block;
}

impl Unpack for Q8_0 {
    #[inline(always)]
    unsafe fn vectors<V: Widened>(quants: &Self::Bytes) -> V::Block {
        // SAFETY: the caller's promise.
        unsafe { V::q8_0(quants) }
    }
}

impl Unpack for Q4_0 {
    #[inline(always)]
    unsafe fn vectors<V: Widened>(quants: &Self::Bytes) -> V::Block {
        // SAFETY: the caller's promise.
        unsafe { V::q4_0(quants) }
    }
}
