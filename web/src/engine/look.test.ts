import { describe, expect, test } from "vitest";
import { FakeEngine } from "../testing/fakeEngine";
import { lookAt } from "./look";

const AFTER = Uint32Array.of(7, 8);

describe("what is looked at", () => {
  test("attention comes head by head, with the tokens of the prompt and of what stands after it", async () => {
    const looked = await lookAt(new FakeEngine(), ["", "a b"], AFTER, { at: "attention", layer: 1 });
    if (looked.at !== "attention") throw new Error(looked.at);
    expect(looked.tokens.map(({ id }) => id)).toEqual([0, 1, 7, 8]);
    expect(looked.heads.map(weights => Array.from(weights))).toEqual([
      [1, 0, 0, 0],
      [0, 0, 0, 1],
    ]);
  });

  test("each layer tells its likeliest tokens, and how likely the one is that was asked for", async () => {
    const look = { at: "layers", count: 2, of: 1 } as const;
    const looked = await lookAt(new FakeEngine(), ["", "a b"], AFTER, look);
    if (looked.at !== "layers") throw new Error(looked.at);
    expect(looked.layers.map(({ likeliest }) => likeliest.map(({ id }) => id))).toEqual([
      [0, 1],
      [1, 0],
    ]);
    const total = Math.log(Math.exp(5) + 306);
    expect(looked.layers[0]?.logprob).toBeCloseTo(-total, 4);
    expect(looked.layers[1]?.logprob).toBeCloseTo(5 - total, 4);
    expect(looked.layers[1]?.likeliest[0]?.logprob).toBeCloseTo(5 - total, 4);
  });

  test("the logits are those after the last layer, with the ids that they follow", async () => {
    const looked = await lookAt(new FakeEngine(), ["", "a b"], AFTER, { at: "logits" });
    if (looked.at !== "logits") throw new Error(looked.at);
    expect(Array.from(looked.ids)).toEqual([0, 1, 7, 8]);
    expect([looked.logits.length, looked.logits[1]]).toEqual([307, 5]);
  });
});
