//! Weights as they lie in the file, and the dot products over them.
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
    /// The value as f32, exactly.
    fn widen(self) -> f32;
}

impl Weight for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
}

impl Weight for u16 {
    /// Finite binary16 bits to f32, subnormals included: the exponent and mantissa move up by 13 bits, and a multiplication by
    /// 2^112 corrects the bias. Branch-free, so loops over it vectorise. (NaN and infinity were refused when the file was read.)
    #[inline(always)]
    fn widen(self) -> f32 {
        let magnitude =
            f32::from_bits(u32::from(self & 0x7fff) << 13) * f32::from_bits((127 + 112) << 23);
        f32::from_bits(magnitude.to_bits() | (u32::from(self & 0x8000) << 16))
    }
}

/// Independent partial sums of a dot product: enough to hide the latency of an addition, and a whole number of SIMD registers.
const LANES: usize = 16;

/// Dot products of one weight row with `N` activation rows, the row being read once. All slices have the same length.
#[inline(always)]
pub(crate) fn dot<const N: usize, W: Weight>(row: &[W], xs: [&[f32]; N]) -> [f32; N] {
    let (row_chunks, row_tail) = row.as_chunks::<LANES>();
    let chunked = xs.map(|x| x[..row.len()].as_chunks::<LANES>());
    let mut sums = [[0.0f32; LANES]; N];
    for (i, chunk) in row_chunks.iter().enumerate() {
        let weights = chunk.map(W::widen);
        for (sum, (x_chunks, _)) in sums.iter_mut().zip(&chunked) {
            let x = &x_chunks[i];
            for lane in 0..LANES {
                sum[lane] += weights[lane] * x[lane];
            }
        }
    }
    core::array::from_fn(|n| {
        let mut width = LANES / 2;
        while width > 0 {
            for lane in 0..width {
                sums[n][lane] += sums[n][lane + width];
            }
            width /= 2;
        }
        let tail: f32 = row_tail
            .iter()
            .zip(chunked[n].1)
            .map(|(w, x)| w.widen() * x)
            .sum();
        sums[n][0] + tail
    })
}

/// Tokens that share one reading of a weight row.
const TILE: usize = 4;

/// `emit(t, n, x[t] · w[n])` for every token t and weight row n. x: (T, K); w: (N, K). Each weight row is read once.
#[inline(always)]
pub(crate) fn matmul<W: Weight>(
    x: &[f32],
    w: &[W],
    k: usize,
    mut emit: impl FnMut(usize, usize, f32),
) {
    let tokens = x.len() / k;
    for (n, row) in w.chunks_exact(k).enumerate() {
        let mut t = 0;
        while t + TILE <= tokens {
            let sums = dot::<TILE, W>(
                row,
                core::array::from_fn(|i| &x[(t + i) * k..(t + i + 1) * k]),
            );
            for (i, sum) in sums.into_iter().enumerate() {
                emit(t + i, n, sum);
            }
            t += TILE;
        }
        while t < tokens {
            emit(t, n, dot::<1, W>(row, [&x[t * k..(t + 1) * k]])[0]);
            t += 1;
        }
    }
}
