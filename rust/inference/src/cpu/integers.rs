//! Products of the block formats in integers: activations are rounded to 16 bits a block, so that eight of them are multiplied by
//! eight quants and added in pairs by one instruction, where floats take eight.
//!
//! A block's largest activation becomes ±32,767: rounding moves a product by some 2e-5 of its spread at most, a hundredth of what
//! rounding to 8 bits does, as llama.cpp has it. The quants are exact, and so are their sums in 32 bits.
//!
//! A quant of q4_0 is multiplied without its offset, as the unsigned half byte: Σ s·(u − 8)·x = Σ s·u·x − Σ s·(8·Σx), and what
//! stands in the last bracket is known once a block of activations.

use core::mem::MaybeUninit;

use super::columns::Columns;
use super::lanes::{Floats, LANES, WORDS, Words};
use crate::format::BLOCK;
use crate::weights::{Blocks, Q4_0, Q8_0, Quant, Weight};

/// A block format whose quants are multiplied as integers.
pub(super) trait Packed: Quant {
    /// How much more a word is than its quant.
    const OFFSET: f32;

    /// The words of a block's quants; `place(i)` is the weight that word i belongs to.
    fn words(bytes: &Self::Bytes) -> [Words; WORDS];
    /// See [`Packed::words`].
    fn place(word: usize) -> usize;
}

impl Packed for Q8_0 {
    const OFFSET: f32 = 0.0;

    #[inline(always)]
    fn words(bytes: &Self::Bytes) -> [Words; WORDS] {
        Words::of_bytes(bytes)
    }

    #[inline(always)]
    fn place(word: usize) -> usize {
        word
    }
}

impl Packed for Q4_0 {
    const OFFSET: f32 = 8.0;

    #[inline(always)]
    fn words(bytes: &Self::Bytes) -> [Words; WORDS] {
        Words::of_nibbles(bytes)
    }

    #[inline(always)]
    fn place(word: usize) -> usize {
        let (register, lane) = (word / 8, word % 8);
        2 * lane + register / 2 + register % 2 * (BLOCK / 2)
    }
}

/// Tokens that share a reading of the weights.
const TOKENS: usize = 64;
/// Blocks of activations that are held at once: 96 KiB of words, and 24 blocks of each of 64 tokens.
const HELD: usize = 1536;
/// The most blocks of a row that are widened at once for several tokens.
const DEPTH: usize = HELD / TOKENS;
/// Rows and tokens of a tile, and rows that are multiplied together when one token is read.
const TILE_ROWS: usize = 2;
const TILE_TOKENS: usize = 2;
const ROWS: usize = 4;

/// The activations of one token, or the quants of one row, as words: one element a block.
#[derive(Clone, Copy)]
struct Row<'a> {
    words: &'a [[i16; BLOCK]],
    scales: &'a [f32],
}

/// Activations as integers: `scale · word` is the activation.
struct Rounded<'a> {
    /// (T, blocks)
    words: &'a [[i16; BLOCK]],
    /// (T, blocks)
    scales: &'a [f32],
    /// (T, blocks), −OFFSET · the sum of a block's activations.
    offsets: &'a [f32],
    blocks: usize,
}

impl Rounded<'_> {
    fn row(&self, t: usize) -> Row<'_> {
        let part = t * self.blocks..(t + 1) * self.blocks;
        Row {
            words: &self.words[part.clone()],
            scales: &self.scales[part],
        }
    }

    fn offsets(&self, t: usize) -> &[f32] {
        &self.offsets[t * self.blocks..(t + 1) * self.blocks]
    }
}

/// Room for [`Rounded`].
struct Room {
    words: [MaybeUninit<[i16; BLOCK]>; HELD],
    scales: [MaybeUninit<f32>; HELD],
    offsets: [MaybeUninit<f32>; HELD],
}

impl Room {
    /// The columns `first …` of x (T, K), `blocks` blocks of each row.
    fn round<Q: Packed>(
        &mut self,
        x: &[f32],
        k: usize,
        first: usize,
        blocks: usize,
    ) -> Rounded<'_> {
        let n = x.len() / k * blocks;
        let (words, scales) = (&mut self.words[..n], &mut self.scales[..n]);
        let offsets = &mut self.offsets[..n];
        let mut index = 0;
        for x in x.chunks_exact(k) {
            for x in x[first..][..blocks * BLOCK].as_chunks::<BLOCK>().0 {
                let (rounded, scale) = round(x);
                words[index].write(core::array::from_fn(|word| rounded[Q::place(word)]));
                scales[index].write(scale);
                let sum: f32 = if Q::OFFSET == 0.0 { 0.0 } else { sum(&rounded) };
                offsets[index].write(-Q::OFFSET * scale * sum);
                index += 1;
            }
        }
        // SAFETY: the loop wrote `index == n` elements of each, one for each block of each token.
        unsafe {
            Rounded {
                words: &*(&raw const *words as *const [[i16; BLOCK]]),
                scales: &*(&raw const *scales as *const [f32]),
                offsets: &*(&raw const *offsets as *const [f32]),
                blocks,
            }
        }
    }
}

