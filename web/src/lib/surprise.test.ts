import { expect, test } from "vitest";
import { bitsOf, bytesOf, percentOf, shownText, surpriseLevel } from "./surprise";

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

test("a token in figures", () => {
  expect([bitsOf({ logprob: null }), bitsOf({ logprob: -3 * Math.LN2 })]).toEqual([null, 3]);
  expect(percentOf(Math.log(0.1234))).toBe("12.3 %");
  expect(["é", " a", "", "\uFFFD"].map(bytesOf)).toEqual([
    "bytes c3 a9",
    "bytes 20 61",
    "a part of a letter",
    "a part of a letter",
  ]);
});

test("whitespace is seen, and so is what turns text around", () => {
  expect(shownText(" a\n\tb")).toBe("·a↵\n→b");
  expect(shownText("\u202Eb\u001B")).toBe("[U+202E]b[U+001B]");
  expect(shownText("é漢🙂")).toBe("é漢🙂");
});
