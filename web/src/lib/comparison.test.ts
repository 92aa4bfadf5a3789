import { describe, expect, test } from "vitest";
import { initialState, type State } from "../state/machine";
import { joint, readComparison } from "./comparison";

const SIDE = {
  name: "lr-1",
  key: "950969e10a",
  url: "models/a.bin",
  parameters: [["train.lr", "0.005"]],
  metrics: [["val_bpb", "3.175"]],
};

describe("compare.json", () => {
  test("is read as it was written", () => {
    expect(readComparison({ format: 1, models: [SIDE, { ...SIDE, name: "lr-2" }], also: "" })).toEqual({
      models: [SIDE, { ...SIDE, name: "lr-2" }],
      also: "",
    });
  });

  test("without what can be left out", () => {
    const read = readComparison({ models: [{ name: "a", url: "a" }, SIDE] });
    expect(read?.models[0]).toEqual({ name: "a", key: "", url: "a", parameters: [], metrics: [] });
    expect(read?.also).toBe("");
  });

  test.each([
    null,
    [],
    {},
    { models: [SIDE] },
    { models: [SIDE, SIDE, SIDE] },
    { models: [SIDE, { ...SIDE, url: 1 }] },
    { models: [SIDE, null] },
  ])("%j is none", value => {
    expect(readComparison(value)).toBeNull();
  });

  test("values of other types are no text that is shown", () => {
    const read = readComparison({ models: [{ ...SIDE, parameters: [["train.lr", {}], "x"] }, SIDE], also: 3 });
    expect(read?.models[0].parameters).toEqual([["train.lr", ""]]);
    expect(read?.also).toBe("");
  });
});

describe("the two together", () => {
  const failed: State = { phase: "failed", error: { kind: "crashed", message: "", hint: "" }, model: null, run: null };
  const loading: State = { phase: "loading", progress: null };

  test("are what the busier one is", () => {
    expect(joint(failed, loading)).toBe(loading);
    expect(joint(initialState, failed)).toBe(initialState);
    expect(joint(failed, failed)).toBe(failed);
  });
});
