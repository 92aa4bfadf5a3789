//! Products of many tokens: a few rows of weights are widened once for up to [`TOKENS`] tokens, whose activations lie packed in
//! the order in which a tile reads them.
//!
//! A tile is some rows × some vectors of tokens. Its sums stay in registers; a step takes the tokens' activations at one place of
//! the rows, one token a lane, and multiplies them by one weight of each row, spread over all lanes. So no sum is ever added up
//! across lanes, and a value's order of summation depends on nothing but the length of a row. What is multiplied lies in the first
//! two caches: the packed activations take 96 KiB, the widened rows 18. While a tile is computed, the rows of the next group are fetched:
//! else it is memory that f32 weights wait for.
//! Source: Goto & van de Geijn 2008, "Anatomy of High-Performance Matrix Multiplication".

use core::mem::MaybeUninit;

use super::columns::Columns;
use super::vector::{QUAD, Vector};
use crate::format::BLOCK;

/// The most rows of a tile.
pub(super) const ROWS: usize = 12;
/// Tokens that share a reading of the weights.
pub(super) const TOKENS: usize = 64;
/// The most weights of a row that are widened at once.
pub(super) const DEPTH: usize = 384;

/// Widened rows; those beyond the last row of a matrix hold what they held.
pub(super) type Rows = [[f32; DEPTH]; ROWS];
/// The products of a tile.
pub(super) type Sums = [[f32; TOKENS]; ROWS];

/// How some instructions compute a tile.
#[derive(Clone, Copy)]
pub(super) struct Tiling {
    /// Rows of a tile.
    pub rows: usize,
    /// Tokens of a vector.
    pub lanes: usize,
    /// The most tokens of a tile.
    pub tokens: usize,
    /// `(activations, tokens, rows, sums, ahead)`: activations (depth, tokens), where tokens is a multiple of `lanes`; rows' first `depth`
    /// columns are read, sums' first `tokens` written, of the tile's rows.
    pub tile: unsafe fn(&[f32], usize, &Rows, &mut Sums, Ahead),
    /// How values change places, where the instructions have something better than one at a time.
    pub quads: Option<Quads>,
}

/// Weights that are fetched while a tile is computed, since nothing else is read from memory meanwhile.
#[derive(Clone, Copy)]
pub(super) struct Ahead {
    /// Where the first row begins.
    pub from: *const u8,
    /// From a row to the next, in bytes.
    pub stride: usize,
    pub rows: usize,
    /// Of a row, in bytes.
    pub nbytes: usize,
}

impl Ahead {
    pub const NOTHING: Self = Self {
        from: core::ptr::null(),
        stride: 0,
        rows: 0,
        nbytes: 0,
    };
}

/// Four vectors at a time change places: what a tile reads and what it leaves has one token a lane, everything else one a line.
#[derive(Clone, Copy)]
pub(super) struct Quads {
    /// [`super::quads::pack_quads`]
    pub pack: unsafe fn(&[f32], usize, usize, &mut [MaybeUninit<f32>]),
    /// [`super::quads::transpose_quads`]
    pub transpose: unsafe fn(&mut Sums, usize),
    /// How many of a tile's rows are transposed: whole fours.
    pub rows: usize,
}

/// Values that begin where a line of the cache does: a vector that lies across two of them is loaded twice.
#[repr(align(64))]
pub(super) struct Lines<T>(pub T);

/// Some columns of the activations of up to [`TOKENS`] tokens, packed.
pub(super) struct Packed<'a> {
    activations: &'a [f32],
    pub tokens: usize,
    /// The first of the columns, and how many they are.
    first: usize,
    pub depth: usize,
}

