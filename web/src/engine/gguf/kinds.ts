/** The types of tensors: how GGUF has them, and what a model.bin has in their place (training/FORMAT.md §3). */
import { halfAt, halfOf, halfValues } from "./halves";
import {
  LARGE,
  type Widen,
  widenBf16,
  widenIQ4_NL,
  widenIQ4_XS,
  widenQ2_K,
  widenQ3_K,
  widenQ4_1,
  widenQ4_K,
  widenQ5_0,
  widenQ5_1,
  widenQ5_K,
  widenQ6_K,
} from "./widened";

/** FORMAT.md's dtypes. */
export type Dtype = "f32" | "f16" | "q8_0" | "q4_0";

export type Kind = {
  name: string;
  /** Weights that share a block, and its bytes in GGUF. */
  block: number;
  nbytes: number;
  /** What a model.bin keeps them as, and the bytes of a block there, by plane: all quants come first, and then all scales. */
  dtype: Dtype;
  planes: readonly number[];
  /** Whole blocks as each of the planes has them. `blocks` begins at a multiple of 4 bytes, and so does each plane. */
  split: (blocks: Uint8Array) => Uint8Array[];
};

const BLOCK = 32;

/** Blocks that begin with a scale in an f16: the rest of each, and the scales. */
function splitScales(blocks: Uint8Array, nbytes: number): Uint8Array[] {
  const count = blocks.length / nbytes;
  const quants = new Uint8Array(count * (nbytes - 2));
  const scales = new Uint8Array(count * 2);
  for (let block = 0, from = 0, to = 0; block < count; block += 1) {
    scales[2 * block] = blocks[from] as number;
    scales[2 * block + 1] = blocks[from + 1] as number;
    for (from += 2; from < (block + 1) * nbytes; ) quants[to++] = blocks[from++] as number;
  }
  return [quants, scales];
}

const words = (bytes: Uint8Array) => new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length >> 1);

/** By dtype: the values that the planes stand for, of which there are as many as `into` has room for. */
export const VALUES: Record<Dtype, (planes: readonly Uint8Array[], into: Float32Array) => void> = {
  f32: ([bytes], into) =>
    into.set(new Float32Array((bytes as Uint8Array).buffer, (bytes as Uint8Array).byteOffset, into.length)),
  f16: ([bytes], into) => {
    const [from, values] = [words(bytes as Uint8Array), halfValues()];
    for (let index = 0; index < into.length; index += 1) into[index] = values[from[index] as number] as number;
  },
  q8_0: ([quants, scales], into) => {
    const from = new Int8Array((quants as Uint8Array).buffer, (quants as Uint8Array).byteOffset, into.length);
    for (let at = 0; at < into.length; ) {
      const scale = halfAt(scales as Uint8Array, (2 * at) / BLOCK);
      for (const end = at + BLOCK; at < end; at += 1) into[at] = (from[at] as number) * scale;
    }
  },
  q4_0: ([quants, scales], into) => {
    for (let at = 0, to = 0; to < into.length; to += BLOCK) {
      const scale = halfAt(scales as Uint8Array, (2 * to) / BLOCK);
      for (let weight = 0; weight < BLOCK / 2; weight += 1) {
        const both = (quants as Uint8Array)[at++] as number;
        into[to + weight] = ((both & 15) - 8) * scale;
        into[to + weight + BLOCK / 2] = ((both >> 4) - 8) * scale;
      }
    }
  },
};

/** GGUF's blocks as `into` has them, and the values of whole blocks. */
type Source = Pick<Kind, "name" | "block" | "nbytes"> & { widen: Widen };

function valuesOf(blocks: Uint8Array, { block, nbytes, widen }: Source): Float32Array<ArrayBuffer> {
  const values = new Float32Array((blocks.length / nbytes) * block);
  widen(blocks, values);
  return values;
}

function inF32(source: Source): Kind {
  const { name, block, nbytes } = source;
  const split = (blocks: Uint8Array) => [new Uint8Array(valuesOf(blocks, source).buffer)];
  return { name, block, nbytes, dtype: "f32", planes: [4 * block], split };
}

/** Quantised anew, as training/format/dtypes.py does it with the same values in f32, bit for bit. */
function inQ8(source: Source): Kind {
  const { name, block, nbytes } = source;
  const split = (blocks: Uint8Array) => quantised(valuesOf(blocks, source));
  return { name, block, nbytes, dtype: "q8_0", planes: [block, (2 * block) / BLOCK], split };
}

