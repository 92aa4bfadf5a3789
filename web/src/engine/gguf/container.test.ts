import { describe, expect, test } from "vitest";
import { type Entry, ggufFile, LLAMA, TENSORS } from "../../testing/ggufFile";
import { readContainer } from "./container";

/** What is asked for of the file, in order. */
let asked: [number, number][] = [];

function read(bytes: Uint8Array) {
  asked = [];
  return readContainer(bytes.length, (offset, nbytes) => {
    asked.push([offset, nbytes]);
    return bytes.slice(offset, offset + nbytes);
  });
}

const refused = (bytes: Uint8Array) => {
  try {
    read(bytes);
  } catch (thrown) {
    const { kind, message } = thrown as { kind: string; message: string };
    return kind === "bad-model" || kind === "unsupported-model" ? message : thrown;
  }
  return "read";
};

test.each([2, 3])("the metadata and the tensors of version %s", version => {
  const { fields, tensors } = read(ggufFile(LLAMA, TENSORS, { version }));
  expect(fields.get("llama.block_count")).toBe(1);
  expect(fields.get("llama.attention.layer_norm_rms_epsilon")).toBe(Math.fround(1e-5));
  expect(fields.get("tokenizer.ggml.merges")).toEqual(["O n", "Ġ a"]);
  expect(fields.get("tokenizer.ggml.token_type")).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 3]);
  const file = ggufFile(LLAMA, TENSORS, { version });
  for (const { name, sizes, bytes } of TENSORS) {
    const entry = tensors.get(name);
    expect(entry).toMatchObject({ name, sizes, kind: 0 });
    expect(file.slice(entry?.offset, (entry?.offset ?? 0) + bytes.length)).toEqual(bytes);
  }
});

test("values of every type", () => {
  const entries: Entry[] = [
    ["0", 0, 255],
    ["1", 1, -128],
    ["2", 2, 65535],
    ["3", 3, -32768],
    ["4", 4, 4294967295],
    ["5", 5, -2147483648],
    ["6", 6, 0.1],
    ["7", 7, true],
    ["8", 8, "\ufeffé\0"],
    ["10", 10, 2 ** 40],
    ["11", 11, -(2 ** 40)],
    ["12", 12, 0.1],
  ];
  const { fields } = read(ggufFile(entries));
  for (const [key, type, value] of entries) {
    expect(fields.get(key)).toBe(type === 6 ? Math.fround(value as number) : value);
  }
});

test("of a list that nobody asks for nothing is kept; what comes after it is read", () => {
  const { fields } = read(
    ggufFile([
      ["numbers", 9, [6, [1, 2, 3]]],
      ["texts", 9, [8, ["a", "bc"]]],
      [
        "lists",
        9,
        [
          9,
          [
            [4, [1]],
            [8, ["x"]],
          ],
        ],
      ],
      ["after", 8, "here"],
    ]),
  );
  expect([...fields]).toEqual([
    ["numbers", []],
    ["texts", []],
    ["lists", []],
    ["after", "here"],
  ]);
});

test("of a key that comes twice the first counts", () => {
  const twice: Entry[] = [
    ["key", 4, 1],
    ["key", 4, 2],
  ];
  expect(read(ggufFile(twice)).fields.get("key")).toBe(1);
});

test("more than a window is read in windows", () => {
  const long: Entry[] = Array.from({ length: 3 }, (_, index) => [`${index}`, 8, `${index}`.repeat(700_000)]);
  const { fields } = read(ggufFile([...long, ["after", 4, 7]]));
  expect(fields.get("2")).toHaveLength(700_000);
  expect(fields.get("after")).toBe(7);
  expect(Math.max(...asked.map(([, nbytes]) => nbytes))).toBeLessThanOrEqual(1 << 20);
});

test("a file that is cut anywhere before its tensors is damaged", () => {
  const whole = ggufFile(LLAMA, TENSORS);
  const { tensors } = read(whole);
  const start = tensors.get("token_embd.weight")?.offset ?? 0;
  for (let length = 0; length < start - 32; length += 1)
    expect(refused(whole.slice(0, length))).toMatch(/it ends within|more than there is of the file/);
});

