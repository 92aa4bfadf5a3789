import { describe, expect, test } from "vitest";
import { aligned, isWide, nearest, readSamples, readTraining } from "./training";

describe("training.json", () => {
  test("is read as it was written", () => {
    const written = {
      format: 1,
      tokens: 30,
      train: [[1, 3]],
      val: [
        [0, 5.9],
        [60, 3.2],
      ],
      kept: [[0, 4.1]],
    };
    expect(readTraining(written)).toEqual({
      tokens: 30,
      train: [{ step: 1, bpb: 3 }],
      val: [
        { step: 0, bpb: 5.9 },
        { step: 60, bpb: 3.2 },
      ],
      kept: [{ step: 0, bpb: 4.1 }],
    });
  });

  test.each([null, 3, "text", [], {}, { val: [] }, { val: {} }, { val: [[0, "5"]] }, { train: [[1, 2]] }])(
    "%j is none",
    value => expect(readTraining(value)).toBeNull(),
  );

  test("what is no point is left out, and so is what does not go on", () => {
    const rows = [
      [0, 5],
      [1, null],
      ["2", 4],
      [3],
      4,
      null,
      [-1, 4],
      [2.5, 4],
      [5, 4],
      [5, 3],
      [4, 3],
      [6, Number.POSITIVE_INFINITY],
    ];
    expect(readTraining({ val: rows, tokens: "many" })).toEqual({
      tokens: 0,
      train: [],
      val: [
        { step: 0, bpb: 5 },
        { step: 5, bpb: 4 },
      ],
      kept: [],
    });
  });

  test("of what is huge a part is read", () => {
    const rows = Array.from({ length: 100_000 }, (_, step) => [step, 1]);
    expect(readTraining({ val: rows })?.val.length).toBeLessThan(5000);
  });
});

describe("samples.json", () => {
  test("is read as it was written; markup is text", () => {
    const samples = [
      { step: 0, text: "<script>alert(1)</script>" },
      { step: 60, text: "ROMEO:\n\u202eBut soft" },
    ];
    expect(readSamples({ format: 1, samples })).toEqual(samples);
  });

  test.each([null, [], {}, { samples: {} }, { samples: "text" }])("%j has none", value => {
    expect(readSamples(value)).toEqual([]);
  });

  test("what is no sample is left out, and what is too long is cut", () => {
    const samples = [
      { step: 0, text: "" },
      { step: 1, text: ["a"] },
      { step: "2", text: "a" },
      { text: "a" },
      null,
      { step: 3, text: "x".repeat(1_000_000) },
      { step: 3, text: "again" },
      { step: Number.NaN, text: "a" },
    ];
    const read = readSamples({ samples });
    expect(read.map(({ step }) => step)).toEqual([3]);
    expect(read[0]?.text.length).toBeLessThan(100_000);
    const many = Array.from({ length: 10_000 }, (_, step) => ({ step, text: "a" }));
    expect(readSamples({ samples: many }).length).toBeLessThan(1000);
  });
});

test("the sample nearest to a step", () => {
  const samples = [0, 60, 120].map(step => ({ step, text: "a" }));
  expect([-5, 29, 31, 61, 1000].map(step => nearest(samples, step))).toEqual([0, 0, 1, 1, 2]);
  expect(nearest([], 3)).toBe(0);
});

test("values that differ tenfold stand on a logarithmic axis, those that reach 0 never", () => {
  expect(isWide([5.9, 2])).toBe(false);
  expect(isWide([2, 0.2])).toBe(true);
  expect(isWide([2, 0])).toBe(false);
});

test("curves share their steps, and have nothing where they have no point", () => {
  const curve = (...points: [number, number][]) => points.map(([step, bpb]) => ({ step, bpb }));
  expect(aligned([curve([5, 1], [10, 2]), curve([0, 9], [10, 8]), []])).toEqual({
    x: [0, 5, 10],
    y: [
      [null, 1, 2],
      [9, null, 8],
      [null, null, null],
    ],
  });
});