/// The words of a block, and what one of them is worth. What is no number stays none: its scale is NaN or infinite.
#[inline(always)]
fn round(x: &[f32; BLOCK]) -> ([i16; BLOCK], f32) {
    // Below this a block is 0: its quotients would leave f32.
    const LEAST: f32 = 1e-30;
    const LARGEST: f32 = i16::MAX as f32;
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2^23: adding it rounds to an integer, which its low bits then hold
    // As integers the magnitudes have the order of the floats, and NaN is the largest.
    let magnitude = |x: &f32| (x.to_bits() & 0x7fff_ffff) as i32;
    let largest = x.iter().map(magnitude).fold(0, i32::max);
    let largest = f32::from_bits(largest as u32);
    if largest < LEAST {
        return ([0; BLOCK], 0.0);
    }
    let quotient = LARGEST / largest;
    (
        x.map(|x| (x * quotient + ROUND).to_bits() as i16),
        largest / LARGEST,
    )
}

/// The sum of a block's words, exact.
#[inline(always)]
fn sum(words: &[i16; BLOCK]) -> f32 {
    words.iter().map(|word| i32::from(*word)).sum::<i32>() as f32
}

/// `out = x · wᵀ`. x: (T, K); w: (N, K) in blocks along K, which is a multiple of [`BLOCK`]; out: (T, N), written.
#[inline(never)]
pub(super) fn matmul<Q: Packed>(x: &[f32], w: Blocks<'_, Q>, k: usize, out: &mut Columns<'_>) {
    let mut room = Room {
        words: [MaybeUninit::uninit(); HELD],
        scales: [MaybeUninit::uninit(); HELD],
        offsets: [MaybeUninit::uninit(); HELD],
    };
    let per_row = k / BLOCK;
    for (chunk, x) in x.chunks(TOKENS * k).enumerate() {
        let t = chunk * TOKENS;
        // One token's activations are held in a part that is as long as they are, or nearly.
        let most = if x.len() == k { HELD } else { DEPTH };
        let parts = per_row.div_ceil(most);
        let depth = per_row.div_ceil(parts).next_multiple_of(LANES).min(most);
        for first in (0..per_row).step_by(depth) {
            let blocks = depth.min(per_row - first);
            let x = room.round::<Q>(x, k, first * BLOCK, blocks);
            let part = |n: usize| w.part(n * per_row + first, blocks);
            if x.words.len() == blocks {
                one_token(&x, part, first == 0, t, out);
            } else {
                many_tokens(&x, part, first == 0, t, out);
            }
        }
    }
}

/// The products of one token with every row, each block widened in registers.
#[inline(always)]
fn one_token<'a, Q: Packed + 'a>(
    x: &Rounded<'_>,
    part: impl Fn(usize) -> Blocks<'a, Q>,
    is_first: bool,
    t: usize,
    out: &mut Columns<'_>,
) {
    let (row, offsets) = (x.row(0), x.offsets(0));
    let mut n = 0;
    while n + ROWS <= out.len() {
        let rows = core::array::from_fn(|r| part(n + r));
        let values = dots::<ROWS, Q>(rows, row, offsets);
        for (r, value) in values.into_iter().enumerate() {
            put(out, is_first, t, n + r, value);
        }
        n += ROWS;
    }
    for n in n..out.len() {
        let [value] = dots::<1, Q>([part(n)], row, offsets);
        put(out, is_first, t, n, value);
    }
}

#[inline(always)]
fn put(out: &mut Columns<'_>, is_first: bool, t: usize, n: usize, value: f32) {
    if is_first {
        out.set(t, n, value);
    } else {
        out.add(t, n, value);
    }
}

/// Four scales, or as many as there are and zeros.
#[inline(always)]
fn four<T: Copy + Default>(values: &[T], first: usize) -> [T; LANES] {
    match values[first..].first_chunk() {
        Some(four) => *four,
        None => core::array::from_fn(|i| values.get(first + i).copied().unwrap_or_default()),
    }
}

/// The sum of the products of a block's words.
#[inline(always)]
fn products(a: [Words; WORDS], b: [Words; WORDS]) -> Floats {
    let [p, q, r, s]: [_; WORDS] = core::array::from_fn(|i| a[i].dot(b[i]));
    p.add(q).add(r.add(s)).floats()
}

