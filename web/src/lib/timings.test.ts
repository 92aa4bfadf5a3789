import { expect, test } from "vitest";
import { formatDuration } from "./format";
import { readTimings, summed } from "./timings";

test("durations are read as they were written, and what is none is left out", () => {
  const host = { cpus: 2 };
  const written = {
    corpus: { started: 1, duration_s: 0.5, host },
    train: { started: 2, duration_s: 300, host },
    free: { duration_s: 0 },
    text: { duration_s: "3" },
    negative: { duration_s: -1 },
    huge: { duration_s: 1e300 },
    infinite: { duration_s: Number.POSITIVE_INFINITY },
    nothing: { duration_s: null },
    list: [3],
    none: null,
    "<img src=x onerror=alert(1)>": { duration_s: 1 },
  };
  expect([...readTimings(written)]).toEqual([
    ["corpus", 0.5],
    ["train", 300],
    ["free", 0],
    ["<img src=x onerror=alert(1)>", 1],
  ]);
});

test.each([null, 3, "train", [], [{ duration_s: 1 }], {}])("no timings: %j", value => {
  expect(readTimings(value).size).toBe(0);
});

test("a name of JavaScript's own is no duration of a stage", () => {
  const durations = readTimings(JSON.parse('{"__proto__": {"duration_s": 7}, "train": {"duration_s": 1}}'));
  expect(durations.get("toString")).toBeUndefined();
  expect(summed(["constructor", "train"], durations)).toBeNull();
});

test("the sum is told where every stage has a duration", () => {
  const durations = new Map([
    ["corpus", 1],
    ["train", 3],
    ["elsewhere", 100],
  ]);
  expect(summed(["corpus", "train"], durations)).toEqual({ all_s: 4, train_s: 3 });
  expect(summed(["corpus"], durations)).toEqual({ all_s: 1, train_s: null });
  expect(summed(["corpus", "export"], durations)).toBeNull();
});

test.each([
  [0, "0.0 s"],
  [9.94, "9.9 s"],
  [9.96, "10 s"],
  [59.4, "59 s"],
  [59.6, "1 min 0 s"],
  [252, "4 min 12 s"],
  [3599.6, "1 h 0 min"],
  [7500, "2 h 5 min"],
  [86_399, "1 d 0 h"],
  [200_000, "2 d 8 h"],
])("%d s is %s", (seconds, words) => expect(formatDuration(seconds)).toBe(words));
