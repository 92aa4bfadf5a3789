/** IEEE binary16: what a number of it is, and the nearest to a number. */

/** By half: its value. */
let halves: Float32Array | null = null;

/** Every binary16, widened. */
export function halfValues(): Float32Array {
  if (halves !== null) return halves;
  halves = new Float32Array(1 << 16);
  for (let half = 0; half < halves.length; half += 1) {
    const [sign, exponent, fraction] = [half >> 15 ? -1 : 1, (half >> 10) & 31, half & 1023];
    const special = fraction === 0 ? Number.POSITIVE_INFINITY : Number.NaN;
    const plain = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
    halves[half] = sign * (exponent === 31 ? special : plain);
  }
  return halves;
}

/** The value of the half at a place. */
export const halfAt = (bytes: Uint8Array, at: number) =>
  halfValues()[(bytes[at] as number) | ((bytes[at + 1] as number) << 8)] as number;

const one = new Float32Array(1);
const bits = new Uint32Array(one.buffer);
/** Doubles from here on are 2⁻²⁴ apart, as the subnormal halves are. */
const COARSE = 2 ** 28;

/** The half that is nearest to an f32 that is not negative, of two the even one; infinity beyond the largest, and NaN for NaN. */
export function halfOf(value: number): number {
  if (value < 2 ** -14) return (value + COARSE - COARSE) * 2 ** 24;
  if (value >= 65520) return 0x7c00;
  if (Number.isNaN(value)) return 0x7e00;
  one[0] = value;
  const whole = bits[0] as number;
  return ((whole + 0xfff + ((whole >> 13) & 1)) >> 13) - (112 << 10);
}