/// Call `multiply` with the activations x (T, K), T at most [`TOKENS`], packed [`DEPTH`] columns at a time.
#[inline(always)]
pub(super) fn each_depth(
    tiling: Tiling,
    x: &[f32],
    k: usize,
    mut multiply: impl FnMut(Packed<'_>),
) {
    let mut packed = Lines([MaybeUninit::uninit(); TOKENS * DEPTH]);
    // Parts of equal length, but for the last: whole blocks of every dtype, and none so short that a tile does not pay.
    let depth = k
        .div_ceil(k.div_ceil(DEPTH))
        .next_multiple_of(BLOCK)
        .min(DEPTH);
    for first in (0..k).step_by(depth) {
        let depth = depth.min(k - first);
        multiply(Packed {
            activations: pack(tiling, x, k, first, depth, &mut packed.0),
            tokens: x.len() / k,
            first,
            depth,
        });
    }
}

/// Multiply packed activations by the rows of weights whose columns `out` has; `widen` as [`matmul`]'s; `address(n, first)` is where row
/// n lies from its column `first` on, which may be beyond all rows.
///
/// # Safety
/// The processor has the tiling's instructions.
#[inline(always)]
pub(super) unsafe fn multiply(
    tiling: Tiling,
    packed: &Packed<'_>,
    widen: impl Fn(usize, usize, &mut [f32]),
    address: impl Fn(usize, usize) -> *const u8,
    first_token: usize,
    out: &mut Columns<'_>,
) {
    let Packed {
        tokens,
        first,
        depth,
        ..
    } = *packed;
    let mut rows: Rows = [[0.0; DEPTH]; ROWS];
    let mut sums: Sums = [[0.0; TOKENS]; ROWS];
    let n_rows = out.len();
    for n in (0..n_rows).step_by(tiling.rows) {
        let in_group = tiling.rows.min(n_rows - n);
        for (r, row) in rows[..in_group].iter_mut().enumerate() {
            widen(n + r, first, &mut row[..depth]);
        }
        // Each tile fetches its share of the next group's rows.
        let share = tiling.rows.div_ceil(tokens.div_ceil(tiling.tokens));
        let mut next = n + tiling.rows;
        let mut t = 0;
        for tile in packed.activations.chunks(tiling.tokens * depth) {
            let in_tile = tile.len() / depth;
            let from = address(next, first);
            let ahead = Ahead {
                from,
                stride: (address(next + 1, first) as usize).wrapping_sub(from as usize),
                rows: share,
                nbytes: (address(next, first + depth) as usize).wrapping_sub(from as usize),
            };
            next += share;
            // SAFETY: the caller's promise.
            unsafe { (tiling.tile)(tile, in_tile, &rows, &mut sums, ahead) };
            let transposed = tiling.quads.map_or(0, |quads| {
                // SAFETY: the caller's promise.
                unsafe { (quads.transpose)(&mut sums, in_tile) };
                quads.rows
            });
            for lane in 0..in_tile.min(tokens - t) {
                let line = &mut out.line(first_token + t + lane)[n..n + in_group];
                let (quads, others) = line.split_at_mut(transposed.min(in_group));
                let (quad, nth) = (lane / QUAD * QUAD, lane % QUAD);
                for (out, sums) in quads.chunks_mut(QUAD).zip(sums.chunks(QUAD)) {
                    put(out, &sums[nth][quad..], first);
                }
                for (out, sums) in others.chunks_mut(1).zip(&sums[transposed..]) {
                    put(out, &sums[lane..], first);
                }
            }
            t += in_tile;
        }
    }
}

/// Write the sums of the columns from `first` on, which the first of them begin and the others are added to.
#[inline(always)]
fn put(out: &mut [f32], sums: &[f32], first: usize) {
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = if first == 0 { *sum } else { *out + sum };
    }
}

/// `out = x · wᵀ` for the tokens `first_token …`. x: (T, K), T at most [`TOKENS`]; `widen(n, first, weights)` writes row n from its
/// column `first` on.
///
/// # Safety
/// The processor has the tiling's instructions.
#[inline(always)]
pub(super) unsafe fn matmul(
    tiling: Tiling,
    x: &[f32],
    k: usize,
    widen: impl Fn(usize, usize, &mut [f32]) + Copy,
    first_token: usize,
    out: &mut Columns<'_>,
) {
    each_depth(tiling, x, k, |packed| {
        // SAFETY: the caller's promise.
        unsafe {
            multiply(
                tiling,
                &packed,
                widen,
                |_, _| core::ptr::null(),
                first_token,
                out,
            )
        };
    });
}

/// The chunks of x (T, K) that are read in tiles, each with the index of its first token, and how many tokens these are: the others
/// are fewer than `least`, and are read one by one.
pub(super) fn parts(
    x: &[f32],
    k: usize,
    least: usize,
) -> (impl Iterator<Item = (usize, &[f32])>, usize) {
    let tokens = x.len() / k;
    let rest = tokens % TOKENS;
    let tiled = if rest < least { tokens - rest } else { tokens };
    let chunks = x[..tiled * k].chunks(TOKENS * k).enumerate();
    (chunks.map(|(index, x)| (index * TOKENS, x)), tiled)
}

