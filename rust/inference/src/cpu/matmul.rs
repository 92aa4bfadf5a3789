//! Products of activations with stored weights: the choice of instructions, and how threads share the rows of the weights.

use super::columns::Columns;
use super::kernels::Kernels;
use super::portable;
use super::threads::Cores;
use super::tiles;
use crate::weights::Weights;

/// A matrix that some input is multiplied with, and where the products go.
pub(super) struct Product<'a> {
    /// (N, K)
    w: Weights<'a>,
    /// (T, N)
    out: Columns<'a>,
}

impl<'a> Product<'a> {
    /// w: (N, K); out: (T, N), to be written.
    pub fn new(w: Weights<'a>, k: usize, out: &'a mut [f32]) -> Self {
        Self {
            w,
            out: Columns::all(out, w.len() / k),
        }
    }
}

/// From so many tokens on, a tile takes less time than its tokens one by one.
pub(super) const TOKENS_OF_A_TILE: usize = 4;

/// `out = x · wᵀ` of each product, whatever the dtypes. x: (T, K). Each weight is read once.
///
/// What an operation does with the products it does in a second pass over them, which costs next to nothing beside K
/// multiplications each: so the loops are compiled once a dtype, not once more for each operation.
pub(super) fn matmul(cores: Cores<'_>, x: &[f32], k: usize, products: &mut [Product<'_>]) {
    match cores.isa.kernels() {
        None => each_part(cores, x.len(), k, products, |w, out| {
            portable::matmul(x, w, k, out);
        }),
        Some(kernels) => in_vectors(cores, kernels, x, k, products),
    }
}

fn in_vectors(
    cores: Cores<'_>,
    kernels: &Kernels,
    x: &[f32],
    k: usize,
    products: &mut [Product<'_>],
) {
    let (chunks, tiled) = tiles::parts(x, k, TOKENS_OF_A_TILE);
    for (t, x) in chunks {
        // SAFETY: whoever made the Isa promised that the processor has these instructions.
        unsafe { matmul_shared(cores, kernels, x, k, t, products) };
    }
    let alone = &x[tiled * k..];
    if !alone.is_empty() {
        each_part(cores, alone.len(), k, products, |w, out| {
            for (t, x) in alone.chunks_exact(k).enumerate() {
                // SAFETY: as above.
                unsafe { (kernels.products)(x, w, tiled + t, out) };
            }
        });
    }
}

/// [`tiles::matmul`] of each product: the tokens are packed once, what the threads share are the rows of weights.
///
/// # Safety
/// The processor has the kernels' instructions.
unsafe fn matmul_shared(
    cores: Cores<'_>,
    kernels: &Kernels,
    x: &[f32],
    k: usize,
    first_token: usize,
    products: &mut [Product<'_>],
) {
    tiles::each_depth(kernels.tiling, x, k, |packed| {
        let per_row = packed.tokens * packed.depth;
        each_part(cores, per_row, k, products, |w, out| {
            let widen = |n: usize, first: usize, row: &mut [f32]| {
                // SAFETY: the caller's promise.
                unsafe { (kernels.widen)(w, n * k + first, row) };
            };
            let address = |n: usize, first: usize| w.address(n * k + first);
            // SAFETY: the caller's promise.
            unsafe {
                tiles::multiply(kernels.tiling, &packed, widen, address, first_token, out);
            };
        });
    });
}

/// Parts of the rows for each thread: where one is held up, the others take what it does not come to.
const PARTS_OF_A_THREAD: usize = 4;
/// Multiplications below which a part is not worth handing over.
pub(super) const LEAST_OF_A_PART: usize = 1 << 15;
/// A part's rows are a multiple of this, but for the last's: whole groups in every loop.
const ROWS_OF_A_PART: usize = 12;

/// Call `part` with the rows of each part of the products and the columns that they go to, on all threads. A row costs `per_row`
/// multiplications.
pub(super) fn each_part(
    cores: Cores<'_>,
    per_row: usize,
    k: usize,
    products: &mut [Product<'_>],
    part: impl Fn(Weights<'_>, &mut Columns<'_>) + Sync,
) {
    let rows: usize = products.iter().map(|product| product.out.len()).sum();
    let threads = cores.threads.count();
    let size = if threads == 1 {
        rows
    } else {
        let even = rows.div_ceil(threads * PARTS_OF_A_THREAD);
        let least = LEAST_OF_A_PART.div_ceil(per_row);
        even.max(least).next_multiple_of(ROWS_OF_A_PART)
    };
    let products = &*products;
    cores.for_each(rows.div_ceil(size), |index| {
        let mut first = 0;
        for Product { w, out } in products {
            let here = |row: usize| row.clamp(first, first + out.len()) - first;
            let rows = here(index * size)..here((index + 1) * size);
            if !rows.is_empty() {
                let w = w.part(rows.start * k, rows.len() * k);
                // SAFETY: the parts have no row in common, none is called twice, and nothing else writes to the products, which
                // are borrowed exclusively.
                part(w, &mut unsafe { out.part(rows) });
            }
            first += out.len();
        }
    });
}
