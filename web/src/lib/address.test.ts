import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { hashNow, WRITE_AFTER_MS, writeHashSoon } from "./address";

/** What the address was changed to, in turn. */
let written: string[];

beforeEach(() => {
  vi.useFakeTimers();
  written = [];
  const location = { hash: "" };
  const replaceState = (_: unknown, __: string, hash: string) => {
    written.push(hash);
    location.hash = hash;
  };
  vi.stubGlobal("location", location);
  vi.stubGlobal("history", { replaceState });
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

test("of many changes within a moment the last one is written, once", () => {
  for (const hash of ["#a", "#ab", "#abc"]) {
    writeHashSoon(hash);
    vi.advanceTimersByTime(WRITE_AFTER_MS - 1);
  }
  expect(written).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(written).toEqual(["#abc"]);
});

test("who reads it has what waits to be written, which is not written again", () => {
  writeHashSoon("#a");
  expect(hashNow()).toBe("#a");
  vi.advanceTimersByTime(2 * WRITE_AFTER_MS);
  expect(hashNow()).toBe("#a");
  expect(written).toEqual(["#a"]);
});

test("what is forgone is not written, and takes no later one along", () => {
  const forgoFirst = writeHashSoon("#a");
  forgoFirst();
  expect(hashNow()).toBe("");
  writeHashSoon("#b");
  forgoFirst();
  vi.advanceTimersByTime(WRITE_AFTER_MS);
  expect(written).toEqual(["#b"]);
});
