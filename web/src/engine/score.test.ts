import { expect, test } from "vitest";
import { FakeEngine } from "../testing/fakeEngine";
import { largest, scoreText, windows } from "./score";

/** Says that token (id + 1) follows, with e times the weight of every other. */
class Scoring extends FakeEngine {
  override encode = (text: string) => Uint32Array.from(text, letter => letter.charCodeAt(0));
  override decode = (ids: Uint32Array) => String.fromCharCode(...ids);
  override logits(ids: Uint32Array): Promise<Float32Array> {
    const logits = new Float32Array(ids.length * 307);
    ids.forEach((id, at) => {
      logits[at * 307 + id + 1] = 1;
    });
    return Promise.resolve(logits);
  }
}

test.each([
  [2, 384, 64],
  [385, 384, 64],
  [386, 384, 64],
  [1000, 7, 3],
  [1000, 7, 0],
  [5, 1, 0],
])("every token but the first is scored once: %d in windows of %d that share %d", (n_tokens, window, overlap) => {
  const scored: number[] = [];
  for (const [start, length, count] of windows(n_tokens, window, overlap)) {
    expect(length).toBeLessThanOrEqual(window);
    for (let at = length - count; at < length; at += 1) scored.push(start + at + 1);
  }
  expect(scored).toEqual(Array.from({ length: n_tokens - 1 }, (_, index) => index + 1));
});

test("the largest are those that a sort puts first", () => {
  for (const length of [1, 4, 5, 6, 307]) {
    const row = Float32Array.from({ length }, () => Math.fround(Math.random() - 2));
    const sorted = [...row.keys()].sort((a, b) => (row[b] ?? 0) - (row[a] ?? 0));
    expect(largest(row, 5)).toEqual(sorted.slice(0, 5));
  }
});

test("surprisal is that of the distribution, and the bytes are those of the text", async () => {
  const { tokens, bits, n_bytes } = await scoreText(new Scoring(), "abx");
  const likely = Math.log2((Math.E + 306) / Math.E);
  const unlikely = Math.log2(Math.E + 306);
  expect(tokens.map(token => token.text)).toEqual(["a", "b", "x"]);
  for (const [index, expected] of [unlikely, likely, unlikely].entries()) {
    expect(tokens[index]?.logprob).toBeCloseTo(-expected * Math.LN2, 5);
  }
  expect(tokens[1]?.likeliest[0]).toEqual({ id: tokens[1]?.id, text: "b", logprob: tokens[1]?.logprob });
  expect(tokens[1]?.likeliest).toHaveLength(5);
  expect(bits).toBeCloseTo(likely + 2 * unlikely, 4);
  expect(n_bytes).toBe(3);
});

/** What follows depends on all that was read. */
class Remembering extends FakeEngine {
  override encode = (text: string) => Uint32Array.from(text, letter => letter.charCodeAt(0));
  override decode = (ids: Uint32Array) => String.fromCharCode(...ids);
  before: number[] = [];
  most = 0;
  override logits(ids: Uint32Array, after: number): Promise<Float32Array> {
    expect(after).toBeLessThanOrEqual(this.before.length);
    this.before.length = after;
    this.most = Math.max(this.most, ids.length);
    const logits = new Float32Array(ids.length * 307);
    ids.forEach((id, at) => {
      this.before.push(id);
      expect(this.before.length).toBeLessThanOrEqual(this.card().header.config.ctx_len);
      const sum = this.before.reduce((total, each, place) => (total * 31 + each * (place + 1)) % 1009, 7);
      for (let token = 0; token < 307; token += 1) logits[at * 307 + token] = ((sum * (token + 1)) % 97) / 10;
    });
    return Promise.resolve(logits);
  }
}

test("a window is read in parts that the memory has room for, and that changes nothing", async () => {
  const text = Array.from({ length: 1000 }, (_, at) => String.fromCharCode(97 + ((at * at) % 23))).join("");
  const whole = await scoreText(new Remembering(), text);
  for (const rows of [1, 7, 64]) {
    const engine = new Remembering();
    expect(await scoreText(engine, text, rows * 307 + 5)).toEqual(whole);
    expect(engine.most).toBe(rows);
  }
});

test("an empty text costs nothing", async () => {
  expect(await scoreText(new Scoring(), "")).toEqual({ tokens: [], bits: 0, n_bytes: 0 });
});
