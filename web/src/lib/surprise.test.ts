import { expect, test } from "vitest";
import { shownText, surpriseLevel } from "./surprise";

test.each([
  [null, 0],
  [0, 0],
  [0.99, 0],
  [1, 1],
  [5.9, 2],
  [6, 3],
  [10, 4],
  [100, 4],
])("%s bits are of level %d", (bits, level) => {
  expect(surpriseLevel(bits)).toBe(level);
});

test("whitespace is seen, and so is what turns text around", () => {
  expect(shownText(" a\n\tb")).toBe("·a↵\n→b");
  expect(shownText("\u202Eb\u001B")).toBe("[U+202E]b[U+001B]");
  expect(shownText("é漢🙂")).toBe("é漢🙂");
});
