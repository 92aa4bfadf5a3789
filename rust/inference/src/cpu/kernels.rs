//! The loops of a set of instructions, as a table.

use super::columns::Columns;
use super::softmax::Softmax;
use super::tiles::Tiling;
use crate::weights::Weights;

/// `(q, d_head, keys, values, out)`, keys and values as a cache holds them.
pub(super) type Attend<C> = unsafe fn(&[f32], usize, &[C], &[C], &mut [f32]);

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
    /// [`super::attend::attend`]
    pub attend: Attend<f32>,
    /// The same over a cache in f16.
    pub attend_f16: Attend<u16>,
}

/// The [`Kernels`] of `$vector`, compiled for `$features`, which are the vector's instructions: a single token is multiplied by `$products`,
/// tiles have 1 to `$most` vectors.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! compile_kernels {
    ($features:literal, $vector:ty, $products:path, $($fewer:literal)*, $most:literal) => {
        pub(super) const KERNELS: Kernels = Kernels {
            tiling: Tiling {
                rows: ROWS,
                lanes: LANES,
                tokens: $most * LANES,
                tile: tile_of_products,
                quads: Some(Quads {
                    pack: pack_quads,
                    transpose: transpose_quads,
                    rows: ROWS / QUAD * QUAD,
                }),
            },
            products,
            widen,
            silu,
            softmax,
            attend: attend::<f32>,
            attend_f16: attend::<u16>,
        };

        #[target_feature(enable = $features)]
        fn tile_of_products(activations: &[f32], tokens: usize, rows: &Rows, sums: &mut Sums, ahead: Ahead) {
            // SAFETY: this function is compiled for the vector's instructions, and so is what is inlined here.
            unsafe {
                match tokens / LANES {
                    $($fewer => tile::<$vector, ROWS, $fewer>(activations, rows, sums, ahead),)*
                    _ => tile::<$vector, ROWS, $most>(activations, rows, sums, ahead),
                }
            }
        }

        #[target_feature(enable = $features)]
        fn pack_quads(x: &[f32], k: usize, quads: usize, columns: &mut [MaybeUninit<f32>]) {
            // SAFETY: as above.
            unsafe { quads::pack_quads::<$vector>(x, k, quads, columns) };
        }

        #[target_feature(enable = $features)]
        fn transpose_quads(sums: &mut Sums, tokens: usize) {
            // SAFETY: as above.
            unsafe { quads::transpose_quads::<$vector, ROWS>(sums, tokens) };
        }

        #[target_feature(enable = $features)]
        fn products(x: &[f32], w: Weights<'_>, t: usize, out: &mut Columns<'_>) {
            // SAFETY: as above.
            unsafe { $products(x, w, t, out) };
        }

        #[target_feature(enable = $features)]
        fn widen(w: Weights<'_>, from: usize, widened: &mut [f32]) {
            // SAFETY: as above.
            unsafe { rows::widen::<$vector>(w, from, widened) };
        }

        #[target_feature(enable = $features)]
        fn silu(gate: &mut [f32], up: &[f32]) {
            silu_of(gate, up);
        }

        #[target_feature(enable = $features)]
        fn softmax(softmax: &mut Softmax, scores: &mut [f32]) -> f32 {
            softmax.go_on(scores)
        }

        #[target_feature(enable = $features)]
        fn attend<C: Cached>(q: &[f32], d_head: usize, keys: &[C], values: &[C], out: &mut [f32]) {
            let products = |q: &[f32], keys: &[C], scores: &mut Scores| {
                // SAFETY: as above.
                unsafe {
                    attend::products::<$vector, C>(q, d_head, keys, scores, |sums| <$vector>::sums(sums));
                }
            };
            let sum = |weights: &Scores, values: &[C], out: &mut [f32]| {
                // SAFETY: as above.
                unsafe { attend::weighted_sum::<$vector, C>(weights, d_head, values, out) };
            };
            attend::attend(q, d_head, keys, values, out, products, |seen, scores| softmax(seen, scores), sum);
        }
    };
}
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) use compile_kernels;
