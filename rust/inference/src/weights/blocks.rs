//! q8_0 and q4_0: blocks of 32 weights with one scale (`training/FORMAT.md` §3).

use super::plain::Weight as _;
use crate::format::BLOCK;

/// How the quants of a block are packed.
pub trait Quant: Copy {
    /// The bytes of a block's quants.
    type Bytes: bytemuck::Pod;

    /// The quants of a block, in the order of its weights: weight = scale · quant.
    fn unpack(bytes: &Self::Bytes) -> [i8; BLOCK];
}

/// One signed byte a weight.
#[derive(Debug, Clone, Copy)]
pub struct Q8_0;

impl Quant for Q8_0 {
    type Bytes = [i8; BLOCK];

    #[inline(always)]
    fn unpack(bytes: &Self::Bytes) -> [i8; BLOCK] {
        *bytes
    }
}

/// Four bits a weight, 8 more than the quant: byte j holds weight j low and weight j + 16 high.
#[derive(Debug, Clone, Copy)]
pub struct Q4_0;

impl Quant for Q4_0 {
    type Bytes = [u8; BLOCK / 2];

    #[inline(always)]
    fn unpack(bytes: &Self::Bytes) -> [i8; BLOCK] {
        let mut quants = [0; BLOCK];
        for (j, byte) in bytes.iter().enumerate() {
            quants[j] = (byte & 15) as i8 - 8;
            quants[j + BLOCK / 2] = (byte >> 4) as i8 - 8;
        }
        quants
    }
}

/// The blocks of some rows of a matrix: all quants, and apart from them all scales.
#[derive(Debug)]
pub struct Blocks<'a, Q: Quant> {
    /// (blocks)
    pub quants: &'a [Q::Bytes],
    /// (blocks), binary16 as bits.
    pub scales: &'a [u16],
}

impl<Q: Quant> Clone for Blocks<'_, Q> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Q: Quant> Copy for Blocks<'_, Q> {}

impl<'a, Q: Quant> Blocks<'a, Q> {
    /// The section of a tensor in this dtype, in place.
    pub fn of(bytes: &'a [u8]) -> Self {
        let blocks = bytes.len() / (size_of::<Q::Bytes>() + size_of::<u16>());
        let (quants, scales) = bytes.split_at(blocks * size_of::<Q::Bytes>());
        Self {
            quants: bytemuck::cast_slice(quants),
            scales: bytemuck::cast_slice(scales),
        }
    }

    /// The `n` blocks from block `first` on.
    #[inline(always)]
    pub fn part(self, first: usize, n: usize) -> Self {
        Self {
            quants: &self.quants[first..first + n],
            scales: &self.scales[first..first + n],
        }
    }

    /// The weights of a block.
    #[inline(always)]
    pub fn widen(self, block: usize) -> [f32; BLOCK] {
        let scale = self.scales[block].widen();
        Q::unpack(&self.quants[block]).map(|quant| scale * f32::from(quant))
    }
}
