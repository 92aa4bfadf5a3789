//! The matrix loop in AVX2 with FMA and F16C: eight weights at a time, widened in registers, sums in f32.
//!
//! The numerics are the portable loop's: weights are exact, only the order of summation differs.

use core::arch::x86_64::*;

use super::portable::store;
use crate::format::BLOCK;
use crate::weights::{Blocks, Quant, Weight, Weights};

/// Floats of a register.
const LANES: usize = 8;
/// Rows and tokens that are multiplied together when several tokens are read, rows when one is: every value that is loaded is used
/// so many times, and so many sums hide the latency of an addition.
const ROWS: usize = 2;
const TOKENS: usize = 4;
const ROWS_OF_ONE: usize = 4;

/// The weights of a block, in registers.
type Widened = [__m256; BLOCK / LANES];

/// `out = x · wᵀ`. x: (T, K); w: (N, K); out: (T, N), written.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn matmul(x: &[f32], w: Weights<'_>, k: usize, out: &mut [f32]) {
    match w {
        Weights::F32(w) => plain(x, w, k, |w| load(w), out),
        Weights::F16(w) => plain(x, w, k, |w| load_f16(w), out),
        Weights::Q8_0(w) => blocks(x, w, k, |quants| widen_q8_0(quants), out),
        Weights::Q4_0(w) => blocks(x, w, k, |quants| widen_q4_0(quants), out),
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn plain<W: Weight>(
    x: &[f32],
    w: &[W],
    k: usize,
    load: impl Fn(&[W; LANES]) -> __m256 + Copy,
    out: &mut [f32],
) {
    let n_rows = w.len() / k;
    let tiled = x.len() / k / TOKENS * TOKENS;
    let (tiles, singles) = x.split_at(tiled * k);
    if tiled > 0 {
        for (pair, rows) in w.chunks(ROWS * k).enumerate() {
            let n = pair * ROWS;
            for (tile, x) in tiles.chunks_exact(TOKENS * k).enumerate() {
                let t = tile * TOKENS;
                let xs = core::array::from_fn(|t| &x[t * k..(t + 1) * k]);
                if rows.len() == ROWS * k {
                    let rows = core::array::from_fn(|r| &rows[r * k..(r + 1) * k]);
                    store(dots::<ROWS, TOKENS, W>(rows, xs, load), t, n, n_rows, out);
                } else {
                    store(dots::<1, TOKENS, W>([rows], xs, load), t, n, n_rows, out);
                }
            }
        }
    }
    for (t, x) in singles.chunks_exact(k).enumerate() {
        for (group, rows) in w.chunks(ROWS_OF_ONE * k).enumerate() {
            let (t, n) = (tiled + t, group * ROWS_OF_ONE);
            if rows.len() == ROWS_OF_ONE * k {
                let rows = core::array::from_fn(|r| &rows[r * k..(r + 1) * k]);
                store(
                    dots::<ROWS_OF_ONE, 1, W>(rows, [x], load),
                    t,
                    n,
                    n_rows,
                    out,
                );
            } else {
                for (r, row) in rows.chunks_exact(k).enumerate() {
                    store(dots::<1, 1, W>([row], [x], load), t, n + r, n_rows, out);
                }
            }
        }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn blocks<Q: Quant>(
    x: &[f32],
    w: Blocks<'_, Q>,
    k: usize,
    widen: impl Fn(&Q::Bytes) -> Widened + Copy,
    out: &mut [f32],
) {
    let per_row = k / BLOCK;
    let n_rows = w.scales.len() / per_row;
    let row = |n: usize| w.part(n * per_row, per_row);
    let tiled = x.len() / k / TOKENS * TOKENS;
    let (tiles, singles) = x.split_at(tiled * k);
    for n in 0..n_rows {
        for (tile, x) in tiles.chunks_exact(TOKENS * k).enumerate() {
            let xs = core::array::from_fn(|t| &x[t * k..(t + 1) * k]);
            let values = block_dots::<1, TOKENS, Q>([row(n)], xs, widen);
            store(values, tile * TOKENS, n, n_rows, out);
        }
    }
    for (t, x) in singles.chunks_exact(k).enumerate() {
        let mut n = 0;
        while n + ROWS_OF_ONE <= n_rows {
            let rows = core::array::from_fn(|r| row(n + r));
            let values = block_dots::<ROWS_OF_ONE, 1, Q>(rows, [x], widen);
            store(values, tiled + t, n, n_rows, out);
            n += ROWS_OF_ONE;
        }
        for n in n..n_rows {
            let values = block_dots::<1, 1, Q>([row(n)], [x], widen);
            store(values, tiled + t, n, n_rows, out);
        }
    }
}

/// Dot products of R rows with T inputs of the same length.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn dots<const R: usize, const T: usize, W: Weight>(
    rows: [&[W]; R],
    xs: [&[f32]; T],
    load_weights: impl Fn(&[W; LANES]) -> __m256,
) -> [[f32; T]; R] {
    let k = xs[0].len();
    let rows = rows.map(|row| row[..k].as_chunks::<LANES>());
    let xs = xs.map(|x| x[..k].as_chunks::<LANES>());
    let mut sums = [[_mm256_setzero_ps(); T]; R];
    for i in 0..k / LANES {
        for (sums, (row, _)) in sums.iter_mut().zip(&rows) {
            let weights = load_weights(&row[i]);
            for (sum, (x, _)) in sums.iter_mut().zip(&xs) {
                *sum = _mm256_fmadd_ps(weights, load(&x[i]), *sum);
            }
        }
    }
    let mut values = [[0.0; T]; R];
    for r in 0..R {
        for t in 0..T {
            let rest = rows[r].1.iter().zip(xs[t].1);
            let rest: f32 = rest.map(|(weight, x)| weight.widen() * x).sum();
            values[r][t] = sum_of(sums[r][t]) + rest;
        }
    }
    values
}

/// Dot products of R rows of blocks with T inputs. The quants are multiplied as they are, their sum by the scale.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn block_dots<const R: usize, const T: usize, Q: Quant>(
    rows: [Blocks<'_, Q>; R],
    xs: [&[f32]; T],
    widen: impl Fn(&Q::Bytes) -> Widened,
) -> [[f32; T]; R] {
    let n = rows[0].scales.len();
    let rows = rows.map(|row| (&row.quants[..n], &row.scales[..n]));
    let xs = xs.map(|x| &x.as_chunks::<BLOCK>().0[..n]);
    let mut sums = [[_mm256_setzero_ps(); T]; R];
    for block in 0..n {
        for (sums, (quants, scales)) in sums.iter_mut().zip(&rows) {
            let weights = widen(&quants[block]);
            let scale = _mm256_set1_ps(scales[block].widen());
            for (sum, x) in sums.iter_mut().zip(&xs) {
                let x = x[block].as_chunks::<LANES>().0;
                let mut product = _mm256_mul_ps(weights[0], load(&x[0]));
                for (weights, x) in weights[1..].iter().zip(&x[1..]) {
                    product = _mm256_fmadd_ps(*weights, load(x), product);
                }
                *sum = _mm256_fmadd_ps(scale, product, *sum);
            }
        }
    }
    let mut values = [[0.0; T]; R];
    for (values, sums) in values.iter_mut().zip(&sums) {
        for (value, sum) in values.iter_mut().zip(sums) {
            *value = sum_of(*sum);
        }
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
