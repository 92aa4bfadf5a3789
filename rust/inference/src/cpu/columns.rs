//! A product (T, N) on its way to memory: one line a token, one column a row of the weights.

use core::marker::PhantomData;
use core::ops::Range;

/// Some columns of a product that is being written, maybe while other threads write the others.
pub(super) struct Columns<'a> {
    /// (T, `width`)
    product: *mut f32,
    /// T
    tokens: usize,
    width: usize,
    /// The columns that are these.
    columns: Range<usize>,
    whole: PhantomData<&'a mut [f32]>,
}

// SAFETY: these columns are nobody else's: `all` has them from an exclusive reference, and `part`'s caller promises it.
unsafe impl Send for Columns<'_> {}
// SAFETY: through a shared reference nothing is written.
unsafe impl Sync for Columns<'_> {}

impl<'a> Columns<'a> {
    /// The whole of `product` (T, `width`).
    pub fn all(product: &'a mut [f32], width: usize) -> Self {
        let tokens = product.len() / width.max(1);
        assert_eq!(tokens * width, product.len());
        Self {
            product: product.as_mut_ptr(),
            tokens,
            width,
            columns: 0..width,
            whole: PhantomData,
        }
    }

    /// Some of these columns, counted from the first of them.
    ///
    /// # Safety
    /// While the part is there, no column of it is written through anything else.
    pub unsafe fn part(&self, columns: Range<usize>) -> Columns<'_> {
        assert!(columns.start <= columns.end && columns.end <= self.len());
        Columns {
            columns: self.columns.start + columns.start..self.columns.start + columns.end,
            whole: PhantomData,
            ..*self
        }
    }

    /// How many columns there are.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.columns.end - self.columns.start
    }

    /// Where the product of token `t` with row `n` is.
    #[inline(always)]
    fn place(&mut self, t: usize, n: usize) -> &mut f32 {
        assert!(t < self.tokens && n < self.len());
        // SAFETY: it lies within (T, width), in a column that is ours alone.
        unsafe { &mut *self.product.add(t * self.width + self.columns.start + n) }
    }

    /// The products of token `t`.
    #[inline(always)]
    pub fn line(&mut self, t: usize) -> &mut [f32] {
        assert!(t < self.tokens);
        // SAFETY: it lies within (T, width), in columns that are ours alone.
        unsafe {
            let first = self.product.add(t * self.width + self.columns.start);
            core::slice::from_raw_parts_mut(first, self.len())
        }
    }

    /// Write the product of token `t` with row `n`.
    #[inline(always)]
    pub fn set(&mut self, t: usize, n: usize, value: f32) {
        *self.place(t, n) = value;
    }

    /// Write the products of token `t` with the rows `n …`.
    #[inline(always)]
    pub fn set_all<const R: usize>(&mut self, t: usize, n: usize, values: [f32; R]) {
        self.line(t)[n..n + R].copy_from_slice(&values);
    }

    /// Add to the product of token `t` with row `n`.
    #[inline(always)]
    pub fn add(&mut self, t: usize, n: usize, value: f32) {
        *self.place(t, n) += value;
    }
}
