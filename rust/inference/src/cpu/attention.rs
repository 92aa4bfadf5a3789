//! Attention over the cache: keys and values in blocks, with a softmax that goes on from block to block, so that no memory grows
//! with the context.
//!
//! The queries of one token walk the cache by themselves, those of a group of heads together ([`attend`](super::attend)). The queries of
//! a prompt share it: the keys of a block are packed once and the values lie
//! as a tile wants them, so that both products are those of [`tiles`](super::tiles).
//! Source: Milakov & Gimelshein 2018, arXiv:1805.02867; Dao et al. 2022, arXiv:2205.14135.

use core::mem::MaybeUninit;

use super::attend::HEADS;
use super::cache::Cached;
use super::columns::Columns;
use super::isa::Isa;
use super::kernels::Kernels;
use super::matmul::{LEAST_OF_A_PART, TOKENS_OF_A_TILE};
use super::portable;
use super::softmax::{KEYS, Softmax};
use super::threads::{Cores, OneThread};
use super::tiles::{Ahead, DEPTH, ROWS, Rows, Sums, TOKENS, Tiling, pack};
use crate::weights::Weights;

/// The numbers that attention needs: heads, their width and the length of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// H, query heads.
    pub n_head: usize,
    /// G, key/value heads; H/G query heads share one.
    pub n_kv_head: usize,
    /// D, width of a head; even.
    pub d_head: usize,
    /// S, positions of the cache.
    pub ctx_len: usize,
}

/// Causal attention of T queries over the cache, softmax in f32 with the maximum subtracted.
///
/// q: (T, H·D); k_cache, v_cache: (G, S, D), both f32 or both f16; out: (T, H·D), written. Query t sees positions `0 … position + t`.
pub fn attention(
    cores: Cores<'_>,
    heads: Heads,
    q: &[f32],
    k_cache: Weights<'_>,
    v_cache: Weights<'_>,
    position: usize,
    out: &mut [f32],
) {
    match (k_cache, v_cache) {
        (Weights::F32(k), Weights::F32(v)) => attention_of(cores, heads, q, k, v, position, out),
        (Weights::F16(k), Weights::F16(v)) => attention_of(cores, heads, q, k, v, position, out),
        _ => panic!("a cache is f32 or f16, of keys and of values alike"),
    }
}

/// [`attention`] over a cache of one kind.
fn attention_of<C: Cached>(
    cores: Cores<'_>,
    heads: Heads,
    q: &[f32],
    k_cache: &[C],
    v_cache: &[C],
    position: usize,
    out: &mut [f32],
) {
    let Heads {
        n_head,
        n_kv_head,
        d_head,
        ctx_len,
    } = heads;
    let q_width = n_head * d_head;
    let tokens = q.len() / q_width;
    assert_eq!(q.len(), out.len());
    let of_a_head = ctx_len * d_head;
    assert!(k_cache.len() == n_kv_head * of_a_head && v_cache.len() == n_kv_head * of_a_head);
    assert!(position + tokens <= ctx_len);
    let seen = (position + tokens) * d_head;
    let cores = if q.len() * (position + tokens) < LEAST_OF_A_PART {
        Cores {
            threads: &OneThread,
            ..cores
        }
    } else {
        cores
    };
    // Asked again where a part begins: where there is no table the compiler sees it there, and leaves the tiles out.
    let kernels = |isa: Isa| {
        isa.kernels()
            .filter(|_| tokens >= TOKENS_OF_A_TILE && d_head <= DEPTH)
    };
    let group = n_head / n_kv_head;
    // Heads that share keys are one part, unless there are threads to spare for each: in tiles, where threads want more parts than one.
    let least = match kernels(cores.isa) {
        Some(_) => 2 * cores.threads.count(),
        None => cores.threads.count(),
    };
    let shared = if n_kv_head >= least {
        group.min(HEADS)
    } else {
        1
    };
    let parts_of_a_group = group.div_ceil(shared);
    let out = Columns::all(out, q_width);
    cores.for_each(n_kv_head * parts_of_a_group, |part| {
        let (kv_head, nth) = (part / parts_of_a_group, part % parts_of_a_group);
        let first = kv_head * group + nth * shared;
        let last = (kv_head + 1) * group;
        let columns = first * d_head..last.min(first + shared) * d_head;
        let keys = &k_cache[kv_head * of_a_head..][..seen];
        let values = &v_cache[kv_head * of_a_head..][..seen];
        // SAFETY: the parts have no head in common, none is called twice, and nothing else writes to `out`.
        let mut out = unsafe { out.part(columns.clone()) };
        for t in (0..tokens).step_by(TOKENS) {
            let end = tokens.min(t + TOKENS);
            let queries = Queries {
                q: &q[t * q_width..end * q_width],
                q_width,
                columns: columns.clone(),
                d_head,
                position: position + t,
            };
            match kernels(cores.isa) {
                // SAFETY: whoever made the Isa promised that the processor has these instructions.
                Some(kernels) => unsafe { queries.attend(kernels, keys, values, t, &mut out) },
                None => queries.attend_by_token(cores, keys, values, t, &mut out),
            }
        }
    });
}

