/**
 * GGUF's container: its metadata, and which tensors lie where. It is read where it lies, and nothing is allocated by a count that
 * the file has not the bytes for.
 *
 * Versions 2 and 3, little-endian. Source: docs/gguf.md of ggml.
 */
import type { ReadFile } from "pocketlm-wasm";
import { damaged, unsupported } from "./refusal";

/** A value of the metadata. Of a list that nobody asks for nothing is kept but that it is one. */
export type Field = number | boolean | string | readonly string[] | readonly number[];

/** `sizes`: the fastest first, as GGUF counts them. `offset`: of its first byte in the file. */
export type TensorEntry = { name: string; sizes: number[]; kind: number; offset: number };

export type Container = { fields: ReadonlyMap<string, Field>; tensors: ReadonlyMap<string, TensorEntry> };

/** The lists that are kept. */
const WANTED: readonly string[] = [
  "tokenizer.ggml.tokens",
  "tokenizer.ggml.token_type",
  "tokenizer.ggml.merges",
] as const;

/** What stands before the tensors takes some MB where a vocabulary is large. */
const MOST_NBYTES = 64 << 20;
const MOST_ENTRIES = 1 << 16;
const MOST_ITEMS = 1 << 21;
const MOST_SIZES = 4;
const MOST_DEPTH = 4;
const DEFAULT_ALIGNMENT = 32;
/** Read ahead by this much. */
const WINDOW_NBYTES = 1 << 20;

const [STRING, LIST] = [8, 9];

/** Bytes and reader of the values of one size, by GGUF's number of their type. */
const PLAIN: Record<number, [number, (view: DataView, at: number) => number | boolean]> = {
  0: [1, (view, at) => view.getUint8(at)],
  1: [1, (view, at) => view.getInt8(at)],
  2: [2, (view, at) => view.getUint16(at, true)],
  3: [2, (view, at) => view.getInt16(at, true)],
  4: [4, (view, at) => view.getUint32(at, true)],
  5: [4, (view, at) => view.getInt32(at, true)],
  6: [4, (view, at) => view.getFloat32(at, true)],
  7: [1, (view, at) => view.getUint8(at) !== 0],
  10: [8, (view, at) => Number(view.getBigUint64(at, true))],
  11: [8, (view, at) => Number(view.getBigInt64(at, true))],
  12: [8, (view, at) => view.getFloat64(at, true)],
};

/**
 * Read what stands before the tensors' bytes of a file of `nbytes` bytes.
 *
 * Throws an `EngineError` of kind "bad-model", or "unsupported-model".
 */
export function readContainer(nbytes: number, read: ReadFile): Container {
  const file = new Cursor(nbytes, read);
  file.skip(4, "the magic");
  const version = file.u32("the version");
  if (version === 2 << 24 || version === 3 << 24)
    throw unsupported("its numbers are big-endian, expected little-endian");
  if (version !== 2 && version !== 3) throw unsupported(`it has version ${version}, expected 2 or 3`);
  const n_tensors = file.count("tensors", MOST_ENTRIES);
  const n_fields = file.count("keys", MOST_ENTRIES);
  const fields = new Map<string, Field>();
  for (let index = 0; index < n_fields; index += 1) {
    const key = file.string(`key ${index}`);
    const value = fieldOf(file, key, file.u32(key));
    if (!fields.has(key)) fields.set(key, value);
  }
  const alignment = fields.get("general.alignment") ?? DEFAULT_ALIGNMENT;
  if (typeof alignment !== "number" || !(alignment >= 1 && Number.isInteger(Math.log2(alignment)))) {
    throw damaged(`general.alignment is ${String(alignment).slice(0, 40)}, expected a power of two`);
  }
  const tensors = new Map<string, TensorEntry>();
  for (let index = 0; index < n_tensors; index += 1) {
    const entry = tensorOf(file, index);
    if (tensors.has(entry.name)) throw damaged(`it has two tensors named ${shown(entry.name)}`);
    tensors.set(entry.name, entry);
  }
  const start = Math.ceil(file.at / alignment) * alignment;
  for (const entry of tensors.values()) {
    if (entry.offset % alignment !== 0) {
      throw damaged(`${shown(entry.name)} is ${entry.offset} bytes from the first tensor, no multiple of ${alignment}`);
    }
    entry.offset += start;
  }
  return { fields, tensors };
}

/** A text of the file in a message. */
export function shown(text: string): string {
  return JSON.stringify(text.slice(0, 80));
}

