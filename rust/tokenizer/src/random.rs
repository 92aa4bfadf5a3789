//! Random numbers for unit tests, the same in every run.

/// A generator of numbers below the one that it is given. Source: Marsaglia 2003, "Xorshift RNGs".
pub(crate) fn numbers() -> impl FnMut(usize) -> usize {
    let mut state = 1_u64;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % below
    }
}
