//! Weights as they lie in the file: what the format hands out and both backends take.
//!
//! f16 weights stay f16 in memory and are widened in registers: half the memory traffic and no second copy of the model.

/// A weight matrix (N, K), row-major, in the file's dtype.
#[derive(Debug, Clone, Copy)]
pub enum Weights<'a> {
    /// IEEE binary32.
    F32(&'a [f32]),
    /// IEEE binary16, as bits.
    F16(&'a [u16]),
}

impl Weights<'_> {
    /// Number of weights.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F16(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The weight at `index`, widened to f32.
    pub fn get(&self, index: usize) -> f32 {
        match self {
            Self::F32(values) => values[index],
            Self::F16(values) => values[index].widen(),
        }
    }
}

/// A stored weight that widens to f32.
pub trait Weight: Copy {
    /// Whether widening costs nothing.
    const IS_F32: bool;

    /// The value as f32, exactly.
    fn widen(self) -> f32;
}

impl Weight for f32 {
    const IS_F32: bool = true;

    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
}

impl Weight for u16 {
    const IS_F32: bool = false;

    /// Finite binary16 bits to f32, subnormals included: the exponent and mantissa move up by 13 bits, and a multiplication by
    /// 2^112 corrects the bias. Branch-free, so loops over it vectorise. (NaN and infinity were refused when the file was read.)
    #[inline(always)]
    fn widen(self) -> f32 {
        let magnitude =
            f32::from_bits(u32::from(self & 0x7fff) << 13) * f32::from_bits((127 + 112) << 23);
        f32::from_bits(magnitude.to_bits() | (u32::from(self & 0x8000) << 16))
    }
}
