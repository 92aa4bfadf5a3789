//! The matrix loop in AVX2 with FMA and F16C: eight weights at a time, widened in registers, sums in f32.
//!
//! The numerics are the portable loop's: weights are exact, only the order of summation differs.

use core::arch::x86_64::*;

use super::columns::Columns;
use super::tiles::{self, ROWS as ROWS_OF_A_TILE, Rows, Sums, Tiling, Vector, tile};
use crate::format::BLOCK;
use crate::weights::{Blocks, Quant, Weight, Weights};

/// Floats of a register.
const LANES: usize = 8;
/// Rows that are multiplied together when one token is read: every activation that is loaded is used so many times, and so many sums
/// hide the latency of an addition.
const ROWS: usize = 4;
/// From so many tokens on, a tile takes less time than its tokens one by one.
const TOKENS_OF_A_TILE: usize = 4;

/// The weights of a block, in registers.
type Widened = [__m256; BLOCK / LANES];

/// Tiles of 16 tokens.
pub(super) const TILING: Tiling = Tiling {
    rows: ROWS_OF_A_TILE,
    lanes: LANES,
    tokens: 2 * LANES,
    tile: products,
};

/// `out = x · wᵀ`. x: (T, K); w: (N, K); out: (T, N), written.
///
/// # Safety
/// The processor has the tiling's instructions, too.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn matmul(
    tiling: Tiling,
    x: &[f32],
    w: Weights<'_>,
    k: usize,
    out: &mut Columns<'_>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        match w {
            Weights::F32(w) => plain(tiling, x, w, k, |w| load(w), out),
            Weights::F16(w) => plain(tiling, x, w, k, |w| load_f16(w), out),
            Weights::Q8_0(w) => blocks(tiling, x, w, k, |quants| widen_q8_0(quants), out),
            Weights::Q4_0(w) => blocks(tiling, x, w, k, |quants| widen_q4_0(quants), out),
        }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn products(activations: &[f32], tokens: usize, rows: &Rows, sums: &mut Sums) {
    // SAFETY: this function is compiled for AVX2 with FMA, and so is what is inlined here.
    unsafe {
        match tokens {
            LANES => tile::<__m256, ROWS_OF_A_TILE, 1>(activations, rows, sums),
            _ => tile::<__m256, ROWS_OF_A_TILE, 2>(activations, rows, sums),
        }
    }
}

impl Vector for __m256 {
    const LANES: usize = LANES;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the trait's.
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the trait's, and the caller's that 8 values lie there.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the trait's, and the caller's that there is room for 8 values.
        unsafe { _mm256_storeu_ps(to, self) }
    }

    #[inline(always)]
    unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self {
        // SAFETY: the trait's.
        unsafe { _mm256_fmadd_ps(self, factor, sum) }
    }
}

/// Products of f32 or f16.
///
/// # Safety
/// The processor has the tiling's instructions, too.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
unsafe fn plain<W: Weight>(
    tiling: Tiling,
    x: &[f32],
    w: &[W],
    k: usize,
    load: impl Fn(&[W; LANES]) -> __m256 + Copy,
    out: &mut Columns<'_>,
) {
    let widen = |n: usize, first: usize, widened: &mut [f32]| {
        let (whole, rest) = w[n * k + first..][..widened.len()].as_chunks::<LANES>();
        let (whole_widened, rest_widened) = widened.as_chunks_mut::<LANES>();
        for (widened, weights) in whole_widened.iter_mut().zip(whole) {
            store(load(weights), widened);
        }
        for (widened, weight) in rest_widened.iter_mut().zip(rest) {
            *widened = weight.widen();
        }
    };
    let (chunks, tiled) = tiles::parts(x, k, TOKENS_OF_A_TILE);
    for (t, x) in chunks {
        // SAFETY: the caller's promise.
        unsafe { tiles::matmul(tiling, x, k, widen, t, out) };
    }
    for (t, x) in x.chunks_exact(k).enumerate().skip(tiled) {
        for (group, rows) in w.chunks(ROWS * k).enumerate() {
            let n = group * ROWS;
            if rows.len() == ROWS * k {
                let rows = core::array::from_fn(|r| &rows[r * k..(r + 1) * k]);
                out.set_all(t, n, dots::<ROWS, W>(rows, x, load));
            } else {
                for (r, row) in rows.chunks_exact(k).enumerate() {
                    out.set_all(t, n + r, dots::<1, W>([row], x, load));
                }
            }
        }
    }
}

/// Products of a block format.
///
/// # Safety
/// The processor has the tiling's instructions, too.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
unsafe fn blocks<Q: Quant>(
    tiling: Tiling,
    x: &[f32],
    w: Blocks<'_, Q>,
    k: usize,
    widen: impl Fn(&Q::Bytes) -> Widened + Copy,
    out: &mut Columns<'_>,
) {
    let per_row = k / BLOCK;
    let n_rows = w.scales.len() / per_row;
    let row = |n: usize| w.part(n * per_row, per_row);
    let widen_part = |n: usize, first: usize, widened: &mut [f32]| {
        let part = w.part(n * per_row + first / BLOCK, widened.len() / BLOCK);
        let blocks = part.quants.iter().zip(part.scales);
        for ((quants, scale), widened) in blocks.zip(widened.as_chunks_mut::<BLOCK>().0) {
            let scale = _mm256_set1_ps(scale.widen());
            for (quants, widened) in widen(quants).iter().zip(widened.as_chunks_mut().0) {
                store(_mm256_mul_ps(*quants, scale), widened);
            }
        }
    };
    let (chunks, tiled) = tiles::parts(x, k, TOKENS_OF_A_TILE);
    for (t, x) in chunks {
        // SAFETY: the caller's promise.
        unsafe { tiles::matmul(tiling, x, k, widen_part, t, out) };
    }
    for (t, x) in x.chunks_exact(k).enumerate().skip(tiled) {
        let mut n = 0;
        while n + ROWS <= n_rows {
            let rows = core::array::from_fn(|r| row(n + r));
            out.set_all(t, n, block_dots::<ROWS, Q>(rows, x, widen));
            n += ROWS;
        }
        for n in n..n_rows {
            out.set_all(t, n, block_dots::<1, Q>([row(n)], x, widen));
        }
    }
}

