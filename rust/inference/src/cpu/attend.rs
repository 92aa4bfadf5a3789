//! Attention of one token's queries that share keys: each key and each value is read and widened once for all of them.
//!
//! Every query's sums keep their own order, whatever queries are beside it, so that how heads are shared out changes no bit.

use super::rows::AHEAD;
use super::softmax::{KEYS, Softmax};
use super::vector::{Load, QUAD, Vector};

/// Query heads that share a reading of keys and values, at the most.
pub(super) const HEADS: usize = 4;

/// Of each query the scores of a block's keys, then their weights.
pub(super) type Scores = [[f32; KEYS]; HEADS];

/// Queries (Q, D) of one token over keys and values (S, D), Q at most [`HEADS`]; out: (Q, D), written. `products(q, keys, scores)` is
/// [`products`], `softmax` is [`Softmax::go_on`], `sum(scores, values, out)` is [`weighted_sum`]. Inlined, to be compiled for the caller's instructions.
#[inline(always)]
#[expect(
    clippy::too_many_arguments,
    reason = "three of them are loops that each caller compiles"
)]
pub(super) fn attend<C>(
    q: &[f32],
    d_head: usize,
    keys: &[C],
    values: &[C],
    out: &mut [f32],
    products: impl Fn(&[f32], &[C], &mut Scores),
    softmax: impl Fn(&mut Softmax, &mut [f32]) -> f32,
    sum: impl Fn(&Scores, &[C], &mut [f32]),
) {
    let scale = 1.0 / libm::sqrtf(d_head as f32);
    let mut scores = [[0.0; KEYS]; HEADS];
    let mut softmaxes = [Softmax::NOTHING; HEADS];
    out.fill(0.0);
    let blocks = keys.chunks(KEYS * d_head).zip(values.chunks(KEYS * d_head));
    for (keys, values) in blocks {
        let n_keys = keys.len() / d_head;
        products(q, keys, &mut scores);
        for ((scores, seen), out) in scores
            .iter_mut()
            .zip(&mut softmaxes)
            .zip(out.chunks_exact_mut(d_head))
        {
            let scores = &mut scores[..n_keys];
            for score in scores.iter_mut() {
                *score *= scale;
            }
            let shrunk = softmax(seen, scores);
            for out in out.iter_mut() {
                *out *= shrunk;
            }
        }
        sum(&scores, values, out);
    }
    for (softmax, out) in softmaxes.iter().zip(out.chunks_exact_mut(d_head)) {
        for out in out.iter_mut() {
            *out /= softmax.total;
        }
    }
}

/// `scores = q · keysᵀ`. q: (Q, D), Q at most [`HEADS`]; keys: (S, D), S at most [`KEYS`]. `sums` adds up each vector's lanes, in an order
/// that does not depend on the place among the four.
///
/// # Safety
/// As [`Vector`]'s.
#[inline(always)]
pub(super) unsafe fn products<V: Vector, C: Load>(
    q: &[f32],
    d_head: usize,
    keys: &[C],
    scores: &mut Scores,
    sums: impl Fn([V; QUAD]) -> [f32; QUAD] + Copy,
) {
    // SAFETY: the caller's promise.
    let done = unsafe {
        match q.len() / d_head {
            1 => products_of::<V, C, 4, 1>(q, d_head, keys, scores, sums),
            2 => products_of::<V, C, 4, 2>(q, d_head, keys, scores, sums),
            3 if V::SUMS >= 4 * 3 => products_of::<V, C, 4, 3>(q, d_head, keys, scores, sums),
            3 => products_of::<V, C, 2, 3>(q, d_head, keys, scores, sums),
            _ if V::SUMS >= 4 * 4 => products_of::<V, C, 4, 4>(q, d_head, keys, scores, sums),
            _ => products_of::<V, C, 2, 4>(q, d_head, keys, scores, sums),
        }
    };
    for (scores, query) in scores.iter_mut().zip(q.chunks_exact(d_head)) {
        let keys = keys.chunks_exact(d_head);
        for (score, key) in scores.iter_mut().zip(keys).skip(done) {
            // SAFETY: the caller's promise.
            [[*score]] = unsafe { dots::<V, C, 1, 1>([query], key, sums) };
        }
    }
    let whole = d_head - d_head % V::LANES;
    if whole < d_head {
        add_last_products(q, d_head, whole, keys, scores);
    }
}

