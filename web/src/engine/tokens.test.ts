import type { Step } from "pocketlm-wasm";
import { expect, test } from "vitest";
import { mergesOf, tokensOf } from "./tokens";

const nameOf = (id: number) => `<${id}>`;

/** A step of `n` tokens with `top` candidates each; each token's text is as long as `lengths` says. */
function step(text: string, lengths: number[], top: number | null): Step {
  const n = lengths.length;
  return {
    text,
    ids: Uint32Array.from({ length: n }, (_, at) => 100 + at),
    lengths: Uint32Array.from(lengths),
    logprobs: Float32Array.from({ length: top === null ? 0 : n }, (_, at) => -at),
    top_ids: Uint32Array.from({ length: n * (top ?? 0) }, (_, at) => at),
    top_logprobs: Float32Array.from({ length: n * (top ?? 0) }, (_, at) => -at / 2),
    prefilled: 0,
    done: null,
  };
}

test("each has its part of the text, and none what stays broken at the end", () => {
  const texts = (text: string, lengths: number[]) =>
    tokensOf(step(text, lengths, null), nameOf).map(({ text }) => text);
  expect(texts("To be", [2, 0, 3])).toEqual(["To", "", " be"]);
  expect(texts("To\uFFFD", [2, 0])).toEqual(["To", ""]);
  expect(texts("", [])).toEqual([]);
});

test("what the model said of each stands with it, where it was asked", () => {
  expect(tokensOf(step("ab", [1, 1], null), nameOf)[1]).toEqual({ id: 101, text: "b", logprob: null, likeliest: [] });
  expect(tokensOf(step("ab", [1, 1], 0), nameOf)[1]).toEqual({ id: 101, text: "b", logprob: -1, likeliest: [] });
  expect(tokensOf(step("ab", [1, 1], 2), nameOf)[1]).toEqual({
    id: 101,
    text: "b",
    logprob: -1,
    likeliest: [
      { id: 2, text: "<2>", logprob: -1 },
      { id: 3, text: "<3>", logprob: -1.5 },
    ],
  });
});

test("a token's merges come with their texts, and one that has none with nothing", () => {
  const engine = {
    merges: (id: number) => (id === 9 ? Uint32Array.of(98, 101, 8, 32, 8, 9) : new Uint32Array(0)),
    decode: (ids: Uint32Array) => Array.from(ids, nameOf).join(""),
  };
  const named = (id: number) => ({ id, text: `<${id}>` });
  expect(mergesOf(engine, 9)).toEqual([
    { left: named(98), right: named(101), result: named(8) },
    { left: named(32), right: named(8), result: named(9) },
  ]);
  expect(mergesOf(engine, 98)).toEqual([]);
});
