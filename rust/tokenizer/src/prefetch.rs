//! One of two places of this crate with unsafe code (the other is `split::block`): telling the processor which cache line is wanted soon.
//!
//! Chosen by measurement: looking pieces up after 64 prefetches is 1.3 to 1.5 times as fast as without (prose and code, 32,768 tokens),
//! because the encoder's table is larger than the processor's second cache. Where there is no such instruction, nothing is done.

#![allow(unsafe_code)]

/// Fetch the cache line of `value` into the nearest cache.
#[inline(always)]
pub(crate) fn prefetch<T>(value: &T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: the instruction (SSE, which every x86-64 processor has) is a hint: it reads and writes nothing that the program can see and
    // faults for no address; this one is that of a live reference besides.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(core::ptr::from_ref(value).cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = value;
}
