import { expect, test } from "vitest";
import { emptyDoc, pathTo, reduceDoc, type TreeNode } from "../state/tree";
import { blocksOf, isSame, partsOf } from "./TokenText";

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

test("of a text that grows to 4,000 tokens no more is drawn than its end, by whatever is told of it", () => {
  const look = { shades: true, whitespace: false };
  const propsOf = (shown: readonly TreeNode[]) =>
    blocksOf(shown).flatMap(block => partsOf(block).map(part => ({ nodes: part, look, chosen: null })));
  let doc = reduceDoc(emptyDoc, { type: "begin", prompt: "Once" });
  let before = propsOf([]);
  let drawn = 0;
  // Twenty tokens at a time: two hundred a second, drawn ten times a second.
  for (let at = 0; at < 200; at += 1) {
    const text = at % 3 === 0 ? "x\n" : "y ";
    const tokens = Array.from({ length: 20 }, () => ({ id: at, text, logprob: -1, likeliest: [] }));
    doc = reduceDoc(doc, { type: "append", tokens });
    const now = propsOf(pathTo(doc, doc.tip).slice(1));
    const anew = now.filter((part, place) => before[place] === undefined || !isSame(before[place], part));
    drawn = Math.max(drawn, anew.flatMap(part => part.nodes).length);
    before = now;
  }
  expect(before.flatMap(part => part.nodes)).toHaveLength(4000);
  // The part that has grown and the one that it has flown over into; of 50 tokens each.
  expect(drawn).toBeGreaterThanOrEqual(20);
  expect(drawn).toBeLessThan(100);
  const [told] = before.at(-1)?.nodes ?? [];
  const after = reduceDoc(doc, { type: "tell", node: told?.id ?? 0, logprob: -2, likeliest: [] });
  const anew = propsOf(pathTo(after, after.tip).slice(1)).filter((part, at) => !isSame(before[at] ?? part, part));
  expect(anew).toHaveLength(1);
});