describe("what is refused", () => {
  const nested = (depth: number): [number, unknown[]] => (depth === 0 ? [4, []] : [9, [nested(depth - 1)]]);
  const huge = 2n ** 63n;
  test.each<[string, Uint8Array, string]>([
    ["version 1", ggufFile([], [], { version: 1 }), "it has version 1, expected 2 or 3"],
    ["big-endian", ggufFile([], [], { version: 3 << 24 }), "its numbers are big-endian"],
    ["too many keys", ggufFile([], [], { n_fields: huge }), "9223372036854776000 keys, at most 65536"],
    ["too many tensors", ggufFile([], [], { n_tensors: huge }), "9223372036854776000 tensors, at most 65536"],
    ["keys that are not there", ggufFile([], [], { n_fields: 60_000 }), "it ends within"],
    ["no such type", ggufFile([["key", 13, 0]]), '"key" has a value of type 13'],
    ["a list of no such type", ggufFile([["key", 9, [13, []]]]), '"key" is a list of values of type 13'],
    ["no power of two", ggufFile([["general.alignment", 4, 24]]), "general.alignment is 24, expected a power of two"],
    ["lists in lists", ggufFile([["key", 9, nested(6)]]), '"key" is a list of values of type 9'],
  ])("%s", (_, bytes, message) => {
    expect(refused(bytes)).toContain(message);
  });

  /** A list whose length is said to be another. */
  const list = (key: string, of: number, length: bigint) => {
    const bytes = ggufFile([[key, 9, [of, []]]]);
    new DataView(bytes.buffer).setBigUint64(bytes.length - 8, length, true);
    return bytes;
  };
  test.each<[string, Uint8Array, string]>([
    ["a list of numbers", list("key", 4, huge), "it ends within"],
    ["a list of texts", list("key", 8, huge), "more than there is of the file"],
    ["a list of lists", list("key", 9, huge), "more than there is of the file"],
    ["a list that is kept", list("tokenizer.ggml.tokens", 8, huge), "at most 2097152"],
    ["and one that ends early", list("tokenizer.ggml.token_type", 5, 1000n), "more than there is of the file"],
  ])("%s as long as no file", (_, bytes, message) => {
    expect(refused(bytes)).toContain(message);
    expect(Math.max(...asked.map(([, nbytes]) => nbytes))).toBeLessThanOrEqual(bytes.length);
  });

  test("a text as long as no file, and one that is no UTF-8", () => {
    const bytes = ggufFile([["key", 8, ""]]);
    new DataView(bytes.buffer).setBigUint64(bytes.length - 8, huge, true);
    expect(refused(bytes)).toContain("it ends within");
    expect(refused(ggufFile([["key", 8, Uint8Array.of(0xff)]]))).toContain('"key" is no UTF-8');
  });

  test("tensors of one name, with too many sizes, or between two places", () => {
    const [tensor] = TENSORS as [(typeof TENSORS)[number]];
    expect(refused(ggufFile([], [tensor, tensor]))).toContain('two tensors named "token_embd.weight"');
    expect(refused(ggufFile([], [{ ...tensor, sizes: [1, 1, 1, 1, 1] }]))).toContain("has 5 sizes, expected 1 to 4");
    const odd = ggufFile([], [tensor]);
    new DataView(odd.buffer).setBigUint64(24 + 8 + tensor.name.length + 4 + 16 + 4, 8n, true);
    expect(refused(odd)).toContain("8 bytes from the first tensor, no multiple of 32");
  });

  test("metadata longer than any", () => {
    const bytes = ggufFile([["key", 9, [0, []]]]);
    new DataView(bytes.buffer).setBigUint64(bytes.length - 8, 100n << 20n, true);
    const open = () => readContainer(1 << 30, (offset, nbytes) => bytes.slice(offset, offset + nbytes));
    expect(open).toThrow(expect.objectContaining({ message: expect.stringContaining("longer than 64 MiB") }));
  });
});