/// Columns that are packed together, for all tokens of a tile.
pub(super) const COLUMNS: usize = 16;

/// The columns `first … first + depth` of x (T, K), tile by tile of (depth, tokens); lanes without a token are 0.
///
/// A few columns of all tokens come before the next, so that what is written lies in the first cache.
pub(super) fn pack<'a>(
    tiling: Tiling,
    x: &[f32],
    k: usize,
    first: usize,
    depth: usize,
    packed: &'a mut [MaybeUninit<f32>],
) -> &'a [f32] {
    let tokens = x.len() / k;
    let padded = tokens.next_multiple_of(tiling.lanes);
    let packed = &mut packed[..padded * depth];
    for (index, tile) in packed.chunks_mut(tiling.tokens * depth).enumerate() {
        let width = tile.len() / depth;
        let first_token = index * tiling.tokens;
        let in_tile = width.min(tokens - first_token);
        for (part, columns) in tile.chunks_mut(COLUMNS * width).enumerate() {
            let x = &x[first_token * k + first + part * COLUMNS..];
            let n = columns.len() / width;
            let in_quads = match tiling.quads {
                Some(quads) if n == COLUMNS => {
                    // SAFETY: whoever made the Isa of this tiling promised that the processor has its instructions.
                    unsafe { (quads.pack)(x, k, in_tile / QUAD, columns) };
                    in_tile / QUAD * QUAD
                }
                _ => 0,
            };
            for lane in in_quads..width {
                let lanes = columns[lane..].iter_mut().step_by(width);
                if lane < in_tile {
                    for (packed, x) in lanes.zip(&x[lane * k..][..n]) {
                        packed.write(*x);
                    }
                } else {
                    lanes.for_each(|packed| {
                        packed.write(0.0);
                    });
                }
            }
        }
    }
    // SAFETY: every tile was written, each of its columns in all rows, and an f32 lies as one that may not have been.
    unsafe { &*(&raw const *packed as *const [f32]) }
}

/// [`Tiling::tile`] with tiles of R rows and VECTORS vectors. activations: (depth, VECTORS · LANES).
///
/// # Safety
/// As [`Vector`]'s.
#[inline(always)]
pub(super) unsafe fn tile<V: Vector, const R: usize, const VECTORS: usize>(
    activations: &[f32],
    rows: &Rows,
    out: &mut Sums,
    ahead: Ahead,
) {
    let step = VECTORS * V::LANES;
    let depth = activations.len() / step;
    assert!(depth <= DEPTH && step <= TOKENS && R <= ROWS);
    // SAFETY: the processor has the instructions; i is below the depth, so that the vectors of step i lie within the activations and
    // weight i within each row; a row of `out` has room for all vectors.
    unsafe {
        let mut sums = [[V::splat(0.0); VECTORS]; R];
        // As many parts as rows are fetched meanwhile.
        let part = depth.div_ceil(ahead.rows.max(1)).max(1);
        let bytes_of_a_step = ahead.nbytes / part;
        // What is there already where there is nothing to fetch: an address that is nobody's is looked up each time.
        let from = if ahead.rows == 0 {
            rows.as_ptr().cast()
        } else {
            ahead.from
        };
        for (nth, first) in (0..depth).step_by(part).enumerate() {
            let mut fetched = from.wrapping_add(nth * ahead.stride);
            for i in first..depth.min(first + part) {
                V::prefetch(fetched);
                fetched = fetched.wrapping_add(bytes_of_a_step);
                let mut xs = [V::splat(0.0); VECTORS];
                for (v, x) in xs.iter_mut().enumerate() {
                    *x = V::load(activations.as_ptr().add(i * step + v * V::LANES));
                }
                for (sums, row) in sums.iter_mut().zip(rows) {
                    let weight = V::splat(*row.get_unchecked(i));
                    for (sum, x) in sums.iter_mut().zip(xs) {
                        *sum = x.multiply_add(weight, *sum);
                    }
                }
            }
        }
        for (sums, out) in sums.iter().zip(out) {
            for (v, sum) in sums.iter().enumerate() {
                sum.store(out.as_mut_ptr().add(v * V::LANES));
            }
        }
    }
}
