//! f32 and f16: one value after another.

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

    /// Finite binary16 bits to f32, subnormals included: exponent and mantissa move up by 13 bits, the sign, which is extended, by 16,
    /// and a multiplication by 2^112 corrects the bias. Branch-free, so loops over it vectorise. (NaN and infinity were refused when
    /// the file was read, and a cache never holds them.)
    #[inline(always)]
    fn widen(self) -> f32 {
        let moved = i32::from(self as i16).cast_unsigned() << 13 & 0x8fff_ffff;
        f32::from_bits(moved) * f32::from_bits((127 + 112) << 23)
    }
}
