import { expect, test } from "vitest";
import { placed, ticks } from "./chart";

test.each([
  [10, 5, [0, 2, 4, 6, 8, 10]],
  [0.35, 4, [0, 0.1, 0.2, 0.3, 0.4]],
  [1, 4, [0, 0.5, 1]],
  [384, 4, [0, 100, 200, 300, 400]],
  [0, 4, [0]],
  [Number.NaN, 4, [0]],
])("ticks up to %d", (most, count, values) => {
  const found = ticks(most, count);
  expect(found.map(({ value }) => value)).toEqual(values);
  expect(found.at(-1)?.at).toBe(values.length > 1 ? 1 : 0);
});

test("points lie between the corners, the larger the higher", () => {
  const points = [
    { x: 0, y: 0 },
    { x: 5, y: 1 },
    { x: 10, y: 4 },
  ];
  expect(placed(points, { x: 10, y: 4 }, 200, 100)).toEqual([
    { x: 0, y: 100 },
    { x: 100, y: 75 },
    { x: 200, y: 0 },
  ]);
});