/// Queries of some tokens and of neighbouring heads.
struct Queries<'a> {
    /// (T, `q_width`)
    q: &'a [f32],
    q_width: usize,
    /// The heads' columns of q.
    columns: core::ops::Range<usize>,
    d_head: usize,
    /// Of the first token.
    position: usize,
}

impl Queries<'_> {
    fn heads(&self) -> usize {
        self.columns.len() / self.d_head
    }

    fn len(&self) -> usize {
        self.q.len() / self.q_width * self.heads()
    }

    /// The token of query `index` and its head among these. Neighbours are of one token, and so see the same keys.
    fn place(&self, index: usize) -> (usize, usize) {
        (index / self.heads(), index % self.heads())
    }

    fn query(&self, index: usize) -> &[f32] {
        let (token, head) = self.place(index);
        &self.q[token * self.q_width + self.columns.start + head * self.d_head..][..self.d_head]
    }

    /// How many keys query `index` sees.
    fn seen(&self, index: usize) -> usize {
        self.position + self.place(index).0 + 1
    }

    /// The queries of each token by themselves. keys, values: (S, D); `out`'s lines from `first_token` on are written.
    fn attend_by_token<C: Cached>(
        &self,
        cores: Cores<'_>,
        keys: &[C],
        values: &[C],
        first_token: usize,
        out: &mut Columns<'_>,
    ) {
        for (token, q) in self.q.chunks_exact(self.q_width).enumerate() {
            let seen = (self.position + token + 1) * self.d_head;
            let (q, keys, values) = (&q[self.columns.clone()], &keys[..seen], &values[..seen]);
            let out = out.line(first_token + token);
            match cores.isa.kernels() {
                // SAFETY: whoever made the Isa promised that the processor has these instructions.
                Some(kernels) => unsafe {
                    C::attend(kernels)(q, self.d_head, keys, values, out);
                },
                None => portable::attend(q, self.d_head, keys, values, out),
            }
        }
    }

    /// All queries together, in tiles. keys, values: (S, D); `out`'s lines from `first_token` on are written.
    ///
    /// # Safety
    /// The processor has the kernels' instructions.
    unsafe fn attend<C: Cached>(
        &self,
        kernels: &Kernels,
        keys: &[C],
        values: &[C],
        first_token: usize,
        out: &mut Columns<'_>,
    ) {
        let d_head = self.d_head;
        let scale = 1.0 / libm::sqrtf(d_head as f32);
        let padded = d_head.next_multiple_of(kernels.tiling.lanes);
        let lies_ready = padded == d_head && d_head <= kernels.tiling.tokens;
        let mut packed = [MaybeUninit::uninit(); TOKENS * DEPTH];
        let mut lined_up = [MaybeUninit::uninit(); TOKENS * DEPTH];
        let mut widened = [MaybeUninit::uninit(); TOKENS * DEPTH];
        let mut rows: Rows = [[0.0; DEPTH]; ROWS];
        let mut weights: Rows = [[0.0; DEPTH]; ROWS];
        let mut sums: Sums = [[0.0; TOKENS]; ROWS];
        let mut softmaxes = [Softmax::NOTHING; HEADS * TOKENS];
        for index in 0..self.len() {
            let (token, head) = self.place(index);
            out.line(first_token + token)[head * d_head..][..d_head].fill(0.0);
        }
        let block = KEYS.min(TOKENS * DEPTH / padded / kernels.tiling.lanes * kernels.tiling.lanes);
        for (nth, (keys, values)) in keys
            .chunks(block * d_head)
            .zip(values.chunks(block * d_head))
            .enumerate()
        {
            let n_keys = keys.len() / d_head;
            // How many keys of this block a query sees.
            let seen = |index: usize| self.seen(index).saturating_sub(nth * block).min(n_keys);
            // SAFETY: the caller's promise.
            let keys = unsafe { widen(kernels, keys, &mut widened) };
            let keys = pack(kernels.tiling, keys, d_head, 0, d_head, &mut packed);
            // SAFETY: the caller's promise.
            let values = unsafe { widen(kernels, values, &mut widened) };
            let values = if lies_ready {
                values
            } else {
                line_up(kernels.tiling, values, d_head, &mut lined_up)
            };
            for first in (0..self.len()).step_by(kernels.tiling.rows) {
                let in_group = kernels.tiling.rows.min(self.len() - first);
                let most = seen(first + in_group - 1); // the later a query, the more it sees
                if most == 0 {
                    continue;
                }
                for (r, row) in rows[..in_group].iter_mut().enumerate() {
                    for (row, q) in row.iter_mut().zip(self.query(first + r)) {
                        *row = q * scale;
                    }
                }
                let mut key = 0;
                for tile in keys.chunks(kernels.tiling.tokens * d_head) {
                    if key >= most {
                        break;
                    }
                    let width = tile.len() / d_head;
                    // SAFETY: the caller's promise.
                    unsafe { (kernels.tiling.tile)(tile, width, &rows, &mut sums, Ahead::NOTHING) };
                    for (weights, sums) in weights[..in_group].iter_mut().zip(&sums) {
                        weights[key..key + width].copy_from_slice(&sums[..width]);
                    }
                    key += width;
                }
                let mut shrunk = [1.0; ROWS];
                for (r, weights) in weights[..in_group].iter_mut().enumerate() {
                    let (weights, unseen) = weights[..most].split_at_mut(seen(first + r));
                    unseen.fill(0.0);
                    if !weights.is_empty() {
                        let softmax = &mut softmaxes[first + r];
                        // SAFETY: the caller's promise.
                        shrunk[r] = unsafe { (kernels.softmax)(softmax, weights) };
                    }
                }
                let mut column = 0;
                for tile in values.chunks(kernels.tiling.tokens.min(padded) * n_keys) {
                    let width = tile.len() / n_keys;
                    // SAFETY: the caller's promise.
                    unsafe {
                        (kernels.tiling.tile)(
                            &tile[..most * width],
                            width,
                            &weights,
                            &mut sums,
                            Ahead::NOTHING,
                        )
                    };
                    for (r, sums) in sums[..in_group].iter().enumerate() {
                        let (token, head) = self.place(first + r);
                        let line = &mut out.line(first_token + token)[head * d_head..][..d_head];
                        for (out, sum) in line[column..].iter_mut().zip(&sums[..width]) {
                            *out = *out * shrunk[r] + sum;
                        }
                    }
                    column += width;
                }
            }
        }
        for (index, softmax) in softmaxes[..self.len()].iter().enumerate() {
            let (token, head) = self.place(index);
            for out in &mut out.line(first_token + token)[head * d_head..][..d_head] {
                *out /= softmax.total;
            }
        }
    }
}

