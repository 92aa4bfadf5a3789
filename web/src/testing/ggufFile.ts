/** GGUF files for the tests, made of their parts: whatever they say, also what is wrong. */

/** A key of the metadata: GGUF's number of its type, and the value; of a list [type, values]. */
export type Entry = readonly [key: string, type: number, value: unknown];
export type Tensor = { name: string; sizes: readonly number[]; kind: number; bytes: Uint8Array };

const [STRING, LIST] = [8, 9];

class Bytes {
  readonly #parts: number[] = [];

  number(size: number, set: (view: DataView) => void): void {
    const bytes = new Uint8Array(size);
    set(new DataView(bytes.buffer));
    this.#parts.push(...bytes);
  }

  u32(value: number): void {
    this.number(4, view => view.setUint32(0, value, true));
  }

  u64(value: number | bigint): void {
    this.number(8, view => view.setBigUint64(0, BigInt(value), true));
  }

  text(value: string | Uint8Array): void {
    const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value;
    this.u64(bytes.length);
    this.raw(bytes);
  }

  raw(bytes: Iterable<number>): void {
    for (const byte of bytes) this.#parts.push(byte);
  }

  align(to: number): void {
    while (this.#parts.length % to !== 0) this.#parts.push(0);
  }

  get length(): number {
    return this.#parts.length;
  }

  get all(): Uint8Array<ArrayBuffer> {
    return Uint8Array.from(this.#parts);
  }
}

const SETTERS: Record<number, [number, (view: DataView, value: never) => void]> = {
  0: [1, (view, value) => view.setUint8(0, value)],
  1: [1, (view, value) => view.setInt8(0, value)],
  2: [2, (view, value) => view.setUint16(0, value, true)],
  3: [2, (view, value) => view.setInt16(0, value, true)],
  4: [4, (view, value) => view.setUint32(0, value, true)],
  5: [4, (view, value) => view.setInt32(0, value, true)],
  6: [4, (view, value) => view.setFloat32(0, value, true)],
  7: [1, (view, value) => view.setUint8(0, Number(value))],
  10: [8, (view, value) => view.setBigUint64(0, BigInt(value), true)],
  11: [8, (view, value) => view.setBigInt64(0, BigInt(value), true)],
  12: [8, (view, value) => view.setFloat64(0, value, true)],
};

function put(to: Bytes, type: number, value: unknown): void {
  const plain = SETTERS[type];
  if (plain !== undefined) to.number(plain[0], view => plain[1](view, value as never));
  else if (type === STRING) to.text(value as string);
  else if (type === LIST) {
    const [of, values] = value as [number, unknown[]];
    to.u32(of);
    to.u64(values.length);
    for (const each of values) put(to, of, each);
  }
}

/** A file of version 3, or of another, that says to have so many keys and tensors, or as many as it has. */
export function ggufFile(
  entries: readonly Entry[],
  tensors: readonly Tensor[] = [],
  said: { version?: number; n_tensors?: number | bigint; n_fields?: number | bigint } = {},
): Uint8Array<ArrayBuffer> {
  const file = new Bytes();
  file.raw(new TextEncoder().encode("GGUF"));
  file.u32(said.version ?? 3);
  file.u64(said.n_tensors ?? tensors.length);
  file.u64(said.n_fields ?? entries.length);
  for (const [key, type, value] of entries) {
    file.text(key);
    file.u32(type);
    put(file, type, value);
  }
  let offset = 0;
  for (const { name, sizes, kind, bytes } of tensors) {
    file.text(name);
    file.u32(sizes.length);
    sizes.forEach(size => void file.u64(size));
    file.u32(kind);
    file.u64(offset);
    offset = Math.ceil((offset + bytes.length) / 32) * 32;
  }
  for (const { bytes } of tensors) {
    file.align(32);
    file.raw(bytes);
  }
  return file.all;
}

/** A double of SHA-256: FNV-1a, so often that it has as many digits. */
export function digester(): { update(part: Uint8Array): void; hex(): string } {
  let hash = 0x811c_9dc5;
  return {
    update: part => {
      for (const byte of part) hash = Math.imul(hash ^ byte, 0x0100_0193) >>> 0;
    },
    hex: () => hash.toString(16).padStart(8, "0").repeat(8),
  };
}

export function digestOf(bytes: Uint8Array): string {
  const digest = digester();
  digest.update(bytes);
  return digest.hex();
}

const SIZES = { C: 4, D: 2, F: 3, Q: 4, K: 2, V: 9 };

/** A number between -1 and 1 that is the same in every run. */
export function noise(index: number): number {
  return Math.sin(index * 12.9898 + 1) ** 3;
}

function f32(count: number, first: number): Uint8Array {
  return new Uint8Array(Float32Array.from({ length: count }, (_, index) => noise(first + index)).buffer);
}

/** Nine tokens: six letters, two of them joined, one control. */
export const TOKENS = ["O", "n", "c", "e", "Ġ", "a", "Ġa", "On", "<|end|>"];

/** The metadata of a model of one layer of the family llama. */
export const LLAMA: readonly Entry[] = [
  ["general.architecture", STRING, "llama"],
  ["general.name", STRING, "Small"],
  ["llama.block_count", 4, 1],
  ["llama.context_length", 4, 16],
  ["llama.embedding_length", 4, SIZES.C],
  ["llama.feed_forward_length", 4, SIZES.F],
  ["llama.attention.head_count", 4, 2],
  ["llama.attention.head_count_kv", 4, 1],
  ["llama.rope.freq_base", 6, 10000],
  ["llama.attention.layer_norm_rms_epsilon", 6, 1e-5],
  ["tokenizer.ggml.model", STRING, "gpt2"],
  ["tokenizer.ggml.pre", STRING, "gpt-2"],
  ["tokenizer.ggml.tokens", LIST, [STRING, TOKENS]],
  ["tokenizer.ggml.token_type", LIST, [5, [1, 1, 1, 1, 1, 1, 1, 1, 3]]],
  ["tokenizer.ggml.merges", LIST, [STRING, ["O n", "Ġ a"]]],
  ["tokenizer.ggml.bos_token_id", 4, 8],
  ["tokenizer.ggml.eos_token_id", 4, 8],
  ["tokenizer.chat_template", STRING, "{{ messages }} é"],
];

/** And its tensors, in F32; the output layer is the embedding. */
export const TENSORS: readonly Tensor[] = (
  [
    ["token_embd.weight", "VC"],
    ["blk.0.attn_norm.weight", "C"],
    ["blk.0.attn_q.weight", "QC"],
    ["blk.0.attn_k.weight", "KC"],
    ["blk.0.attn_v.weight", "KC"],
    ["blk.0.attn_output.weight", "CQ"],
    ["blk.0.ffn_norm.weight", "C"],
    ["blk.0.ffn_gate.weight", "FC"],
    ["blk.0.ffn_up.weight", "FC"],
    ["blk.0.ffn_down.weight", "CF"],
    ["output_norm.weight", "C"],
  ] as const
).map(([name, letters], index) => {
  const shape = Array.from(letters, letter => SIZES[letter as keyof typeof SIZES]);
  const count = shape.reduce((a, b) => a * b);
  return { name, sizes: shape.toReversed(), kind: 0, bytes: f32(count, 100 * index) };
});
