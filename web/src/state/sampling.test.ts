import { randomSeed } from "pocketlm";
import { expect, test } from "vitest";
import { defaultSampling, FIELDS, parseField } from "./sampling";

test("every option has one field, and its default is within bounds", () => {
  const options = defaultSampling(randomSeed());
  expect(FIELDS.map(spec => spec.name).sort()).toEqual(Object.keys(options).sort());
  for (const spec of FIELDS) expect(parseField(spec, String(options[spec.name])), spec.name).toBe(options[spec.name]);
});

test.each([
  ["temperature", "", null],
  ["temperature", "abc", null],
  ["temperature", "-1", 0],
  ["temperature", "0.85", 0.85],
  ["topP", "0", 0.01],
  ["topK", "2.6", 3],
  ["maxTokens", "1e9", 100_000],
  ["seed", "4294967296", 4294967295],
  ["seed", "Infinity", null],
  ["minP", "1.5", 1],
  ["repetitionPenalty", "0", 0.01],
])("%s: %j is %j", (name, text, value) => {
  const spec = FIELDS.find(field => field.name === name);
  if (spec === undefined) throw new Error(name);
  expect(parseField(spec, text)).toBe(value);
});
