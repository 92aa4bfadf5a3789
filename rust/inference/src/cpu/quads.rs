//! What a tile reads and what it leaves has one token a lane, everything else one a line: values change places four by four.

use core::mem::MaybeUninit;

use super::tiles::{COLUMNS, Sums};
use super::vector::{MOST_LANES, QUAD, Widened};

/// The first [`COLUMNS`] columns of the first `quads` times four rows of x (T, k), packed: columns (COLUMNS, width), whose first lanes
/// are written.
///
/// # Safety
/// As [`Vector`]'s.
#[inline(always)]
pub(super) unsafe fn pack_quads<V: Widened>(
    x: &[f32],
    k: usize,
    quads: usize,
    columns: &mut [MaybeUninit<f32>],
) {
    let width = columns.len() / COLUMNS;
    for (quad, x) in x.chunks(QUAD * k).take(quads).enumerate() {
        for first in (0..COLUMNS).step_by(V::LANES) {
            // SAFETY: the processor has the instructions.
            let vectors = core::array::from_fn(|t| unsafe {
                V::load(x[t * k + first..][..V::LANES].as_ptr())
            });
            // SAFETY: as above.
            let transposed = unsafe { V::transpose(vectors) };
            for (nth, vector) in transposed.into_iter().enumerate() {
                let mut lanes = [0.0; MOST_LANES];
                // SAFETY: as above, and no vector has more lanes.
                unsafe { vector.store(lanes.as_mut_ptr()) };
                let lanes = lanes[..V::LANES].as_chunks::<QUAD>().0;
                for (part, lanes) in lanes.iter().enumerate() {
                    let column = first + part * QUAD + nth;
                    let packed = &mut columns[column * width + quad * QUAD..][..QUAD];
                    for (packed, x) in packed.iter_mut().zip(lanes) {
                        packed.write(*x);
                    }
                }
            }
        }
    }
}

/// Transpose each four lanes of each four rows of the first R, up to lane `tokens`: then lane t of row n stands in row
/// n / 4 · 4 + t % 4, lane t / 4 · 4 + n % 4.
///
/// # Safety
/// As [`Vector`]'s.
#[inline(always)]
pub(super) unsafe fn transpose_quads<V: Widened, const R: usize>(sums: &mut Sums, tokens: usize) {
    for rows in sums[..R].as_chunks_mut::<QUAD>().0 {
        for first in (0..tokens).step_by(V::LANES) {
            // SAFETY: the processor has the instructions, and the rows have V::LANES values there.
            unsafe {
                let vectors = rows
                    .each_ref()
                    .map(|row| V::load(row[first..][..V::LANES].as_ptr()));
                for (row, vector) in rows.iter_mut().zip(V::transpose(vectors)) {
                    vector.store(row[first..][..V::LANES].as_mut_ptr());
                }
            }
        }
    }
}