/// Dot products of R rows with one token's activations.
#[inline(always)]
fn dots<const R: usize, Q: Packed>(
    rows: [Blocks<'_, Q>; R],
    x: Row<'_>,
    offsets: &[f32],
) -> [f32; R] {
    let blocks = x.words.len();
    let mut sums = [Floats::splat(0.0); R];
    for first in (0..blocks).step_by(LANES) {
        let x_scales = Floats::load(&four(x.scales, first));
        let offsets = Floats::load(&four(offsets, first));
        let mut scales = [[0.0; LANES]; R];
        for ((scales, sum), row) in scales.iter_mut().zip(&mut sums).zip(&rows) {
            let own = Floats::of_halves(&four(row.scales, first));
            own.mul(x_scales).store(scales);
            if Q::OFFSET != 0.0 {
                *sum = own.multiply_add(offsets, *sum);
            }
        }
        for block in first..blocks.min(first + LANES) {
            let x = Words::load_all(&x.words[block]);
            for ((scales, sum), row) in scales.iter().zip(&mut sums).zip(&rows) {
                let product = products(Q::words(&row.quants[block]), x);
                *sum = product.multiply_add(Floats::splat(scales[block - first]), *sum);
            }
        }
    }
    sums.map(Floats::sum)
}

/// The products of several tokens with every row; a few rows are widened once for all tokens.
#[inline(always)]
fn many_tokens<'a, Q: Packed + 'a>(
    x: &Rounded<'_>,
    part: impl Fn(usize) -> Blocks<'a, Q>,
    is_first: bool,
    t: usize,
    out: &mut Columns<'_>,
) {
    let (blocks, tokens) = (x.blocks, x.words.len() / x.blocks);
    let mut words = [[[0; BLOCK]; DEPTH]; TILE_ROWS];
    let mut scales = [[0.0; DEPTH]; TILE_ROWS];
    for n in (0..out.len()).step_by(TILE_ROWS) {
        let in_group = TILE_ROWS.min(out.len() - n);
        for r in 0..in_group {
            let row = part(n + r);
            for (words, quants) in words[r].iter_mut().zip(row.quants) {
                Words::store_all(Q::words(quants), words);
            }
            for (scale, bits) in scales[r].iter_mut().zip(row.scales) {
                *scale = bits.widen();
            }
        }
        let rows: [Row<'_>; TILE_ROWS] = core::array::from_fn(|r| Row {
            words: &words[r][..blocks],
            scales: &scales[r][..blocks],
        });
        let mut put_all = |token: usize, values: &[f32]| {
            for (r, value) in values[..in_group].iter().enumerate() {
                put(out, is_first, t + token, n + r, *value);
            }
        };
        let mut token = 0;
        while token + TILE_TOKENS <= tokens {
            let tile: [_; TILE_TOKENS] = tile::<TILE_TOKENS, Q>(
                rows,
                core::array::from_fn(|i| x.row(token + i)),
                core::array::from_fn(|i| x.offsets(token + i)),
            );
            for (i, values) in tile.iter().enumerate() {
                put_all(token + i, values);
            }
            token += TILE_TOKENS;
        }
        for token in token..tokens {
            let [values] = tile::<1, Q>(rows, [x.row(token)], [x.offsets(token)]);
            put_all(token, &values);
        }
    }
}

/// Dot products of T tokens' activations with widened rows.
#[inline(always)]
fn tile<const T: usize, Q: Packed>(
    rows: [Row<'_>; TILE_ROWS],
    xs: [Row<'_>; T],
    offsets: [&[f32]; T],
) -> [[f32; TILE_ROWS]; T] {
    let blocks = rows[0].words.len();
    let mut sums = [[Floats::splat(0.0); TILE_ROWS]; T];
    for block in 0..blocks {
        let weights = rows.map(|row| Words::load_all(&row.words[block]));
        for (sums, x) in sums.iter_mut().zip(&xs) {
            let words = Words::load_all(&x.words[block]);
            let scale = Floats::splat(x.scales[block]);
            for ((sum, weights), row) in sums.iter_mut().zip(weights).zip(&rows) {
                let scale = Floats::splat(row.scales[block]).mul(scale);
                *sum = products(words, weights).multiply_add(scale, *sum);
            }
        }
    }
    if Q::OFFSET != 0.0 {
        for first in (0..blocks).step_by(LANES) {
            for (sums, offsets) in sums.iter_mut().zip(offsets) {
                let offsets = Floats::load(&four(offsets, first));
                for (sum, row) in sums.iter_mut().zip(&rows) {
                    let scales = Floats::load(&four(row.scales, first));
                    *sum = scales.multiply_add(offsets, *sum);
                }
            }
        }
    }
    sums.map(|sums| sums.map(Floats::sum))
}
