/**
 * The values of what GGUF has and a model.bin has not. Source: ggml's dequantize_row_*, as the `gguf` package has them.
 *
 * A product of a scale, a scale of the scale and a quant has no more digits than an f32, so that rounding happens once at the most,
 * when the value is stored, here as there.
 */
import { halfAt } from "./halves";

/** Puts the values of whole blocks, that begin at a multiple of 4 bytes, where there is room for as many. */
export type Widen = (blocks: Uint8Array, into: Float32Array) => void;

/** Weights of a k-quant's block. */
export const LARGE = 256;

export function widenBf16(bytes: Uint8Array, into: Float32Array): void {
  const from = new Uint16Array(bytes.buffer, bytes.byteOffset, into.length);
  const bits = new Uint32Array(into.buffer, into.byteOffset, into.length);
  for (let index = 0; index < bits.length; index += 1) bits[index] = (from[index] as number) << 16;
}

/** Blocks of 32 weights, with a scale; then a least value, or quants that are `less` than they read; then a fifth bit of each. */
function widenSmall(has_least: boolean, has_fifth: boolean, less: number): Widen {
  return (blocks, into) => {
    for (let at = 0, to = 0; to < into.length; to += 32) {
      const scale = halfAt(blocks, at);
      at += 2;
      const least = has_least ? halfAt(blocks, at) : 0;
      if (has_least) at += 2;
      const fifths = at;
      if (has_fifth) at += 4;
      for (let weight = 0; weight < 16; weight += 1) {
        const both = blocks[at++] as number;
        let low = both & 15;
        let high = both >> 4;
        if (has_fifth) {
          low |= (((blocks[fifths + (weight >> 3)] as number) >> (weight & 7)) & 1) << 4;
          high |= (((blocks[fifths + 2 + (weight >> 3)] as number) >> (weight & 7)) & 1) << 4;
        }
        into[to + weight] = scale * (low - less) + least;
        into[to + weight + 16] = scale * (high - less) + least;
      }
    }
  };
}

export const widenQ4_1: Widen = widenSmall(true, false, 0);
export const widenQ5_0: Widen = widenSmall(false, true, 16);
export const widenQ5_1: Widen = widenSmall(true, true, 0);

/** Blocks of 256 weights, 8 times 32 with a scale and a least value of 6 bits each, and perhaps a fifth bit of each weight. */
function widenLarge(has_fifth: boolean): Widen {
  return (blocks, into) => {
    for (let at = 0, to = 0; to < into.length; ) {
      const [scale, least] = [halfAt(blocks, at), halfAt(blocks, at + 2)];
      const [sixes, fifths] = [at + 4, at + 16];
      at += has_fifth ? 48 : 16;
      for (let part = 0; part < 8; part += 1) {
        const [first, second] = sixBits(blocks, sixes, part);
        const [step, base, shift] = [scale * first, least * second, (part & 1) * 4];
        const from = at + (part >> 1) * 32;
        for (let weight = 0; weight < 32; weight += 1) {
          let quant = ((blocks[from + weight] as number) >> shift) & 15;
          if (has_fifth) quant |= (((blocks[fifths + weight] as number) >> part) & 1) << 4;
          into[to++] = step * quant - base;
        }
      }
      at += 128;
    }
  };
}

/** Two numbers of 6 bits: of the last four parts the upper two of each lie above the numbers of the first four. */
function sixBits(blocks: Uint8Array, at: number, part: number): readonly [number, number] {
  const byte = (index: number) => blocks[at + index] as number;
  if (part < 4) return [byte(part) & 63, byte(part + 4) & 63];
  const both = byte(part + 4);
  return [(both & 15) | ((byte(part - 4) >> 6) << 4), (both >> 4) | ((byte(part) >> 6) << 4)];
}

export const widenQ4_K: Widen = widenLarge(false);
export const widenQ5_K: Widen = widenLarge(true);

