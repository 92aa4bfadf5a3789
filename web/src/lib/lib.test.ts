import { expect, test } from "vitest";
import { formatBytes, formatChange, formatMs, formatParameters, formatRate } from "./format";
import { openings, origin } from "./provenance";

test.each([
  [307, "307"],
  [938_240, "938 k"],
  [1_234_567, "1.23 M"],
  [1e9, "1 B"],
])("parameters: %d", (value, text) => expect(formatParameters(value)).toBe(text));

test.each([
  [12, "12 B"],
  [3_594_000, "3.6 MB"],
  [999, "999 B"],
  [42_000, "42 kB"],
  [1.5e9, "1.50 GB"],
])("bytes: %d", (value, text) => expect(formatBytes(value)).toBe(text));

test.each([
  [0, "0.0 ms"],
  [0.042, "0.042 ms"],
  [0.42, "0.4 ms"],
  [38.2, "38 ms"],
  [1234, "1.23 s"],
])("milliseconds: %d", (value, text) => expect(formatMs(value)).toBe(text));

test("rates", () => {
  expect(formatRate(3.08)).toBe("3.1");
  expect(formatRate(1234.5)).toBe("1,235");
});

test("changes have a sign", () => {
  expect([1.01234, 0.9995, 1].map(formatChange)).toEqual(["+1.23 %", "−0.05 %", "+0.00 %"]);
});

test("provenance is free in form: what is missing or of another type is null", () => {
  const run = { val_bpb: 2.1, tokens_seen: "many" };
  expect(origin({ preset: "tiny", run })).toEqual({ preset: "tiny", val_bpb: 2.1, f32_bpb: null, tokens_seen: null });
  for (const provenance of [{}, { run: null, preset: 3 }, { run: "x" }, { run: [] }]) {
    expect(origin(provenance)).toEqual({ preset: null, val_bpb: null, f32_bpb: null, tokens_seen: null });
  }
});

test("the figure of a narrower file is its own, beside that of the trained weights", () => {
  const run = { val_bpb: 2.1 };
  expect(origin({ run, stored: { dtype: "q4_0", val_bpb: 2.13 } })).toMatchObject({ val_bpb: 2.13, f32_bpb: 2.1 });
  expect(origin({ run, stored: { dtype: "f32", val_bpb: 2.1 } })).toMatchObject({ val_bpb: 2.1, f32_bpb: null });
  expect(origin({ run, stored: { dtype: "q4_0", val_bpb: "?" } })).toMatchObject({ val_bpb: 2.1, f32_bpb: null });
});

test("openings are the texts among the sample prompts", () => {
  expect(openings({ sample_prompts: ["ROMEO:\n", 3, "", "LADY"] })).toEqual(["ROMEO:\n", "LADY"]);
  expect(openings({ sample_prompts: "ROMEO" })).toEqual([]);
  expect(openings({})).toEqual([]);
});