/// [`products`] of Q queries, R keys at a time; returns how many these were, as many as there are whole groups.
///
/// # Safety
/// As [`Vector`]'s.
#[inline(always)]
unsafe fn products_of<V: Vector, C: Load, const R: usize, const Q: usize>(
    q: &[f32],
    d_head: usize,
    keys: &[C],
    scores: &mut Scores,
    sums: impl Fn([V; QUAD]) -> [f32; QUAD] + Copy,
) -> usize {
    let queries: [&[f32]; Q] = core::array::from_fn(|nth| &q[nth * d_head..][..d_head]);
    let n_keys = keys.len() / d_head;
    let in_groups = n_keys - n_keys % R;
    for s in (0..in_groups).step_by(R) {
        let keys = &keys[s * d_head..][..R * d_head];
        // SAFETY: the caller's promise.
        let found = unsafe { dots::<V, C, R, Q>(queries, keys, sums) };
        for (scores, found) in scores.iter_mut().zip(found) {
            scores[s..s + R].copy_from_slice(&found);
        }
    }
    in_groups
}

/// Add the products of the columns from `whole` on, which fill no vector, to the scores. Not inlined: such heads are rare.
#[inline(never)]
fn add_last_products<C: Load>(
    q: &[f32],
    d_head: usize,
    whole: usize,
    keys: &[C],
    scores: &mut Scores,
) {
    for column in whole..d_head {
        for (scores, query) in scores.iter_mut().zip(q.chunks_exact(d_head)) {
            for (score, key) in scores.iter_mut().zip(keys.chunks_exact(d_head)) {
                *score += key[column].widen() * query[column];
            }
        }
    }
}

/// The dot products of Q queries with R neighbouring keys of the same length, but for the columns that fill no vector.
///
/// # Safety
/// As [`Vector`]'s.
#[inline(always)]
unsafe fn dots<V: Vector, C: Load, const R: usize, const Q: usize>(
    queries: [&[f32]; Q],
    keys: &[C],
    sums: impl Fn([V; QUAD]) -> [f32; QUAD],
) -> [[f32; R]; Q] {
    let d_head = queries[0].len();
    assert!(keys.len() == R * d_head && queries.iter().all(|query| query.len() == d_head));
    let whole = d_head - d_head % V::LANES;
    let mut found = [[0.0; R]; Q];
    // SAFETY: the caller's promise; keys and queries have the same length, and the vectors from i on end within `whole`.
    unsafe {
        let mut products = [[V::splat(0.0); R]; Q];
        for i in (0..whole).step_by(V::LANES) {
            let queries = queries.map(|query| V::load(query.as_ptr().add(i)));
            for r in 0..R {
                let key = keys.as_ptr().add(r * d_head + i);
                V::prefetch(key.wrapping_byte_add(AHEAD));
                let key = C::load::<V>(key);
                for (products, query) in products.iter_mut().zip(queries) {
                    products[r] = key.multiply_add(query, products[r]);
                }
            }
        }
        let flat = products.as_flattened().chunks(QUAD);
        for (found, products) in found.as_flattened_mut().chunks_mut(QUAD).zip(flat) {
            let mut padded = [products[0]; QUAD];
            padded[..products.len()].copy_from_slice(products);
            found.copy_from_slice(&sums(padded)[..products.len()]);
        }
    }
    found
}

/// `out += Σ weights[s] · values[s]` of each query, some columns at a time, whose sums stay in registers over all rows.
///
/// weights: of each query (S), S at most [`KEYS`]; values: (S, D); out: (Q, D), Q at most [`HEADS`].
///
/// # Safety
/// As [`Vector`]'s.
#[inline(always)]
pub(super) unsafe fn weighted_sum<V: Vector, C: Load>(
    weights: &Scores,
    d_head: usize,
    values: &[C],
    out: &mut [f32],
) {
    // SAFETY: the caller's promise.
    unsafe {
        match out.len() / d_head {
            1 => sum_of::<V, C, 1>(weights, d_head, values, out),
            2 => sum_of::<V, C, 2>(weights, d_head, values, out),
            3 => sum_of::<V, C, 3>(weights, d_head, values, out),
            _ => sum_of::<V, C, 4>(weights, d_head, values, out),
        }
    }
}

