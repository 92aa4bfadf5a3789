/** The types of tensors: how GGUF has them, what a model.bin has in their place (training/FORMAT.md §3), and the values. */

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
  /** Whole blocks as each of the planes has them. */
  split: (blocks: Uint8Array) => Uint8Array[];
  /** The values of whole blocks, of which there are as many as `into` has room for. `blocks` begins at a multiple of 4 bytes. */
  widen: (blocks: Uint8Array, into: Float32Array) => void;
};

export const BLOCK = 32;

/** By half: its value. */
let halves: Float32Array | null = null;

/** Every IEEE binary16, widened. */
function halfValues(): Float32Array {
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

const words = (bytes: Uint8Array) => new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length >> 1);

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

function widenBf16(bytes: Uint8Array, into: Float32Array): void {
  const [from, bits] = [words(bytes), new Uint32Array(into.buffer, into.byteOffset, into.length)];
  for (let index = 0; index < bits.length; index += 1) bits[index] = (from[index] as number) << 16;
}

function widenQ8(blocks: Uint8Array, into: Float32Array): void {
  const values = halfValues();
  for (let at = 0, to = 0; to < into.length; ) {
    const scale = values[(blocks[at] as number) | ((blocks[at + 1] as number) << 8)] as number;
    at += 2;
    for (const end = to + BLOCK; to < end; ) into[to++] = (((blocks[at++] as number) << 24) >> 24) * scale;
  }
}

function widenQ4(blocks: Uint8Array, into: Float32Array): void {
  const values = halfValues();
  for (let at = 0, to = 0; to < into.length; to += BLOCK) {
    const scale = values[(blocks[at] as number) | ((blocks[at + 1] as number) << 8)] as number;
    at += 2;
    for (let weight = 0; weight < BLOCK / 2; weight += 1) {
      const both = blocks[at++] as number;
      into[to + weight] = ((both & 15) - 8) * scale;
      into[to + weight + BLOCK / 2] = ((both >> 4) - 8) * scale;
    }
  }
}

function widenF16(bytes: Uint8Array, into: Float32Array): void {
  const [from, values] = [words(bytes), halfValues()];
  for (let index = 0; index < into.length; index += 1) into[index] = values[from[index] as number] as number;
}

/** What is kept in f32, whatever it was. */
export function inF32({ name, block, nbytes, widen }: Kind): Kind {
  const split = (blocks: Uint8Array) => {
    const values = new Float32Array((blocks.length / nbytes) * block);
    widen(blocks, values);
    return [new Uint8Array(values.buffer)];
  };
  return { name, block, nbytes, dtype: "f32", planes: [4 * block], split, widen };
}

const F32: Kind = {
  name: "F32",
  block: 1,
  nbytes: 4,
  dtype: "f32",
  planes: [4],
  split: bytes => [bytes],
  widen: (bytes, into) => into.set(new Float32Array(bytes.buffer, bytes.byteOffset, into.length)),
};
const F16: Kind = { ...F32, name: "F16", nbytes: 2, dtype: "f16", planes: [2], widen: widenF16 };
const BF16: Kind = inF32({ ...F32, name: "BF16", nbytes: 2, widen: widenBf16 });
const Q8_0: Kind = {
  name: "Q8_0",
  block: BLOCK,
  nbytes: 34,
  dtype: "q8_0",
  planes: [32, 2],
  split: blocks => splitScales(blocks, 34),
  widen: widenQ8,
};
const Q4_0: Kind = {
  name: "Q4_0",
  block: BLOCK,
  nbytes: 18,
  dtype: "q4_0",
  planes: [16, 2],
  split: blocks => splitScales(blocks, 18),
  widen: widenQ4,
};

/** By ggml's number of the type. */
export const KINDS: Record<number, Kind> = { 0: F32, 1: F16, 2: Q4_0, 8: Q8_0, 30: BF16 };

/** The names of others, to be called by. Source: ggml.h, enum ggml_type. */
const OTHERS: Record<number, string> = {
  3: "Q4_1",
  6: "Q5_0",
  7: "Q5_1",
  9: "Q8_1",
  10: "Q2_K",
  11: "Q3_K",
  12: "Q4_K",
  13: "Q5_K",
  14: "Q6_K",
  15: "Q8_K",
  16: "IQ2_XXS",
  17: "IQ2_XS",
  18: "IQ3_XXS",
  19: "IQ1_S",
  20: "IQ4_NL",
  21: "IQ3_S",
  22: "IQ2_S",
  23: "IQ4_XS",
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
