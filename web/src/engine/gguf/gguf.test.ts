import { describe, expect, test } from "vitest";
import { digester, digestOf, type Entry, ggufFile, LLAMA, TENSORS, type Tensor, TOKENS } from "../../testing/ggufFile";
import { readContainer } from "./container";
import { flatForm } from "./flatForm";
import { modelBinOf } from "./gguf";
import { canonical, Float } from "./modelFile";
import { idsOf, partsOf } from "./vocabulary";

function readerOf(bytes: Uint8Array) {
  return (offset: number, nbytes: number) => bytes.slice(offset, offset + nbytes);
}

/** The model.bin of a file, and how far it told to be. */
function opened(bytes: Uint8Array) {
  const told: number[] = [];
  const digestOfAll = () => digestOf(bytes);
  const onProgress = (fraction: number) => void told.push(fraction);
  const model = modelBinOf({ nbytes: bytes.length, read: readerOf(bytes), digester, digestOfAll, onProgress });
  return { ...model, told };
}

/** The metadata with other values, or without a key. */
const changed = (changes: Record<string, [number, unknown] | null>): Entry[] => [
  ...LLAMA.filter(([key]) => !(key in changes)),
  ...Object.entries(changes).flatMap(([key, value]): Entry[] => (value === null ? [] : [[key, ...value]])),
];

describe("a model of one layer", () => {
  const file = ggufFile(LLAMA, TENSORS);
  const model = opened(file);
  const whole = model.read(0, model.nbytes).slice();
  const view = new DataView(whole.buffer);
  const text = new TextDecoder().decode(whole.subarray(64, 64 + view.getUint32(12, true)));
  const header = JSON.parse(text);
  const sectionOf = ({ offset, nbytes }: { offset: number; nbytes: number }) => whole.slice(offset, offset + nbytes);

  test("has a header that fits", () => {
    expect(new TextDecoder().decode(whole.subarray(0, 8))).toBe("POCKETLM");
    expect(view.getUint32(8, true)).toBe(2);
    expect(Number(view.getBigUint64(24, true))).toBe(model.nbytes);
    const digits = Array.from(whole.subarray(32, 64), byte => byte.toString(16).padStart(2, "0")).join("");
    expect(digits).toBe(digestOf(new TextEncoder().encode(text)));
    expect(header.architecture).toBe("llama");
    expect(header.config).toEqual({
      n_layer: 1,
      n_head: 2,
      n_kv_head: 1,
      d_model: 4,
      d_head: 2,
      d_ff: 3,
      vocab_size: 9,
      ctx_len: 16,
      rope_theta: 10000,
      norm_eps: 1e-5,
      tie_embeddings: true,
      bos_token_id: 8,
      eos_token_id: 8,
    });
    expect(text).toContain('"norm_eps":1e-05,"rope_theta":10000.0,"tie_embeddings":true');
    expect(header.provenance.import).toEqual({
      dtypes: { F32: 11 },
      format: "gguf",
      license: null,
      name: "Small",
      sha256: digestOf(file),
    });
  });

  test("has sections that follow one another, each with its digest, and zeros between them", () => {
    const places = [header.tokenizer, header.golden.logits, ...header.sections, ...header.tensors];
    let end = 64 + text.length;
    for (const place of places) {
      expect(place.offset).toBe(Math.ceil(end / 256) * 256);
      expect(whole.subarray(end, place.offset).every(byte => byte === 0)).toBe(true);
      expect(digestOf(sectionOf(place))).toBe(place.sha256);
      end = place.offset + place.nbytes;
    }
    expect(model.nbytes).toBe(Math.ceil(end / 256) * 256);
    expect(new TextDecoder().decode(sectionOf(header.sections[0]))).toBe("{{ messages }} é");
  });

  test("keeps the weights; rows of q and k are put in order", () => {
    const bytesOf = (name: string) => sectionOf(header.tensors.find((each: { name: string }) => each.name === name));
    const their = (name: string) => TENSORS.find(each => each.name === name)?.bytes;
    expect(bytesOf("model.layers.0.mlp.down_proj.weight")).toEqual(their("blk.0.ffn_down.weight"));
    // Heads of two rows: nothing to be put in order.
    expect(bytesOf("model.layers.0.self_attn.q_proj.weight")).toEqual(their("blk.0.attn_q.weight"));
  });

  test("can be read in any parts", () => {
    for (const step of [7, 100, 256, 1000]) {
      const again = new Uint8Array(model.nbytes);
      for (let offset = 0; offset < model.nbytes; offset += step) {
        again.set(model.read(offset, Math.min(step, model.nbytes - offset)), offset);
      }
      expect(again).toEqual(whole);
    }
  });

  test("tells how far it is, to the end", () => {
    expect(model.told).toHaveLength(TENSORS.length);
    expect(model.told.toSorted((a, b) => a - b)).toEqual(model.told);
    expect(model.told.at(-1)).toBe(1);
  });

  test("has a golden prompt with an answer", () => {
    // "Once upon a time" behind what begins a document; a letter without a token is left out.
    expect(header.golden.ids.map((id: number) => TOKENS[id]).join("|")).toBe("<|end|>|On|c|e|Ġ|n|Ġa|Ġ|e");
    const logits = new Float32Array(sectionOf(header.golden.logits).buffer);
    expect(logits.length).toBe(9);
    expect(logits.every(Number.isFinite)).toBe(true);
  });
});