/// [`weighted_sum`] of Q queries.
///
/// # Safety
/// As [`Vector`]'s.
#[inline(always)]
unsafe fn sum_of<V: Vector, C: Load, const Q: usize>(
    weights: &Scores,
    d_head: usize,
    values: &[C],
    out: &mut [f32],
) {
    let n_keys = values.len() / d_head;
    assert!(out.len() == Q * d_head && values.len() == n_keys * d_head);
    let weights: [&[f32]; Q] = core::array::from_fn(|nth| &weights[nth][..n_keys]);
    // Of short vectors, whose heads are whole fours of them, fewer widths are compiled: the page downloads each.
    let most = V::SUMS / (2 * Q);
    let mut column = 0;
    while d_head - column >= V::LANES {
        // SAFETY: the caller's promise; so many vectors lie within a row from the column on.
        column += V::LANES
            * unsafe {
                match ((d_head - column) / V::LANES).min(most) {
                    4.. if most >= 4 => {
                        sum_columns::<V, C, 4, Q>(weights, d_head, values, column, out)
                    }
                    3 if most == 3 || most > 3 && V::LANES > 4 => {
                        sum_columns::<V, C, 3, Q>(weights, d_head, values, column, out)
                    }
                    2 if most == 2 || most > 2 && V::LANES > 4 => {
                        sum_columns::<V, C, 2, Q>(weights, d_head, values, column, out)
                    }
                    _ => sum_columns::<V, C, 1, Q>(weights, d_head, values, column, out),
                }
            };
    }
    if column < d_head {
        add_last_columns(&weights, d_head, column, values, out);
    }
}

/// Add what the values have in the columns from `column` on, which fill no vector. Not inlined, either.
#[inline(never)]
fn add_last_columns<C: Load>(
    weights: &[&[f32]],
    d_head: usize,
    column: usize,
    values: &[C],
    out: &mut [f32],
) {
    for column in column..d_head {
        for (weights, out) in weights.iter().zip(out.chunks_exact_mut(d_head)) {
            for (weight, value) in weights.iter().zip(values.chunks_exact(d_head)) {
                out[column] += weight * value[column].widen();
            }
        }
    }
}

/// [`weighted_sum`] of N vectors of columns from `column` on; returns N. Rows come by twos, each with sums of its own, so that an addition
/// need not wait for the one before.
///
/// # Safety
/// As [`Vector`]'s, and the columns lie within `d_head`, which `values` has for each of the weights and `out` for each query.
#[inline(always)]
unsafe fn sum_columns<V: Vector, C: Load, const N: usize, const Q: usize>(
    weights: [&[f32]; Q],
    d_head: usize,
    values: &[C],
    column: usize,
    out: &mut [f32],
) -> usize {
    let n_keys = weights[0].len();
    // SAFETY: the caller's promise.
    unsafe {
        let row = |s: usize, v: usize| values.as_ptr().add(s * d_head + column + v * V::LANES);
        let mut sums = [[[V::splat(0.0); N]; Q]; 2];
        for (q, sums) in sums[0].iter_mut().enumerate() {
            for (v, sum) in sums.iter_mut().enumerate() {
                *sum = V::load(out.as_ptr().add(q * d_head + column + v * V::LANES));
            }
        }
        let whole = n_keys - n_keys % 2;
        for first in (0..whole).step_by(2) {
            for (s, sums) in sums.iter_mut().enumerate() {
                let s = first + s;
                let weights = weights.map(|weights| V::splat(*weights.get_unchecked(s)));
                for v in 0..N {
                    let row = row(s, v);
                    V::prefetch(row.wrapping_byte_add(AHEAD));
                    let value = C::load::<V>(row);
                    for (sums, weight) in sums.iter_mut().zip(weights) {
                        sums[v] = value.multiply_add(weight, sums[v]);
                    }
                }
            }
        }
        let one = V::splat(1.0);
        for (q, sums_of_even) in sums[0].into_iter().enumerate() {
            for (v, sum) in sums_of_even.into_iter().enumerate() {
                let mut sum = sums[1][q][v].multiply_add(one, sum);
                if whole < n_keys {
                    let value = C::load::<V>(row(whole, v));
                    sum = value.multiply_add(V::splat(weights[q][whole]), sum);
                }
                sum.store(out.as_mut_ptr().add(q * d_head + column + v * V::LANES));
            }
        }
    }
    N
}
