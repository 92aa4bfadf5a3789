//! Plain arrays, for processors that the other files do not name.

use super::WORDS;
use crate::format::BLOCK;
use crate::weights::Weight;

/// Four floats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floats(pub [f32; 4]);

/// Eight integers of 16 bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words(pub [i16; 8]);

/// Four integers of 32 bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Integers([i32; 4]);

impl Floats {
    /// One value in all lanes.
    #[inline(always)]
    pub fn splat(value: f32) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    pub fn load(values: &[f32; 4]) -> Self {
        Self(*values)
    }

    /// Four finite binary16 values, widened exactly.
    #[inline(always)]
    pub fn of_halves(bits: &[u16; 4]) -> Self {
        Self(bits.map(Weight::widen))
    }

    #[inline(always)]
    pub fn store(self, values: &mut [f32; 4]) {
        *values = self.0;
    }

    #[inline(always)]
    pub fn add(self, other: Self) -> Self {
        Self(core::array::from_fn(|i| self.0[i] + other.0[i]))
    }

    #[inline(always)]
    pub fn mul(self, factor: Self) -> Self {
        Self(core::array::from_fn(|i| self.0[i] * factor.0[i]))
    }

    /// `self · factor + sum`, rounded once or twice.
    #[inline(always)]
    pub fn multiply_add(self, factor: Self, sum: Self) -> Self {
        self.mul(factor).add(sum)
    }

    /// The sum of the lanes, pairwise.
    #[inline(always)]
    pub fn sum(self) -> f32 {
        (self.0[0] + self.0[2]) + (self.0[1] + self.0[3])
    }
}

impl Words {
    /// The words of a block.
    #[inline(always)]
    pub fn load_all(words: &[i16; BLOCK]) -> [Self; WORDS] {
        core::array::from_fn(|i| Self(core::array::from_fn(|lane| words[8 * i + lane])))
    }

    /// The signed bytes of a block.
    #[inline(always)]
    pub fn of_bytes(bytes: &[i8; BLOCK]) -> [Self; WORDS] {
        Self::load_all(&bytes.map(i16::from))
    }

    /// The halves of the bytes of a block, unsigned: the low ones of the even bytes, then the high ones; those of the odd bytes.
    #[inline(always)]
    pub fn of_nibbles(bytes: &[u8; BLOCK / 2]) -> [Self; WORDS] {
        core::array::from_fn(|i| {
            Self(core::array::from_fn(|lane| {
                i16::from(bytes[2 * lane + i / 2] >> (i % 2 * 4) & 15)
            }))
        })
    }

    /// The products of neighbours, added in pairs.
    #[inline(always)]
    pub fn dot(self, other: Self) -> Integers {
        let product = |lane| i32::from(self.0[lane]) * i32::from(other.0[lane]);
        Integers(core::array::from_fn(|i| {
            product(2 * i) + product(2 * i + 1)
        }))
    }
}

impl Integers {
    #[inline(always)]
    pub fn add(self, other: Self) -> Self {
        Self(core::array::from_fn(|i| self.0[i] + other.0[i]))
    }

    #[inline(always)]
    pub fn floats(self) -> Floats {
        Floats(self.0.map(|value| value as f32))
    }
}
