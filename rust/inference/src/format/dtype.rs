//! How weights are stored, and how many bytes they take (`training/FORMAT.md` §3).

/// Weights of a block format that share a scale.
pub const BLOCK: usize = 32;

/// How a tensor's values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE binary32.
    F32,
    /// IEEE binary16.
    F16,
    /// Blocks of 32 signed bytes with one f16 scale.
    Q8_0,
    /// Blocks of 32 four-bit values with one f16 scale.
    Q4_0,
}

impl Dtype {
    /// All of them, in the order of the specification.
    pub const ALL: [Self; 4] = [Self::F32, Self::F16, Self::Q8_0, Self::Q4_0];

    /// The name in the header.
    ///
    /// ```
    /// assert_eq!(pocketlm_inference::format::Dtype::Q4_0.name(), "q4_0");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Q8_0 => "q8_0",
            Self::Q4_0 => "q4_0",
        }
    }

    /// The dtype of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// Weights that must stand together: 1, or those of a block.
    pub const fn block(self) -> u64 {
        match self {
            Self::F32 | Self::F16 => 1,
            Self::Q8_0 | Self::Q4_0 => BLOCK as u64,
        }
    }

    /// Bytes of so many weights, which are whole blocks.
    ///
    /// ```
    /// use pocketlm_inference::format::Dtype;
    /// assert_eq!((Dtype::F16.nbytes(64), Dtype::Q8_0.nbytes(64), Dtype::Q4_0.nbytes(64)), (128, 68, 36));
    /// ```
    pub const fn nbytes(self, weights: u64) -> u64 {
        match self {
            Self::F32 => 4 * weights,
            Self::F16 => 2 * weights,
            Self::Q8_0 => weights / 32 * 34,
            Self::Q4_0 => weights / 32 * 18,
        }
    }

    /// Bytes of a tensor's quants, which come before its scales; all bytes where there are no scales.
    pub const fn quant_nbytes(self, weights: u64) -> u64 {
        match self {
            Self::F32 | Self::F16 => self.nbytes(weights),
            Self::Q8_0 => weights,
            Self::Q4_0 => weights / 2,
        }
    }
}
