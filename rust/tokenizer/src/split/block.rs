//! 64 bytes of text at once, and which of them are what: a bit a byte.
//!
//! With SSE2 on x86-64 (every such processor has it), with simd128 in a wasm that is compiled for it, else eight bytes at a time in a
//! machine word. A test compares them with a loop over the bytes.

/// The number of bytes in a block.
pub(crate) const BLOCK: usize = 64;

/// 64 bytes of text.
#[derive(Clone, Copy)]
pub(crate) struct Block([lanes::Lanes; BLOCK / lanes::NBYTES]);

impl Block {
    /// The block of these bytes.
    #[inline(always)]
    pub(crate) fn new(bytes: &[u8; BLOCK]) -> Self {
        let chunks = bytes.as_chunks::<{ lanes::NBYTES }>().0;
        Self(core::array::from_fn(|i| lanes::load(&chunks[i])))
    }

    /// Join the marks of the lanes.
    #[inline(always)]
    fn marks(&self, of: impl Fn(lanes::Lanes) -> u64) -> u64 {
        let mut joined = 0;
        for (i, &bytes) in self.0.iter().enumerate() {
            joined |= of(bytes) << (i * lanes::NBYTES);
        }
        joined
    }

    /// The bytes from `first` to `last`, both in ASCII.
    #[inline(always)]
    pub(crate) fn within(&self, first: u8, last: u8) -> u64 {
        self.marks(|bytes| lanes::within(bytes, first, last))
    }

    /// The ASCII letters.
    #[inline(always)]
    pub(crate) fn letters(&self) -> u64 {
        self.marks(|bytes| lanes::within(lanes::lower(bytes), b'a', b'z'))
    }

    /// The bytes that are `byte`, which is in ASCII.
    #[inline(always)]
    pub(crate) fn equal(&self, byte: u8) -> u64 {
        self.within(byte, byte)
    }

    /// The bytes beyond ASCII.
    #[inline(always)]
    pub(crate) fn beyond_ascii(&self) -> u64 {
        self.marks(lanes::beyond_ascii)
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod lanes {
    // Each of these functions works on values alone, none on an address; all that makes them unsafe to call is a processor without SSE2.
    use core::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8, _mm_sub_epi8,
    };

    pub(super) const NBYTES: usize = 16;
    pub(super) type Lanes = __m128i;

    #[inline(always)]
    pub(super) fn load(bytes: &[u8; NBYTES]) -> Lanes {
        let both = u128::from_le_bytes(*bytes);
        // SAFETY: SSE2 belongs to the x86-64 that this is compiled for.
        unsafe { _mm_set_epi64x((both >> 64) as i64, both as i64) }
    }

    #[inline(always)]
    pub(super) fn lower(bytes: Lanes) -> Lanes {
        // SAFETY: SSE2 belongs to the x86-64 that this is compiled for.
        unsafe { _mm_or_si128(bytes, _mm_set1_epi8(0x20)) }
    }

    #[inline(always)]
    pub(super) fn within(bytes: Lanes, first: u8, last: u8) -> u64 {
        // SAFETY: SSE2 belongs to the x86-64 that this is compiled for.
        unsafe {
            let above = _mm_sub_epi8(bytes, _mm_set1_epi8(first as i8));
            let most = _mm_min_epu8(above, _mm_set1_epi8((last - first) as i8));
            u64::from(_mm_movemask_epi8(_mm_cmpeq_epi8(above, most)) as u16)
        }
    }

    #[inline(always)]
    pub(super) fn beyond_ascii(bytes: Lanes) -> u64 {
        // SAFETY: SSE2 belongs to the x86-64 that this is compiled for.
        unsafe { u64::from(_mm_movemask_epi8(bytes) as u16) }
    }
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod lanes {
    use core::arch::wasm32::{
        u8x16_bitmask, u8x16_le, u8x16_splat, u8x16_sub, u64x2, v128, v128_or,
    };

    pub(super) const NBYTES: usize = 16;
    pub(super) type Lanes = v128;

    #[inline(always)]
    pub(super) fn load(bytes: &[u8; NBYTES]) -> Lanes {
        let both = u128::from_le_bytes(*bytes);
        u64x2(both as u64, (both >> 64) as u64)
    }

    #[inline(always)]
    pub(super) fn lower(bytes: Lanes) -> Lanes {
        v128_or(bytes, u8x16_splat(0x20))
    }

    #[inline(always)]
    pub(super) fn within(bytes: Lanes, first: u8, last: u8) -> u64 {
        let above = u8x16_sub(bytes, u8x16_splat(first));
        u64::from(u8x16_bitmask(u8x16_le(above, u8x16_splat(last - first))))
    }

    #[inline(always)]
    pub(super) fn beyond_ascii(bytes: Lanes) -> u64 {
        u64::from(u8x16_bitmask(bytes))
    }
}

#[cfg(not(any(
    target_arch = "x86_64",
    all(target_arch = "wasm32", target_feature = "simd128")
)))]
use words as lanes;

