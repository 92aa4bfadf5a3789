//! In what the cache holds keys and values, on both backends.

use crate::format::{Config, Dtype};
use crate::model::Model;

/// The largest binary16, which stands for all that is larger.
const LARGEST: f32 = 65_504.0;

/// In what the cache holds a number of a key or a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    /// IEEE binary32: nothing is rounded.
    F32,
    /// IEEE binary16: half the memory, and half of what attention reads at each token. A number is rounded to 11 bits when it is
    /// written; one beyond ±65504 becomes ±65504. On a GPU one below 6.1e-5 may become 0.
    F16,
}

impl Cache {
    /// What a model has unless something else is asked for: f32 where all of its weights are f32, so that nothing is rounded; f16 where
    /// any of them were.
    pub fn of(model: &Model) -> Self {
        if model.tensors().all(|tensor| tensor.dtype == Dtype::F32) {
            Self::F32
        } else {
            Self::F16
        }
    }

    /// "f32" or "f16".
    ///
    /// ```
    /// assert_eq!(pocketlm_inference::Cache::F16.name(), "f16");
    /// ```
    pub fn name(self) -> &'static str {
        self.dtype().name()
    }

    /// Bytes of so many numbers.
    ///
    /// ```
    /// assert_eq!(pocketlm_inference::Cache::F16.nbytes(3), 6);
    /// ```
    pub fn nbytes(self, numbers: u64) -> u64 {
        self.dtype().nbytes(numbers)
    }

    /// Bytes that a token takes: a key and a value a layer.
    pub fn token_nbytes(self, config: &Config) -> u64 {
        self.nbytes(2 * u64::from(config.n_layer) * u64::from(config.kv_width()))
    }

    /// The dtype of the same layout.
    pub(crate) fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
        }
    }
}

/// The binary16 next to a value, the even one of two that are as near; never infinite. Without branches, so that loops over it
/// vectorise.
pub(crate) fn narrow(value: f32) -> u16 {
    const LEAST_NORMAL: f32 = f32::from_bits((127 - 14) << 23);
    let magnitude = value.abs().min(LARGEST);
    let bits = magnitude.to_bits();
    let normal = ((bits + 0xfff + (bits >> 13 & 1)) >> 13).wrapping_sub((127 - 15) << 10);
    // The last bit of a float from 1/2 to 1 is worth 2^-24, as that of a subnormal binary16 is.
    let subnormal = (magnitude + 0.5).to_bits().wrapping_sub(0.5f32.to_bits());
    let rounded = if magnitude < LEAST_NORMAL {
        subnormal
    } else {
        normal
    };
    rounded as u16 | (value.to_bits() >> 16) as u16 & 0x8000
}

#[cfg(test)]
mod tests {
    use super::narrow;
    use crate::weights::Weight;

    /// The nearest among all finite binary16 values, by looking at each.
    fn nearest(value: f64) -> u16 {
        (0..=0x7bffu16)
            .min_by(|a, b| {
                let distance = |bits: u16| (f64::from(bits.widen()) - value.abs()).abs();
                let by_distance = distance(*a).total_cmp(&distance(*b));
                by_distance.then((a & 1).cmp(&(b & 1)))
            })
            .unwrap()
    }

    #[test]
    fn every_half_is_its_own_nearest() {
        for bits in (0..=u16::MAX).filter(|bits| bits >> 10 & 31 != 31) {
            assert_eq!(narrow(bits.widen()), bits, "{bits:#06x}");
        }
    }

    #[test]
    fn what_lies_between_two_goes_to_the_nearest() {
        // Beside subnormals, the least normal, 1 and the largest: a quarter, a half and three quarters of the way to the next.
        for bits in [0u16, 1, 2, 0x3fe, 0x3ff, 0x400, 0x3c00, 0x3c01, 0x7bfe] {
            let (low, high) = (bits.widen(), (bits + 1).widen());
            for part in [0.25, 0.499_99, 0.5, 0.500_01, 0.75] {
                let value = low + (high - low) * part;
                let expected = nearest(f64::from(value));
                assert_eq!(narrow(value), expected, "{value:e}");
                assert_eq!(narrow(-value), expected | 0x8000, "{value:e}");
            }
        }
    }

    #[test]
    fn what_is_too_large_becomes_the_largest() {
        for value in [65_505.0, 65_519.9, 65_520.0, 1e9, f32::MAX, f32::INFINITY] {
            assert_eq!([value, -value].map(narrow), [0x7bff, 0xfbff], "{value}");
        }
        assert!(narrow(f32::NAN).widen().is_finite());
    }
}
