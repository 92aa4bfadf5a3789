import { describe, expect, test } from "vitest";
import { digester, digestOf, noise } from "../../testing/ggufFile";
import type { Spec } from "./family";
import { SourceTensor } from "./tensor";

function readerOf(bytes: Uint8Array) {
  return (offset: number, nbytes: number) => bytes.slice(offset, offset + nbytes);
}

describe("a tensor", () => {
  const noisy = (nbytes: number) =>
    Uint8Array.from({ length: nbytes }, (_, index) => Math.floor(128 + 127 * noise(index)));
  const spec = (shape: number[], swaps = false): Spec => ({ name: "ours", theirs: "theirs", shape, swaps });

  /** As a section, in GGUF's bytes from offset 5 on. */
  function tensor(shape: number[], kind: number, bytes: Uint8Array, d_head = 0) {
    const file = new Uint8Array(5 + bytes.length);
    file.set(bytes, 5);
    const entry = { name: "theirs", sizes: shape.toReversed(), kind, offset: 5 };
    return new SourceTensor(spec(shape, d_head > 0), entry, file.length, d_head, readerOf(file));
  }

  test.each([
    ["F32", 0, 12 * 64 * 4],
    ["F16", 1, 12 * 64 * 2],
    ["Q4_0", 2, (12 * 64 * 18) / 32],
    ["Q8_0", 8, (12 * 64 * 34) / 32],
    ["BF16", 30, 12 * 64 * 2],
    ["Q4_1", 3, (12 * 64 * 20) / 32],
    ["Q5_0", 6, (12 * 64 * 22) / 32],
    ["Q5_1", 7, (12 * 64 * 24) / 32],
    ["Q4_K", 12, 12 * 144, 256],
    ["Q5_K", 13, 12 * 176, 256],
    ["Q6_K", 14, 12 * 210, 256],
    ["Q2_K", 10, 12 * 84, 256],
    ["Q3_K", 11, 12 * 110, 256],
    ["IQ4_NL", 20, (12 * 64 * 18) / 32],
    ["IQ4_XS", 23, 12 * 136, 256],
  ])("in %s is read in any parts, and digested as it is read", (_, kind, nbytes, columns = 64) => {
    for (const d_head of [0, 4]) {
      const made = tensor([12, columns], kind, noisy(nbytes), d_head);
      const whole = made.read(0, made.nbytes);
      for (const [from, to] of [
        [0, 1],
        [1, 300],
        [made.nbytes - 49, made.nbytes],
        [made.nbytes - 400, made.nbytes - 3],
      ] as const) {
        expect(made.read(from, to - from)).toEqual(whole.subarray(from, to));
      }
      const digest = digester();
      let rows = 0;
      made.eachRow((row, index) => {
        expect([row.length, index]).toEqual([columns, rows]);
        rows += 1;
      }, digest);
      expect(rows).toBe(12);
      expect(digest.hex()).toBe(digestOf(whole));
    }
  });

  test("of a llama has the rows of each head in another order", () => {
    const rows = Uint8Array.from({ length: 8 * 4 }, (_, index) => index >> 2);
    const made = tensor([8, 1], 0, rows, 4);
    expect([...made.read(0, 32)].filter((_, at) => at % 4 === 0)).toEqual([0, 2, 1, 3, 4, 6, 5, 7]);
  });

  test("in Q8_0 has its quants first, and then its scales", () => {
    const block = Uint8Array.from([0x00, 0x3c, ...Array.from({ length: 32 }, (_, index) => index - 16)]);
    const made = tensor([1, 64], 8, Uint8Array.from([...block, ...block]));
    const read = made.read(0, made.nbytes);
    expect([...read.subarray(64)]).toEqual([0x00, 0x3c, 0x00, 0x3c]);
    expect([...new Int8Array(read.slice(0, 32).buffer)]).toEqual(Array.from({ length: 32 }, (_, index) => index - 16));
    made.eachRow(row => expect(row[0]).toBe(-16));
  });

  test.each([
    [0x3c00, 1],
    [0xc000, -2],
    [0x0001, 2 ** -24],
    [0x7bff, 65504],
    [0x7c00, Number.POSITIVE_INFINITY],
    [0x8000, -0],
  ])("in F16 with the bits %s is the number %s", (bits, value) => {
    tensor([1, 1], 1, Uint8Array.of(bits & 255, bits >> 8)).eachRow(row => expect(row[0]).toBe(value));
  });

  test("with the bits of a Q4_0 has weight 0 in a low half and weight 16 in a high one", () => {
    const bytes = Uint8Array.from([0x00, 0x38, 0xf0, ...new Array(15).fill(0x88)]);
    tensor([1, 32], 2, bytes).eachRow(row => expect([row[0], row[1], row[16]]).toEqual([-4, 0, 3.5]));
  });

  const valuesOf = (made: SourceTensor) => {
    const values: number[] = [];
    made.eachRow(row => void values.push(...row));
    return values;
  };
  const f32Of = (made: SourceTensor) => [...new Float32Array(made.read(0, made.nbytes).buffer)];

  test("of one dimension is kept in f32, whatever it was", () => {
    expect(f32Of(tensor([2], 30, Uint8Array.of(0x80, 0x3f, 0x00, 0xc0)))).toEqual([1, -2]);
    const halves = Uint8Array.from([0x00, 0x38, 0xf0, ...new Array(15).fill(0x88)]);
    expect(f32Of(tensor([32], 2, halves))).toEqual(valuesOf(tensor([1, 32], 2, halves)));
  });

  // Scales are 1 and least values -2 or, in k-quants, 2 to be taken away; where there are parts, of each 3 and 1 times as much.
  test.each<[string, number, number[], Record<number, number>]>([
    ["Q4_1", 3, [0x00, 0x3c, 0x00, 0xc0, 0xf1, ...new Array(15).fill(0)], { 0: -1, 1: -2, 16: 13, 17: -2 }],
    ["Q5_0", 6, [0x00, 0x3c, 1, 0, 2, 0, 0x51, ...new Array(15).fill(0)], { 0: 1, 1: -16, 16: -11, 17: 0 }],
    ["Q5_1", 7, [0x00, 0x3c, 0x00, 0xc0, 1, 0, 2, 0, 0x51, ...new Array(15).fill(0)], { 0: 15, 1: -2, 16: 3, 17: 14 }],
    [
      "Q4_K",
      12,
      // The fifth part's scale is 0x23, its least value 0x11: the upper two bits of each lie in the first part's.
      [0x00, 0x3c, 0x00, 0x40, 0x83, 2, 0, 0, 0x41, 1, 0, 0, 0x13, 0, 0, 0, 0xf1, ...new Array(127).fill(0)],
      { 0: 1, 1: -2, 32: 28, 33: -2, 128: -34, 255: 0 },
    ],
    [
      "Q5_K",
      13,
      [0x00, 0x3c, 0x00, 0x40, 3, 2, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 3, ...new Array(31).fill(0), 0xf1].concat(
        new Array(127).fill(0),
      ),
      { 0: 49, 1: -2, 32: 60, 33: -2, 255: 0 },
    ],
    [
      "Q6_K",
      14,
      [0xf1, ...new Array(127).fill(0), 0b11_10_01_00, ...new Array(63).fill(0), 1, 0, 255, 0, 2, 0, 1].concat(
        new Array(9).fill(0),
        [0x00, 0x3c],
      ),
      { 0: -31, 1: -32, 16: -0, 32: 16, 33: 32, 64: 30, 65: -64, 96: 16, 97: -32 },
    ],
    [
      "Q2_K",
      10,
      // The first part's scale is 3, its least value 1; the third's 1 and 0, and of its quants the next two bits.
      [0x13, 0, 1, ...new Array(13).fill(0), 0b10_01_11_10, ...new Array(63).fill(0), 0x00, 0x3c, 0x00, 0x40],
      { 0: 4, 1: -2, 16: 0, 32: 3, 33: 0, 64: 0, 255: 0 },
    ],
    [
      "Q3_K",
      11,
      // Scales of 33 - 32, and of the last part 63 - 32, whose upper two bits lie in the last byte.
      [0b1000_0001, ...new Array(31).fill(0), 0b00_00_00_11, ...new Array(63).fill(0)].concat([
        1, 0, 0, 0, 0, 0, 0, 0xf0, 2, 0, 0, 0b11_00_00_00, 0x00, 0x3c,
      ]),
      { 0: 3, 1: -4, 16: 128, 32: 128, 224: -0, 255: -124 },
    ],
    ["IQ4_NL", 20, [0x00, 0x3c, 0x8f, ...new Array(15).fill(0)], { 0: 113, 1: -127, 16: 1, 17: -127 }],
    [
      "IQ4_XS",
      23,
      // Scales of 33 - 32 and, of the second part, 17 - 32; the others are -32.
      [0x00, 0x3c, 0b01_10, 0, 0x11, 0, 0, 0, 0x8f, ...new Array(127).fill(0)],
      { 0: 113, 1: -127, 16: 1, 32: 15 * 127, 64: 32 * 127 },
    ],
  ])("of one dimension in %s has the values of its bits", (_, kind, bytes, expected) => {
    const values = f32Of(tensor([kind < 8 || kind === 20 ? 32 : 256], kind, Uint8Array.from(bytes)));
    const found = Object.keys(expected).map(at => [at, values[Number(at)]]);
    expect(Object.fromEntries(found)).toEqual(expected);
  });

  describe("that is quantised anew", () => {
    /** One block: what it begins with, and zeros. */
    const block = (kind: number, ...bytes: number[]) => {
      const [width, nbytes] = ({ 3: [32, 20], 7: [32, 24], 12: [256, 144] } as const)[kind] as [number, number];
      return tensor([1, width], kind, Uint8Array.from([...bytes, ...new Array(nbytes - bytes.length).fill(0)]));
    };
    const q8Of = (made: SourceTensor) => {
      const bytes = made.read(0, made.nbytes);
      const [first, second] = new Int8Array(bytes.buffer);
      const at = made.nbytes - made.nbytes / 17;
      return { first, second, scale: bytes[at] as number, exponent: (bytes[at + 1] as number) >> 2 };
    };

    test("has 127 in the place of the largest, and the values of its own scale", () => {
      const made = block(3, 0x00, 0x3c, 0, 0, 15); // 15 and 0: the scale is 15/127, whose half is 0x2f8f
      expect(q8Of(made)).toEqual({ first: 127, second: 0, scale: 0x8f, exponent: 0x2f >> 2 });
      expect(valuesOf(made).slice(0, 2)).toEqual([127 * (1 + 0x38f / 1024) * 2 ** -4, 0]);
    });

    test("has halves rounded away from zero", () => {
      // From 223 on, 0 and 31: of a scale of 2 they are 111.5 and 127. From -254 on, 3 and 0: -125.5 and -127.
      const [above, below] = [
        block(7, 0, 0x3c, 0xf8, 0x5a, 2, 0, 0, 0, 0, 15),
        block(7, 0, 0x3c, 0xf0, 0xdb, 0, 0, 0, 0, 3),
      ];
      expect([q8Of(above).first, q8Of(above).second]).toEqual([112, 127]);
      expect([q8Of(below).first, q8Of(below).second]).toEqual([-126, -127]);
    });

    test("is zero where its scale is too small for a half", () => {
      const made = block(3, 1, 0, 0, 0, 3); // 3 · 2⁻²⁴ / 127
      expect(q8Of(made)).toEqual({ first: 0, second: 0, scale: 0, exponent: 0 });
      expect(valuesOf(made)).toEqual(new Array(32).fill(0));
      expect(q8Of(block(3, 100, 0, 0, 0, 15))).toEqual({ first: 127, second: 0, scale: 12, exponent: 0 });
    });

    test.each([
      ["too large", 12, [0xff, 0x7b, 0, 0, 63, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 15]],
      ["infinite", 3, [0x00, 0x7c, 0, 0, 15]],
      ["no number", 3, [0x00, 0x3c, 0x00, 0x7e, 15]],
    ])("has a scale that is none where a weight is %s", (_, kind, bytes) => {
      expect(q8Of(block(kind, ...bytes)).exponent).toBe(31);
    });
  });
});