/// Eight bytes in a machine word.
#[cfg(any(
    test,
    not(any(
        target_arch = "x86_64",
        all(target_arch = "wasm32", target_feature = "simd128")
    ))
))]
mod words {
    pub(super) const NBYTES: usize = 8;
    pub(super) type Lanes = u64;

    /// `byte` in each of eight bytes.
    const fn each(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }

    const HIGH: u64 = each(0x80);

    #[inline(always)]
    pub(super) fn load(bytes: &[u8; NBYTES]) -> Lanes {
        u64::from_le_bytes(*bytes)
    }

    #[inline(always)]
    pub(super) fn lower(bytes: Lanes) -> Lanes {
        bytes | each(0x20)
    }

    #[inline(always)]
    pub(super) fn within(bytes: Lanes, first: u8, last: u8) -> u64 {
        // Without its high bit a byte carries into it from `first` up by the first sum, past `last` by the second.
        let low = bytes & !HIGH;
        let from_first = low + each(0x80 - first);
        let past_last = low + each(0x80 - last - 1);
        gather(from_first & !past_last & !bytes & HIGH)
    }

    #[inline(always)]
    pub(super) fn beyond_ascii(bytes: Lanes) -> u64 {
        gather(bytes & HIGH)
    }

    /// The eight high bits next to each other.
    #[inline(always)]
    fn gather(high: u64) -> u64 {
        (high >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Block, words};

    #[test]
    fn marks_are_those_of_a_loop_over_the_bytes() {
        // Miri, which checks the unsafe code, takes a thousand times as long.
        let step = if cfg!(miri) { 37 } else { 1 };
        for start in (0..=255_u8).step_by(step) {
            let bytes: [u8; BLOCK] =
                core::array::from_fn(|i| start.wrapping_add((i as u8).wrapping_mul(5)));
            let slow = |is: &dyn Fn(u8) -> bool| {
                (0..BLOCK).fold(0, |all, i| all | u64::from(is(bytes[i])) << i)
            };
            let in_words = |of: &dyn Fn(u64) -> u64| {
                let words = bytes.as_chunks::<8>().0.iter();
                words
                    .rev()
                    .fold(0, |all, word| all << 8 | of(words::load(word)))
            };
            let block = Block::new(&bytes);
            for (first, last) in [(b'0', b'9'), (b'\t', b'\r'), (0, 0), (0, 127), (b'!', b'!')] {
                let expected = slow(&|byte| (first..=last).contains(&byte));
                assert_eq!(block.within(first, last), expected);
                assert_eq!(in_words(&|word| words::within(word, first, last)), expected);
            }
            let letters = slow(&|byte| byte.is_ascii_alphabetic());
            assert_eq!(block.letters(), letters);
            assert_eq!(
                in_words(&|word| words::within(words::lower(word), b'a', b'z')),
                letters
            );
            assert_eq!(block.beyond_ascii(), slow(&|byte| byte >= 0x80));
            assert_eq!(in_words(&words::beyond_ascii), slow(&|byte| byte >= 0x80));
        }
    }
}