/** The quants and the scales of q8_0. A weight that is no number, or too large, leaves a scale that is none. */
function quantised(values: Float32Array<ArrayBuffer>): Uint8Array[] {
  const quants = new Int8Array(values.length);
  const scales = new Uint16Array(values.length / BLOCK);
  // Without its sign an f32 is as large as its bits are, and what is no number has the largest.
  const bits = new Int32Array(values.buffer);
  const largest = new Float32Array(1);
  const largest_bits = new Int32Array(largest.buffer);
  for (let block = 0, at = 0; block < scales.length; block += 1) {
    const end = at + BLOCK;
    let most = 0;
    for (let from = at; from < end; from += 1) {
      const size = (bits[from] as number) & 0x7fff_ffff;
      if (size > most) most = size;
    }
    largest_bits[0] = most;
    const scale = Math.fround((largest[0] as number) / 127);
    const inverse = Math.fround(1 / scale);
    scales[block] = halfOf(scale);
    if (scale <= 2 ** -25) at = end; // its half is zero
    for (; at < end; at += 1) {
      const exact = Math.fround((values[at] as number) * inverse);
      quants[at] = (exact + 0.5 + ((bits[at] as number) >> 31)) | 0; // rounded, halves away from zero
    }
  }
  return [new Uint8Array(quants.buffer), new Uint8Array(scales.buffer)];
}

const F32: Kind = { name: "F32", block: 1, nbytes: 4, dtype: "f32", planes: [4], split: bytes => [bytes] };
const F16: Kind = { ...F32, name: "F16", nbytes: 2, dtype: "f16", planes: [2] };
const Q8_0: Kind = {
  name: "Q8_0",
  block: BLOCK,
  nbytes: 34,
  dtype: "q8_0",
  planes: [32, 2],
  split: blocks => splitScales(blocks, 34),
};
const Q4_0: Kind = {
  name: "Q4_0",
  block: BLOCK,
  nbytes: 18,
  dtype: "q4_0",
  planes: [16, 2],
  split: blocks => splitScales(blocks, 18),
};

/** What a type is kept as: in matrices, and in gains and biases, which are f32 in every model.bin. */
export type Kept = { matrix: Kind; vector: Kind };

function asItIs(matrix: Kind): Kept {
  const { dtype, split } = matrix;
  return { matrix, vector: inF32({ ...matrix, widen: (blocks, into) => VALUES[dtype](split(blocks), into) }) };
}

function requantised(name: string, block: number, nbytes: number, widen: Widen): Kept {
  const source = { name, block, nbytes, widen };
  return { matrix: inQ8(source), vector: inF32(source) };
}

const BF16: Kind = inF32({ name: "BF16", block: 1, nbytes: 2, widen: widenBf16 });

/** By ggml's number of the type. */
export const KINDS: Record<number, Kept> = {
  0: asItIs(F32),
  1: asItIs(F16),
  2: asItIs(Q4_0),
  3: requantised("Q4_1", BLOCK, 20, widenQ4_1),
  6: requantised("Q5_0", BLOCK, 22, widenQ5_0),
  7: requantised("Q5_1", BLOCK, 24, widenQ5_1),
  8: asItIs(Q8_0),
  10: requantised("Q2_K", LARGE, 84, widenQ2_K),
  11: requantised("Q3_K", LARGE, 110, widenQ3_K),
  12: requantised("Q4_K", LARGE, 144, widenQ4_K),
  13: requantised("Q5_K", LARGE, 176, widenQ5_K),
  14: requantised("Q6_K", LARGE, 210, widenQ6_K),
  20: requantised("IQ4_NL", BLOCK, 18, widenIQ4_NL),
  23: requantised("IQ4_XS", LARGE, 136, widenIQ4_XS),
  30: { matrix: BF16, vector: BF16 },
};

/** The names of others, to be called by. Source: ggml.h, enum ggml_type. */
const OTHERS: Record<number, string> = {
  9: "Q8_1",
  15: "Q8_K",
  16: "IQ2_XXS",
  17: "IQ2_XS",
  18: "IQ3_XXS",
  19: "IQ1_S",
  21: "IQ3_S",
  22: "IQ2_S",
  24: "I8",
  25: "I16",
  26: "I32",
  27: "I64",
  28: "F64",
  29: "IQ1_M",
  34: "TQ1_0",
  35: "TQ2_0",
  39: "MXFP4",
};

/** What a type that is not read is called. */
export function nameOfKind(kind: number): string {
  return OTHERS[kind] ?? `type ${kind}`;
}