test("a weight that is no number is left to the engine to name", () => {
  const broken = TENSORS.map(each =>
    each.name === "blk.0.ffn_up.weight" ? { ...each, bytes: new Uint8Array(each.bytes.length).fill(255) } : each,
  );
  const model = opened(ggufFile(LLAMA, broken));
  const whole = model.read(0, model.nbytes);
  const header = JSON.parse(
    new TextDecoder().decode(whole.subarray(64, 64 + new DataView(whole.buffer).getUint32(12, true))),
  );
  const { offset, nbytes } = header.golden.logits;
  expect(whole.subarray(offset, offset + nbytes).every(byte => byte === 0)).toBe(true);
});

describe("what is refused", () => {
  const without = (name: string) => TENSORS.filter(each => each.name !== name);
  const other = (name: string, change: Partial<Tensor>) =>
    TENSORS.map(each => (each.name === name ? { ...each, ...change } : each));
  const extra: Tensor = { name: "rope_freqs.weight", sizes: [1], kind: 0, bytes: new Uint8Array(4) };
  type Refused = readonly [string, readonly Entry[], readonly Tensor[], string];
  const unsupported: Refused[] = [
    [
      "another family",
      changed({ "general.architecture": [8, "gemma3"] }),
      TENSORS,
      'is "gemma3", expected llama, qwen2, qwen3',
    ],
    ["no family", changed({ "general.architecture": null }), TENSORS, "is not named"],
    ["a size that is none", changed({ "llama.attention.head_count": [4, 0] }), TENSORS, "its n_head is 0"],
    ["a giant", changed({ "llama.block_count": [4, 4_000_000_000] }), TENSORS, "its n_layer is 4000000000, expected"],
    [
      "heads that do not divide",
      changed({ "llama.attention.head_count_kv": [4, 3] }),
      TENSORS,
      "do not divide 2 heads",
    ],
    ["scaled RoPE", changed({ "llama.rope.scaling.type": [8, "yarn"] }), TENSORS, 'type is "yarn", expected none'],
    ["scaled RoPE in a tensor", LLAMA, [...TENSORS, extra], "rope_freqs.weight"],
    ["a tensor too many", LLAMA, [...TENSORS, { ...extra, name: "blk.0.attn_sinks" }], "blk.0.attn_sinks has no place"],
    ["a type", LLAMA, other("blk.0.ffn_up.weight", { kind: 16 }), "is in IQ2_XXS, expected F32, F16, Q4_0, Q4_1"],
    ["no type", LLAMA, other("blk.0.ffn_up.weight", { kind: 77 }), "is in type 77"],
    ["SentencePiece", changed({ "tokenizer.ggml.model": [8, "llama"] }), TENSORS, "llama is SentencePiece"],
    ["a split", changed({ "tokenizer.ggml.pre": [8, "toString"] }), TENSORS, 'is "toString", expected gpt-2'],
    [
      "a type of token",
      changed({ "tokenizer.ggml.token_type": [9, [5, [6, 1, 1, 1, 1, 1, 1, 1, 1]]] }),
      TENSORS,
      "of type 6",
    ],
  ];
  const damaged: Refused[] = [
    ["a size that is missing", changed({ "llama.block_count": null }), TENSORS, "there is no llama.block_count"],
    ["a size that is a text", changed({ "llama.block_count": [8, "1"] }), TENSORS, 'is "1", expected a number'],
    ["a tensor that is missing", LLAMA, without("output_norm.weight"), "there is no tensor output_norm.weight"],
    ["no embedding", LLAMA, without("token_embd.weight"), "there is no token_embd.weight"],
    ["another shape", LLAMA, other("blk.0.ffn_up.weight", { sizes: [3, 4] }), "has the shape [4, 3], expected [3, 4]"],
    [
      "half a block",
      LLAMA,
      other("blk.0.ffn_up.weight", { kind: 8 }),
      "rows of 4 weights, expected whole blocks of 32",
    ],
    ["half a block", LLAMA, other("blk.0.ffn_up.weight", { kind: 14 }), "expected whole blocks of 256"],
    ["no tokens", changed({ "tokenizer.ggml.tokens": null }), TENSORS, "there is no tokenizer.ggml.tokens"],
    [
      "types of others",
      changed({ "tokenizer.ggml.token_type": [9, [5, [1]]] }),
      TENSORS,
      "an entry for each of 9 tokens",
    ],
    ["a merge", changed({ "tokenizer.ggml.merges": [9, [8, ["On"]]] }), TENSORS, 'the merge "On" is not of two tokens'],
    [
      "a token twice",
      changed({ "tokenizer.ggml.tokens": [9, [8, "OncenabcO".split("")]] }),
      TENSORS,
      'the token "n" is both 1 and 4',
    ],
    ["a token too far", changed({ "tokenizer.ggml.eos_token_id": [4, 9] }), TENSORS, "number 9, expected one below 9"],
    [
      "a template of a number",
      changed({ "tokenizer.chat_template": [4, 9] }),
      TENSORS,
      "tokenizer.chat_template is no text",
    ],
  ];
  test.each([
    ...unsupported.map(each => ["unsupported-model", ...each] as const),
    ...damaged.map(each => ["bad-model", ...each] as const),
  ])("%s: %s", (kind, _, entries, tensors, message) => {
    expect(() => opened(ggufFile(entries, tensors))).toThrow(
      expect.objectContaining({ kind, message: expect.stringContaining(message), hint: expect.any(String) }),
    );
  });

  test("a file that is cut within its tensors, before anything of them is read", () => {
    const whole = ggufFile(LLAMA, TENSORS);
    expect(() => opened(whole.slice(0, -20))).toThrow(
      expect.objectContaining({ message: expect.stringContaining('the tensor "output_norm.weight" ends at') }),
    );
  });
});