function tensorOf(file: Cursor, index: number): TensorEntry {
  const name = file.string(`the name of tensor ${index}`);
  const what = `the entry of ${shown(name)}`;
  const n_sizes = file.u32(what);
  if (n_sizes < 1 || n_sizes > MOST_SIZES) throw damaged(`${what} has ${n_sizes} sizes, expected 1 to ${MOST_SIZES}`);
  const sizes = Array.from({ length: n_sizes }, () => file.u64(what));
  return { name, sizes, kind: file.u32(what), offset: file.u64(what) };
}

function fieldOf(file: Cursor, key: string, type: number, depth = 0): Field {
  if (type === STRING) return file.string(key);
  if (type === LIST) return listOf(file, key, depth);
  const plain = PLAIN[type];
  if (plain === undefined) throw damaged(`${shown(key)} has a value of type ${type}, which there is not`);
  const [size, get] = plain;
  const view = file.take(size, key);
  return get(view, 0);
}

function listOf(file: Cursor, key: string, depth: number): readonly string[] | readonly number[] {
  const type = file.u32(key);
  const length = file.u64(key);
  const is_wanted = depth === 0 && WANTED.includes(key);
  if (is_wanted && length > MOST_ITEMS) {
    throw unsupported(`${key} has ${length} entries, at most ${MOST_ITEMS} are`);
  }
  const plain = PLAIN[type];
  if (plain !== undefined) {
    const [size, get] = plain;
    if (!is_wanted) file.skip(length * size, key);
    else return Array.from({ length: file.fitting(length, size, key) }, () => Number(get(file.take(size, key), 0)));
  } else if (type === STRING) {
    file.fitting(length, 8, key);
    if (is_wanted) return Array.from({ length }, () => file.string(key));
    for (let index = 0; index < length; index += 1) file.skip(file.u64(key), key);
  } else if (type === LIST && depth < MOST_DEPTH) {
    file.fitting(length, 12, key);
    for (let index = 0; index < length; index += 1) listOf(file, key, depth + 1);
  } else throw damaged(`${shown(key)} is a list of values of type ${type}, which there is not`);
  return [];
}

/** Reads forward, a window of the file at a time. */
class Cursor {
  readonly #nbytes: number;
  readonly #read: ReadFile;
  #window: DataView = new DataView(new ArrayBuffer(0));
  /** Where the window begins in the file. */
  #start = 0;
  /** The next byte's offset. */
  at = 0;

  constructor(nbytes: number, read: ReadFile) {
    this.#nbytes = nbytes;
    this.#read = read;
  }

  /** The next `nbytes` bytes, until the next call. */
  take(nbytes: number, what: string): DataView {
    const start = this.at;
    this.skip(nbytes, what);
    if (start < this.#start || this.at > this.#start + this.#window.byteLength) {
      const length = Math.min(Math.max(nbytes, WINDOW_NBYTES), this.#nbytes - start);
      const bytes = this.#read(start, length);
      this.#window = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      this.#start = start;
    }
    return new DataView(this.#window.buffer, this.#window.byteOffset + start - this.#start, nbytes);
  }

  skip(nbytes: number, what: string): void {
    if (nbytes > this.#nbytes - this.at) {
      throw damaged(`it ends within ${shown(what)}: ${nbytes} bytes from ${this.at} on, of ${this.#nbytes}`);
    }
    if (this.at + nbytes > MOST_NBYTES) {
      throw unsupported(`what stands before its tensors is longer than ${MOST_NBYTES >> 20} MiB`);
    }
    this.at += nbytes;
  }

  u32(what: string): number {
    return this.take(4, what).getUint32(0, true);
  }

  /** Beyond 2⁵³ rounded: no file is as long. */
  u64(what: string): number {
    return Number(this.take(8, what).getBigUint64(0, true));
  }

  count(what: string, most: number): number {
    const count = this.u64(`the number of ${what}`);
    if (count > most) throw damaged(`it says to have ${count} ${what}, at most ${most} are read`);
    return count;
  }

  /** `length`, where as many things of `size` bytes and more can follow. */
  fitting(length: number, size: number, what: string): number {
    if (length * size > this.#nbytes - this.at) {
      throw damaged(`${shown(what)} says to have ${length} entries, which is more than there is of the file`);
    }
    return length;
  }

  string(what: string): string {
    const nbytes = this.u64(what);
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this.take(nbytes, what));
    } catch (cause) {
      if (cause instanceof TypeError) throw damaged(`${shown(what)} is no UTF-8`);
      throw cause;
    }
  }
}
