//! Registers of 16 bytes, which every processor of the portable loop has: SIMD128 in wasm, SSE2 on x86-64, NEON on aarch64, arrays
//! elsewhere.
//!
//! One name for each operation that the loop needs, so that it is written once. The arrays are the twin that a test compares the
//! instructions with.

#[cfg(any(
    test,
    not(any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        all(target_arch = "wasm32", target_feature = "simd128")
    ))
))]
mod arrays;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod simd128;
#[cfg(target_arch = "x86_64")]
mod sse2;

#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    all(target_arch = "wasm32", target_feature = "simd128")
)))]
pub(super) use arrays::{Floats, Words};
#[cfg(target_arch = "aarch64")]
pub(super) use neon::{Floats, Words, halves_of, widen_eight};
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(super) use simd128::{Floats, Words};
#[cfg(target_arch = "x86_64")]
pub(super) use sse2::{Floats, Words};

use super::vector::Vector;
use crate::format::BLOCK;

/// Floats of a register.
pub(super) const LANES: usize = 4;
/// Registers of [`Words`] that hold a block.
pub(super) const WORDS: usize = BLOCK / 8;

impl Vector for Floats {
    const LANES: usize = LANES;
    const SUMS: usize = 8;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Floats::splat(value)
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's, that 4 values lie there; an array of f32 needs no more alignment than one.
        Floats::load(unsafe { &*from.cast() })
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> Self {
        // SAFETY: as above; an array of u16 needs no more alignment than one.
        Floats::of_halves(unsafe { &*from.cast() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's, that there is room for 4 values.
        Floats::store(self, unsafe { &mut *to.cast() });
    }

    #[inline(always)]
    unsafe fn prefetch<T>(_: *const T) {}

    #[inline(always)]
    unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self {
        Floats::multiply_add(self, factor, sum)
    }
}

#[cfg(test)]
mod tests {
    use super::{WORDS, arrays};
    use core::array::from_fn;

    /// Numbers from all over the range of 16 bits, the same at every run.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u16 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (self.0 >> 48) as u16
        }

        fn float(&mut self) -> f32 {
            f32::from(self.next() as i16) / 1024.0
        }
    }

    fn floats(lanes: super::Floats) -> [f32; 4] {
        let mut values = [0.0; 4];
        lanes.store(&mut values);
        values
    }

    #[test]
    fn floats_are_those_of_arrays() {
        let random = &mut Random(1);
        for _ in 0..1000 {
            let [a, b, c]: [[f32; 4]; 3] = from_fn(|_| from_fn(|_| random.float()));
            let (native, plain) = ([a, b, c].map(|x| super::Floats::load(&x)), {
                [a, b, c].map(|x| arrays::Floats::load(&x))
            });
            assert_eq!(floats(native[0].mul(native[1])), plain[0].mul(plain[1]).0);
            assert_eq!(floats(native[0].add(native[1])), plain[0].add(plain[1]).0);
            assert_eq!(native[0].sum(), plain[0].sum());
            assert_eq!(
                floats(super::Floats::splat(a[0])),
                arrays::Floats::splat(a[0]).0
            );
            let mut stored = [0.0; 4];
            plain[0].store(&mut stored);
            assert_eq!(floats(native[0]), stored);
            let fused = floats(native[0].multiply_add(native[1], native[2]));
            for (fused, plain) in fused
                .iter()
                .zip(plain[0].multiply_add(plain[1], plain[2]).0)
            {
                assert!((fused - plain).abs() <= 1e-3, "{fused} {plain}");
            }
        }
    }

    #[test]
    fn every_finite_half_is_widened_as_by_arrays() {
        for bits in (0..=u16::MAX).filter(|bits| bits >> 10 & 31 != 31) {
            let halves = [bits, bits ^ 1, 0, bits ^ 0x8000];
            let plain = arrays::Floats::of_halves(&halves).0;
            let native = floats(super::Floats::of_halves(&halves));
            assert_eq!(
                native.map(f32::to_bits),
                plain.map(f32::to_bits),
                "{bits:#06x}"
            );
        }
    }

    #[test]
    fn integers_are_those_of_arrays() {
        let random = &mut Random(2);
        for _ in 0..1000 {
            let bytes: [i8; 32] = from_fn(|_| random.next() as i8);
            let nibbles: [u8; 16] = from_fn(|_| random.next() as u8);
            // -32768 does not occur: activations are rounded to -32767 and more.
            let x: [i16; 32] = from_fn(|_| (random.next() as i16).max(-i16::MAX));
            for (native, plain) in [
                (
                    super::Words::of_bytes(&bytes),
                    arrays::Words::of_bytes(&bytes),
                ),
                (
                    super::Words::of_nibbles(&nibbles),
                    arrays::Words::of_nibbles(&nibbles),
                ),
            ] {
                let (native_x, plain_x) = (super::Words::load_all(&x), arrays::Words::load_all(&x));
                for i in 0..WORDS {
                    let native = native[i].dot(native_x[i]).add(native[0].dot(native_x[0]));
                    let plain = plain[i].dot(plain_x[i]).add(plain[0].dot(plain_x[0]));
                    assert_eq!(floats(native.floats()), plain.floats().0);
                }
            }
        }
    }
}
