//! A product (T, N) on its way to memory: one line a token, one column a row of the weights.

/// A product that is being written.
pub(super) struct Columns<'a> {
    product: &'a mut [f32],
    /// N
    width: usize,
}

impl<'a> Columns<'a> {
    /// The whole of `product` (T, `width`).
    pub fn all(product: &'a mut [f32], width: usize) -> Self {
        Self { product, width }
    }

    /// N, how many columns there are.
    pub fn len(&self) -> usize {
        self.width
    }

    /// Write the product of token `t` with row `n`.
    #[inline(always)]
    pub fn set(&mut self, t: usize, n: usize, value: f32) {
        self.product[t * self.width + n] = value;
    }

    /// Write the products of token `t` with the rows `n …`.
    #[inline(always)]
    pub fn set_all<const R: usize>(&mut self, t: usize, n: usize, values: [f32; R]) {
        for (r, value) in values.into_iter().enumerate() {
            self.set(t, n + r, value);
        }
    }

    /// Add to the product of token `t` with row `n`.
    #[inline(always)]
    pub fn add(&mut self, t: usize, n: usize, value: f32) {
        self.product[t * self.width + n] += value;
    }
}