/// The values as f32: where they lie, or `widened`, which has room for them.
///
/// # Safety
/// The processor has the kernels' instructions.
unsafe fn widen<'a, C: Cached>(
    kernels: &Kernels,
    values: &'a [C],
    widened: &'a mut [MaybeUninit<f32>],
) -> &'a [f32] {
    if let Some(values) = C::as_f32(values) {
        return values;
    }
    let widened = &mut widened[..values.len()];
    widened.fill(MaybeUninit::new(0.0));
    // SAFETY: all were written, and an f32 lies as one that may not have been.
    let widened = unsafe { &mut *(&raw mut *widened as *mut [f32]) };
    // SAFETY: the caller's promise.
    unsafe { (kernels.widen)(C::weights(values), 0, widened) };
    widened
}

/// values (S, D) in tiles of columns, each (S, columns); columns beyond the last are 0.
fn line_up<'a>(
    tiling: Tiling,
    values: &[f32],
    d_head: usize,
    lined_up: &'a mut [MaybeUninit<f32>],
) -> &'a [f32] {
    let padded = d_head.next_multiple_of(tiling.lanes);
    let n_keys = values.len() / d_head;
    let lined_up = &mut lined_up[..n_keys * padded];
    for (index, tile) in lined_up
        .chunks_mut(tiling.tokens.min(padded) * n_keys)
        .enumerate()
    {
        let width = tile.len() / n_keys;
        let first = index * tiling.tokens;
        let columns = first..d_head.min(first + width);
        for (tile, values) in tile
            .chunks_exact_mut(width)
            .zip(values.chunks_exact(d_head))
        {
            let (tile, beyond) = tile.split_at_mut(columns.len());
            for (to, from) in tile.iter_mut().zip(&values[columns.clone()]) {
                to.write(*from);
            }
            beyond.fill(MaybeUninit::new(0.0));
        }
    }
    // SAFETY: every tile was written, and an f32 lies as one that may not have been.
    unsafe { &*(&raw const *lined_up as *const [f32]) }
}
