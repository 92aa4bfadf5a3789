import { expect, test } from "vitest";
import type { TreeNode } from "../state/tree";
import { blocksOf } from "./TokenText";

const nodes = (texts: string[]): TreeNode[] =>
  texts.map((text, id) => ({
    id,
    parent: id - 1,
    source: "sampled",
    text,
    token: id,
    logprob: null,
    likeliest: [],
    left_out: 0,
  }));

test("a text in blocks is the text, and what stands stays where it is while the text grows", () => {
  const all = nodes(Array.from({ length: 2000 }, (_, at) => (at % 7 === 3 ? "x\n" : "y ")));
  const whole = blocksOf(all);
  expect(whole.flat()).toEqual(all);
  expect(whole.length).toBeGreaterThan(8);
  for (const block of whole.slice(0, -1)) expect(block.at(-1)?.text).toBe("x\n");
  for (const length of [0, 1, 199, 200, 205, 1999]) {
    const before = blocksOf(all.slice(0, length));
    before.slice(0, -1).forEach((block, at) => {
      expect(block).toEqual(whole[at]);
    });
  }
  // Without a line's end it is one block.
  expect(blocksOf(nodes(Array.from({ length: 900 }, () => "z"))).length).toBe(1);
});
