/**
 * The vocabulary of a GGUF's metadata as a tokenizer: byte-level BPE whose split `tokenizer.ggml.pre` names.
 *
 * The twin of training/interop/gguf_vocabulary.py, and of what the tokenizer core reads out of a tokenizer.json
 * (rust/tokenizer/src/interop/hf_read.rs).
 */
import type { Container } from "./container";
import { shown } from "./container";
import { IN_MODEL, type Parts, SPECIAL } from "./flatForm";
import { damaged, unsupported } from "./refusal";

/** `tokenizer.ggml.pre`: the split, whether a piece that is a token is that token whatever the merges say, and whether text is normalised (NFC). */
const PRE: Record<string, readonly [string, boolean, boolean]> = {
  "gpt-2": ["gpt2", false, false],
  smollm: ["smollm2", false, false],
  "llama-bpe": ["llama3", true, false],
  llama3: ["llama3", true, false],
  "llama-v3": ["llama3", true, false],
  dbrx: ["llama3", false, false],
  qwen2: ["qwen2", false, true],
  "gpt-4o": ["o200k", false, false],
};

/** gguf.TokenType */
const [NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED] = [1, 2, 3, 4, 5];

/** The byte that each character of GPT-2's spelling stands for. */
const BYTES = spelling();

function spelling(): Map<string, number> {
  const bytes = new Map<string, number>();
  for (let byte = 0, others = 0; byte < 256; byte += 1) {
    const is_itself = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    bytes.set(String.fromCharCode(is_itself ? byte : 0x100 + others++), byte);
  }
  return bytes;
}

/** The bytes that a name spells; its own where it spells none. */
function bytesOf(name: string): Uint8Array {
  const spelled = Array.from(name, character => BYTES.get(character));
  return spelled.includes(undefined) ? new TextEncoder().encode(name) : Uint8Array.from(spelled as number[]);
}

/** The tokenizer's parts. Throws an `EngineError` that names what is missing or not supported. */
export function partsOf({ fields }: Container): Parts {
  const model = fields.get("tokenizer.ggml.model");
  if (model !== "gpt2") {
    const why = model === "llama" ? " (llama is SentencePiece, another algorithm)" : "";
    throw unsupported(`tokenizer.ggml.model is ${shown(String(model))}, expected gpt2, byte-level BPE${why}`);
  }
  const pre = fields.get("tokenizer.ggml.pre");
  const known = typeof pre === "string" && Object.hasOwn(PRE, pre) ? PRE[pre] : undefined;
  if (known === undefined) {
    throw unsupported(`tokenizer.ggml.pre is ${shown(String(pre))}, expected ${Object.keys(PRE).join(", ")}`);
  }
  const [split, ignore_merges, nfc] = known;
  const names = texts(fields.get("tokenizer.ggml.tokens"), "tokenizer.ggml.tokens");
  const pairs = texts(fields.get("tokenizer.ggml.merges"), "tokenizer.ggml.merges");
  const types = (fields.get("tokenizer.ggml.token_type") ?? names.map(() => NORMAL)) as readonly number[];
  if (!Array.isArray(types) || types.length !== names.length) {
    throw damaged(`tokenizer.ggml.token_type has not an entry for each of ${names.length} tokens`);
  }
  const ids = new Map<string, number>();
  names.forEach((name, id) => {
    const type = types[id] as number;
    if (![NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED].includes(type)) {
      throw unsupported(`the token ${shown(name)} is of type ${type}, which a byte-level vocabulary has not`);
    }
    if (type === UNUSED) return; // such an id has no text
    const other = ids.get(name);
    if (other !== undefined) throw damaged(`the token ${shown(name)} is both ${other} and ${id}`);
    ids.set(name, id);
  });
  const merges = pairs.map(pair => mergeOf(pair, ids));
  const made = new Set(merges.map(([, , result]) => result));
  const tokens: Uint8Array[] = [];
  const added: [number, number][] = [];
  for (const [name, id] of ids) {
    while (tokens.length < id) tokens.push(new Uint8Array(0));
    const spelled = bytesOf(name);
    const type = types[id] as number;
    if (type === NORMAL) {
      tokens.push(spelled);
      continue;
    }
    const own = new TextEncoder().encode(name);
    const is_reached = ignore_merges || made.has(id) || own.length === 1;
    const is_same = own.length === spelled.length && own.every((byte, at) => byte === spelled[at]);
    tokens.push(own);
    added.push([id, (type === USER_DEFINED ? 0 : SPECIAL) | (is_reached && is_same ? IN_MODEL : 0)]);
  }
  if (tokens.length === 0) throw damaged("tokenizer.ggml.tokens has none that is used");
  return { tokens, added, merges, split, ignore_merges, nfc };
}

/** The ids of words that every split parts before a space, by the rule itself: the earliest merge first. */
export function idsOf({ tokens, merges, ignore_merges }: Parts, words: readonly string[]): number[] {
  const key = (bytes: Uint8Array) => String.fromCharCode(...bytes);
  const pieces = words.map(word => key(new TextEncoder().encode(word)));
  const longest = Math.max(...pieces.map(piece => piece.length));
  const is_within = (token: Uint8Array | undefined) =>
    token !== undefined && token.length <= longest && pieces.some(piece => piece.includes(key(token)));
  const ids = new Map<string, number>();
  tokens.forEach((token, id) => {
    if (token.length > 0 && is_within(token)) ids.set(key(token), id);
  });
  const places = new Map<string, number>();
  merges.forEach(([left, right, result], place) => {
    if (is_within(tokens[result])) places.set(`${left} ${right}`, place);
  });
  return pieces.flatMap(piece => {
    const whole = ids.get(piece);
    if (ignore_merges && whole !== undefined) return [whole];
    const parts = Array.from(piece).flatMap(byte => ids.get(byte) ?? []);
    for (;;) {
      const found = parts.slice(1).map((right, at) => places.get(`${parts[at]} ${right}`) ?? merges.length);
      const first = Math.min(merges.length, ...found);
      const merge = merges[first];
      if (merge === undefined) return parts;
      parts.splice(found.indexOf(first), 2, merge[2]);
    }
  });
}

function texts(field: unknown, key: string): readonly string[] {
  if (Array.isArray(field) && field.every(each => typeof each === "string")) return field;
  throw damaged(`there is no ${key}, a list of texts`);
}

function mergeOf(pair: string, ids: ReadonlyMap<string, number>): [number, number, number] {
  const at = pair.indexOf(" ");
  const [left, right] = [pair.slice(0, at), pair.slice(at + 1)];
  const id = (name: string) => {
    const found = at < 0 ? undefined : ids.get(name);
    if (found === undefined) throw damaged(`the merge ${shown(pair)} is not of two tokens that make one`);
    return found;
  };
  return [id(left), id(right), id(left + right)];
}