/// Dot products of R rows with an input of the same length.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn dots<const R: usize, W: Weight>(
    rows: [&[W]; R],
    x: &[f32],
    load_weights: impl Fn(&[W; LANES]) -> __m256,
) -> [f32; R] {
    let rows = rows.map(|row| row[..x.len()].as_chunks::<LANES>());
    let (x, x_rest) = x.as_chunks::<LANES>();
    let mut sums = [_mm256_setzero_ps(); R];
    for (i, x) in x.iter().enumerate() {
        let x = load(x);
        for (sum, (row, _)) in sums.iter_mut().zip(&rows) {
            *sum = _mm256_fmadd_ps(load_weights(&row[i]), x, *sum);
        }
    }
    let mut values = [0.0; R];
    for (value, (sum, (_, rest))) in values.iter_mut().zip(sums.iter().zip(rows)) {
        let rest = rest
            .iter()
            .zip(x_rest)
            .map(|(weight, x)| weight.widen() * x);
        *value = sum_of(*sum) + rest.sum::<f32>();
    }
    values
}

/// Dot products of R rows of blocks with an input. The quants are multiplied as they are, their sum by the scale.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn block_dots<const R: usize, Q: Quant>(
    rows: [Blocks<'_, Q>; R],
    x: &[f32],
    widen: impl Fn(&Q::Bytes) -> Widened,
) -> [f32; R] {
    let n = rows[0].scales.len();
    let rows = rows.map(|row| (&row.quants[..n], &row.scales[..n]));
    let x = &x.as_chunks::<BLOCK>().0[..n];
    let mut sums = [_mm256_setzero_ps(); R];
    for block in 0..n {
        let x = x[block].as_chunks::<LANES>().0;
        for (sum, (quants, scales)) in sums.iter_mut().zip(&rows) {
            let weights = widen(&quants[block]);
            let mut product = _mm256_mul_ps(weights[0], load(&x[0]));
            for (weights, x) in weights[1..].iter().zip(&x[1..]) {
                product = _mm256_fmadd_ps(*weights, load(x), product);
            }
            *sum = _mm256_fmadd_ps(_mm256_set1_ps(scales[block].widen()), product, *sum);
        }
    }
    let mut values = [0.0; R];
    for (value, sum) in values.iter_mut().zip(&sums) {
        *value = sum_of(*sum);
    }
    values
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn load(values: &[f32; LANES]) -> __m256 {
    // SAFETY: the array has the 32 bytes that are read, and the load asks for no alignment.
    unsafe { _mm256_loadu_ps(values.as_ptr()) }
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn store(lanes: __m256, values: &mut [f32; LANES]) {
    // SAFETY: the array has the 32 bytes that are written, and the store asks for no alignment.
    unsafe { _mm256_storeu_ps(values.as_mut_ptr(), lanes) }
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn load_f16(values: &[u16; LANES]) -> __m256 {
    // SAFETY: the array has the 16 bytes that are read, and the load asks for no alignment.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(values.as_ptr().cast()) })
}

/// Eight signed bytes, in the low half of a register, as floats.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn floats_of(bytes: __m128i) -> __m256 {
    _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes))
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn widen_q8_0(quants: &[i8; BLOCK]) -> Widened {
    let mut widened = [_mm256_setzero_ps(); BLOCK / LANES];
    for (widened, quants) in widened.iter_mut().zip(quants.as_chunks::<LANES>().0) {
        // SAFETY: the array has the 8 bytes that are read, and the load asks for no alignment.
        *widened = floats_of(unsafe { _mm_loadl_epi64(quants.as_ptr().cast()) });
    }
    widened
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn widen_q4_0(quants: &[u8; BLOCK / 2]) -> Widened {
    // SAFETY: the array has the 16 bytes that are read, and the load asks for no alignment.
    let bytes = unsafe { _mm_loadu_si128(quants.as_ptr().cast()) };
    let (low_half, eight) = (_mm_set1_epi8(15), _mm_set1_epi8(8));
    let low = _mm_sub_epi8(_mm_and_si128(bytes, low_half), eight);
    let high = _mm_sub_epi8(_mm_and_si128(_mm_srli_epi16::<4>(bytes), low_half), eight);
    [
        floats_of(low),
        floats_of(_mm_srli_si128::<8>(low)),
        floats_of(high),
        floats_of(_mm_srli_si128::<8>(high)),
    ]
}

/// The sum of a register's lanes, pairwise.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn sum_of(lanes: __m256) -> f32 {
    let four = _mm_add_ps(
        _mm256_castps256_ps128(lanes),
        _mm256_extractf128_ps::<1>(lanes),
    );
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}
