//! The loops of a set of instructions, as a table.

use super::columns::Columns;
use super::softmax::Softmax;
use super::tiles::Tiling;
use crate::weights::Weights;

/// `(q, keys, values, out)`
pub(super) type AttendOne = unsafe fn(&[f32], &[f32], &[f32], &mut [f32]);

/// Loops compiled for some instructions. To call one is safe where the processor has these.
pub(super) struct Kernels {
    /// Tiles of [`ROWS`](super::tiles::ROWS) rows.
    pub tiling: Tiling,
    /// [`super::rows::products`]
    pub products: unsafe fn(&[f32], Weights<'_>, usize, &mut Columns<'_>),
    /// [`super::rows::widen`]
    pub widen: unsafe fn(Weights<'_>, usize, &mut [f32]),
    /// [`super::exp::silu_of`]
    pub silu: unsafe fn(&mut [f32], &[f32]),
    /// [`Softmax::go_on`]
    pub softmax: unsafe fn(&mut Softmax, &mut [f32]) -> f32,
    /// [`super::softmax::attend_one`]
    pub attend_one: AttendOne,
}