/** Blocks of 256 weights, 16 times 16 with a scale of 8 bits; four bits of each weight, the other two, the scales, their scale. */
export function widenQ6_K(blocks: Uint8Array, into: Float32Array): void {
  for (let at = 0, to = 0; to < into.length; at += 210) {
    const scale = halfAt(blocks, at + 208);
    for (let part = 0; part < 8; part += 1) {
      const low = at + (part >> 2) * 64 + (part & 1) * 32;
      const high = at + 128 + (part >> 2) * 32;
      const [low_shift, high_shift] = [(part & 2) * 2, (part & 3) * 2];
      for (let weight = 0; weight < 32; weight += 1) {
        const quant =
          (((blocks[low + weight] as number) >> low_shift) & 15) |
          ((((blocks[high + weight] as number) >> high_shift) & 3) << 4);
        const step = ((blocks[at + 192 + 2 * part + (weight >> 4)] as number) << 24) >> 24;
        into[to++] = scale * step * (quant - 32);
      }
    }
  }
}

/** Blocks of 256 weights, 16 times 16 with a scale and a least value of 4 bits each; two bits of each weight, their scales. */
export function widenQ2_K(blocks: Uint8Array, into: Float32Array): void {
  for (let at = 0, to = 0; to < into.length; at += 84) {
    const [scale, least] = [halfAt(blocks, at + 80), halfAt(blocks, at + 82)];
    for (let part = 0; part < 16; part += 1) {
      const both = blocks[at + part] as number;
      const [step, base, shift] = [scale * (both & 15), least * (both >> 4), ((part >> 1) & 3) * 2];
      const from = at + 16 + (part >> 3) * 32 + (part & 1) * 16;
      for (let weight = from; weight < from + 16; weight += 1) {
        into[to++] = step * (((blocks[weight] as number) >> shift) & 3) - base;
      }
    }
  }
}

/** Blocks of 256 weights, 16 times 16 with a scale of 6 bits; a third bit of each weight, the other two, the scales, their scale. */
export function widenQ3_K(blocks: Uint8Array, into: Float32Array): void {
  for (let at = 0, to = 0; to < into.length; at += 110) {
    const scale = halfAt(blocks, at + 108);
    for (let part = 0; part < 16; part += 1) {
      const low = ((blocks[at + 96 + (part & 7)] as number) >> ((part >> 3) * 4)) & 15;
      const high = ((blocks[at + 104 + (part & 3)] as number) >> ((part >> 2) * 2)) & 3;
      const [step, shift, lane] = [scale * ((low | (high << 4)) - 32), ((part >> 1) & 3) * 2, (part & 1) * 16];
      const from = at + 32 + (part >> 3) * 32;
      for (let weight = lane; weight < lane + 16; weight += 1) {
        const third = ((blocks[at + weight] as number) >> (part >> 1)) & 1;
        into[to++] = step * ((((blocks[from + weight] as number) >> shift) & 3) + 4 * third - 4);
      }
    }
  }
}

/** What the 16 quants of the types IQ4 stand for. Source: ggml-common.h, kvalues_iq4nl. */
const UNEVEN = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/** 32 weights in 16 bytes. */
function widenUneven(blocks: Uint8Array, at: number, step: number, into: Float32Array, to: number): void {
  for (let weight = 0; weight < 16; weight += 1) {
    const both = blocks[at + weight] as number;
    into[to + weight] = step * (UNEVEN[both & 15] as number);
    into[to + weight + 16] = step * (UNEVEN[both >> 4] as number);
  }
}

/** Blocks of 32 weights, with a scale. */
export function widenIQ4_NL(blocks: Uint8Array, into: Float32Array): void {
  for (let at = 0, to = 0; to < into.length; at += 18, to += 32) {
    widenUneven(blocks, at + 2, halfAt(blocks, at), into, to);
  }
}

/** Blocks of 256 weights, 8 times 32 with a scale of 6 bits: its scale, the upper two bits of each, the lower four. */
export function widenIQ4_XS(blocks: Uint8Array, into: Float32Array): void {
  for (let at = 0, to = 0; to < into.length; at += 136) {
    const scale = halfAt(blocks, at);
    for (let part = 0; part < 8; part += 1, to += 32) {
      const low = ((blocks[at + 4 + (part >> 1)] as number) >> ((part & 1) * 4)) & 15;
      const high = ((blocks[at + 2 + (part >> 2)] as number) >> ((part & 3) * 2)) & 3;
      widenUneven(blocks, at + 8 + part * 16, scale * ((low | (high << 4)) - 32), into, to);
    }
  }
}
