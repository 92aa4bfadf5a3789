import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Batches } from "./batches";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test("hands on the first at once, then all that came in an interval, in order", () => {
  const handed: number[][] = [];
  const batches = new Batches<number>(100, items => handed.push(items));
  for (let item = 0; item < 50; item += 1) {
    batches.push(item);
    vi.advanceTimersByTime(10);
  }
  vi.advanceTimersByTime(200);
  expect(handed.flat()).toEqual(Array.from({ length: 50 }, (_, item) => item));
  expect(handed[0]).toEqual([0]);
  expect(handed.length).toBeLessThanOrEqual(6);
});

test("what waits is handed on when it is wanted, or forgotten", () => {
  const handed: number[][] = [];
  const batches = new Batches<number>(100, items => handed.push(items));
  for (const item of [1, 2, 3]) batches.push(item);
  batches.flush();
  batches.flush();
  expect(handed).toEqual([[1], [2, 3]]);
  batches.push(4);
  batches.clear();
  vi.advanceTimersByTime(500);
  expect(handed).toEqual([[1], [2, 3]]);
});