describe("the tokenizer", () => {
  const parts = partsOf(readContainer(ggufFile(LLAMA).length, readerOf(ggufFile(LLAMA))));

  test("has the tokens' bytes, and a special one apart", () => {
    expect(parts.tokens.map(token => new TextDecoder().decode(token))).toEqual([
      "O",
      "n",
      "c",
      "e",
      " ",
      "a",
      " a",
      "On",
      "<|end|>",
    ]);
    expect(parts).toMatchObject({
      added: [[8, 1]],
      merges: [
        [0, 1, 7],
        [4, 5, 6],
      ],
      split: "gpt2",
      ignore_merges: false,
    });
  });

  test("takes the earliest merge first, and the leftmost of one", () => {
    const letters = Array.from("abc", letter => new TextEncoder().encode(letter));
    const tokens = [...letters, ...["ab", "bc", "abc", "aa"].map(text => new TextEncoder().encode(text))];
    const by = (merges: [number, number, number][], ignore_merges = false) =>
      idsOf({ ...parts, tokens, merges, added: [], ignore_merges }, ["abc", "aaa"]);
    expect(
      by([
        [0, 1, 3],
        [1, 2, 4],
        [3, 2, 5],
        [0, 0, 6],
      ]),
    ).toEqual([5, 6, 0]);
    expect(
      by([
        [1, 2, 4],
        [0, 1, 3],
      ]),
    ).toEqual([0, 4, 0, 0, 0]);
    expect(by([], true)).toEqual([5, 0, 0, 0]);
  });

  /** The hash of rust/tokenizer/FORMAT.md in numbers of any length. */
  const GOLDEN = 0x9e3779b97f4a7c15n;
  const wrap = (value: bigint) => BigInt.asUintN(64, value);
  function hash(token: Uint8Array): bigint {
    let state = BigInt(token.length);
    for (let at = 0; at <= token.length; at += 8) {
      let word = 0n;
      for (let byte = 7; byte >= 0; byte -= 1) word = (word << 8n) | BigInt(token[at + byte] ?? 0);
      const product = wrap((wrap((state << 5n) | (state >> 59n)) ^ word) * GOLDEN);
      state = wrap((product ^ (product >> 32n)) * GOLDEN);
    }
    return state;
  }

  test("has tables by the hashes that its form asks for", () => {
    const tokens = Array.from({ length: 1000 }, (_, id) => new TextEncoder().encode(`${id}`.repeat(1 + (id % 9))));
    const merges = Array.from({ length: 500 }, (_, id): [number, number, number] => [id, 999 - id, (id * 7) % 1000]);
    const form = flatForm({ tokens, merges, added: [], split: "gpt2", ignore_merges: false, nfc: true });
    const words = new Uint32Array(form.buffer, 72, 1000 + 1500 + 2048 + 1024);
    const expected = (count: number, hashOf: (number: number) => bigint) => {
      const bits = BigInt(Math.log2(count));
      const places = new Array<number>(count).fill(0xffff_ffff);
      return (numbers: number) => {
        for (let number = 0; number < numbers; number += 1) {
          let place = Number(hashOf(number) >> (64n - bits));
          while (places[place] !== 0xffff_ffff) place = (place + 1) % count;
          places[place] = number;
        }
        return places;
      };
    };
    expect([...words.subarray(2500, 4548)]).toEqual(expected(2048, id => hash(tokens[id] as Uint8Array))(1000));
    const key = (at: number) => (BigInt(merges[at]?.[0] ?? 0) << 32n) | BigInt(merges[at]?.[1] ?? 0);
    expect([...words.subarray(4548)]).toEqual(expected(1024, at => wrap(key(at) * GOLDEN))(500));
  });
});

test.each([
  [1e-5, "1e-05"],
  [1.5e-7, "1.5e-07"],
  [0.0001, "0.0001"],
  [10000, "10000.0"],
  [0.5, "0.5"],
  [1e15, "1000000000000000.0"],
  [1e16, "1e+16"],
  [1.25e100, "1.25e+100"],
])("%s is spelled %s, as Python spells it", (value, spelled) => {
  expect(canonical(new Float(value))).toBe(spelled);
});

test("canonical JSON has its keys in order and nothing but ASCII", () => {
  expect(canonical({ b: [1, true, null], a: 'é"\n\u007f🦊', c: {} })).toBe(
    '{"a":"\\u00e9\\"\\n\\u007f\\ud83e\\udd8a","b":[1,true,null],"c":{}}',
  );
});
