import { expect, test } from "vitest";
import { toEngineError } from "./errors";

test("errors of the engine keep kind, message and hint", () => {
  for (const kind of ["bad-model", "unsupported-model"]) {
    const thrown = Object.assign(new Error("broken"), { kind, hint: "copy it again" });
    expect(toEngineError(thrown)).toEqual({ kind, message: "broken", hint: "copy it again" });
  }
});

test("a kind that nobody knows does not pass", () => {
  expect(toEngineError(Object.assign(new Error("x"), { kind: "surprise" })).kind).toBe("no-engine");
});

test("a refused allocation is out of memory", () => {
  expect(toEngineError(new RangeError("Array buffer allocation failed")).kind).toBe("out-of-memory");
});

test("a trap says that the engine stopped", () => {
  const { kind, message } = toEngineError(new WebAssembly.RuntimeError("unreachable"));
  expect(kind).toBe("crashed");
  expect(message).toContain("unreachable");
});

test.each([["a word"], [null], [undefined], [42]])("anything else thrown is reported: %s", thrown => {
  expect(toEngineError(thrown).message).toBe(String(thrown));
});
