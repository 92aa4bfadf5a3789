/** The tokenizer's flat form, as rust/tokenizer/FORMAT.md has it: what the engine reads. The twin of tests/tokenizer/flat_writer.py. */
import { unsupported } from "./refusal";

/** A byte-level tokenizer by its parts. Its list of merges stands by priority. */
export type Parts = {
  /** Bytes by id; none for an id without a token. */
  tokens: readonly Uint8Array[];
  /** Id and flags of each, by ascending id. */
  added: readonly (readonly [number, number])[];
  /** Left, right, result. */
  merges: readonly (readonly [number, number, number])[];
  split: string;
  ignore_merges: boolean;
  nfc: boolean;
};

/** Flags of an added token. */
export const SPECIAL = 1;
export const IN_MODEL = 32;

const VERSION = 2;
const BYTE_LEVEL_BPE = 1;
const HEADER_NBYTES = 72;
const FREE = 0xffff_ffff;
const ATTEMPTS = 32;
const FARTHEST = 255;

/** A number of 64 bits: its high half and its low one. JavaScript's own are too slow for hundreds of thousands of hashes. */
type Wide = readonly [number, number];

/** 2^64 divided by the golden ratio. */
const GOLDEN: Wide = [0x9e37_79b9, 0x7f4a_7c15];

/** The product modulo 2^64. */
function times([a_high, a_low]: Wide, [b_high, b_low]: Wide): Wide {
  const [a1, a0, b1, b0] = [a_low >>> 16, a_low & 0xffff, b_low >>> 16, b_low & 0xffff];
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  const carried = (middle & 0xffff) + a0 * b1;
  const above = a1 * b1 + Math.floor(middle / 0x1_0000) + Math.floor(carried / 0x1_0000);
  const high = above + Math.imul(a_high, b_low) + Math.imul(a_low, b_high);
  return [high >>> 0, Math.imul(a_low, b_low) >>> 0];
}

function rotated([high, low]: Wide, bits: number): Wide {
  return [((high << bits) | (low >>> (32 - bits))) >>> 0, ((low << bits) | (high >>> (32 - bits))) >>> 0];
}

/** The high half of the hash of a token's bytes. */
function hashOfToken(token: Uint8Array, attempt: number): number {
  let [high, low] = times([0, attempt], GOLDEN);
  low = (low ^ token.length) >>> 0;
  for (let at = 0; at <= token.length; at += 8) {
    const word = (from: number) =>
      ((token[from] ?? 0) |
        ((token[from + 1] ?? 0) << 8) |
        ((token[from + 2] ?? 0) << 16) |
        ((token[from + 3] ?? 0) << 24)) >>>
      0;
    const turned = rotated([high, low], 5);
    const product = times([(turned[0] ^ word(at + 4)) >>> 0, (turned[1] ^ word(at)) >>> 0], GOLDEN);
    [high, low] = times([product[0], (product[1] ^ product[0]) >>> 0], GOLDEN);
  }
  return high;
}

function factorOf(attempt: number): Wide {
  let factor = GOLDEN;
  for (let made = 0; made < attempt; made += 1) {
    const [high, low] = rotated(times(factor, GOLDEN), 29);
    factor = [high, (low | 1) >>> 0];
  }
  return factor;
}

function sizeFor(count: number): number {
  let size = 16;
  while (size < 2 * count) size *= 2;
  return size;
}

/** The places of ascending numbers by their hashes' high halves, and the first attempt under which none is far from its own. */
function tableOf(
  numbers: Uint32Array,
  hashOf: (attempt: number) => (number: number) => number,
): { places: Uint32Array; attempt: number } {
  const size = sizeFor(numbers.length);
  const shift = 32 - Math.log2(size);
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const places = new Uint32Array(size).fill(FREE);
    const hash = hashOf(attempt);
    const is_spread = numbers.every(number => {
      const home = hash(number) >>> shift;
      for (let distance = 0; distance <= FARTHEST; distance += 1) {
        const place = (home + distance) & (size - 1);
        if (places[place] !== FREE) continue;
        places[place] = number;
        return true;
      }
      return false;
    });
    if (is_spread) return { places, attempt };
  }
  throw unsupported("its vocabulary cannot be put into tables: too many of its tokens are alike");
}

/** The bytes of a tokenizer. What is wrong with its parts is found by whoever reads them. */
export function flatForm({ tokens, added, merges, split, ignore_merges, nfc }: Parts): Uint8Array {
  const beyond = new Set(added.filter(([, flags]) => (flags & IN_MODEL) === 0).map(([id]) => id));
  const own = Uint32Array.from(tokens.keys()).filter(id => tokens[id]?.length !== 0 && !beyond.has(id));
  const of_tokens = tableOf(own, attempt => id => hashOfToken(tokens[id] as Uint8Array, attempt));
  const of_pairs = tableOf(Uint32Array.from(merges.keys()), attempt => {
    const factor = factorOf(attempt);
    return place => {
      const [left, right] = merges[place] as (typeof merges)[number];
      return times([left, right], factor)[0];
    };
  });
  let end = 0;
  const ends = tokens.map(token => (end += token.length));
  const name = new TextEncoder().encode(split);
  const words = ends.length + 2 * added.length + 3 * merges.length + of_tokens.places.length + of_pairs.places.length;
  const bytes = new Uint8Array(HEADER_NBYTES + 4 * words + end + name.length);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode("PLMTOKEN"));
  const header = [
    VERSION,
    BYTE_LEVEL_BPE,
    Number(ignore_merges),
    Number(nfc),
    0, // of two merges the one that stands first applies first
    tokens.length,
    added.length,
    merges.length,
    of_tokens.attempt,
    of_pairs.attempt,
    of_tokens.places.length,
    end,
    name.length,
    0, // scores
    bytes.length,
    0, // the high half of the length
  ];
  let at = 8;
  const put = (word: number) => {
    view.setUint32(at, word, true);
    at += 4;
  };
  header.forEach(put);
  ends.forEach(put);
  for (const pair of added) pair.forEach(put);
  for (const merge of merges) merge.forEach(put);
  of_tokens.places.forEach(put);
  of_pairs.places.forEach(put);
  for (const token of tokens) {
    bytes.set(token, at);
    at += token.length;
  }
  bytes.set(name, at);
  return bytes;
}
