import { describe, expect, test } from "vitest";
import { type Filters, keptTokens } from "./filter";

const PLAIN: Filters = { temperature: 1, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 };

/** Numbers that look random and are the same every time (Numerical Recipes' generator). */
function drawn(seed: number, count: number): number[] {
  let state = seed;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  });
}

/** The slow way: each rule by itself, of every token by itself. */
function slowly(logits: number[], ids: number[], filters: Filters): [number, number][] {
  const adjusted = logits.map((logit, id) =>
    ids.includes(id)
      ? Math.fround(logit > 0 ? logit / filters.repetitionPenalty : logit * filters.repetitionPenalty)
      : logit,
  );
  const isBefore = (a: number, b: number) =>
    (adjusted[a] ?? 0) > (adjusted[b] ?? 0) || (adjusted[a] === adjusted[b] && a < b);
  const all = adjusted.map((_, id) => id);
  const rank = (id: number) => all.filter(other => isBefore(other, id)).length;
  if (filters.temperature === 0) return all.filter(id => rank(id) === 0).map(id => [id, 1]);
  const weight = (id: number) => Math.exp((adjusted[id] ?? 0) / filters.temperature);
  const massOf = (some: number[]) => some.reduce((sum, id) => sum + weight(id), 0);
  let kept = all.filter(id => filters.topK === 0 || rank(id) < filters.topK);
  const whole = massOf(kept);
  if (filters.topP < 1) {
    const of = kept;
    kept = of.filter(id => massOf(of.filter(other => isBefore(other, id))) < filters.topP * whole);
  }
  const largest = Math.max(...all.map(weight));
  kept = kept.filter(id => weight(id) >= filters.minP * largest * (1 - 1e-12));
  const total = massOf(kept);
  return kept.sort((a, b) => rank(a) - rank(b)).map(id => [id, weight(id) / total]);
}

describe("the tokens that may be taken", () => {
  test("are all of them, as likely as the model says, where nothing is filtered", () => {
    const kept = keptTokens(Float32Array.of(0, Math.log(3), 0), [], PLAIN);
    expect([...kept.keys()]).toEqual([1, 0, 2]);
    expect(kept.get(1)).toBeCloseTo(0.6, 6);
    expect(kept.get(2)).toBeCloseTo(0.2, 6);
  });

  test("are the likeliest alone at a temperature of 0, of equal ones the first", () => {
    expect([...keptTokens(Float32Array.of(1, 4, 4), [], { ...PLAIN, temperature: 0 })]).toEqual([[1, 1]]);
    expect([...keptTokens(Float32Array.of(1, 4, 4), [], { ...PLAIN, topK: 1 })]).toEqual([[1, 1]]);
  });

  test("are those of the rules one after another, whatever is set", () => {
    for (let seed = 1; seed < 300; seed += 1) {
      const [t = 0, k = 0, p = 0, m = 0, r = 0, size = 0, ...rest] = drawn(seed, 60);
      const count = 1 + Math.floor(size * 20);
      // A few values, so that many are equal.
      const logits = rest.slice(0, count).map((x, at) => Math.fround(at % 3 === 0 ? Math.round(4 * x) : 8 * x - 4));
      const ids = rest.slice(30, 33).map(x => Math.floor(x * count));
      const filters: Filters = {
        temperature: t < 0.1 ? 0 : 3 * t,
        topK: k < 0.3 ? 0 : 1 + Math.floor(k * 20),
        topP: p < 0.3 ? 1 : p,
        minP: m < 0.4 ? 0 : m / 2,
        repetitionPenalty: r < 0.4 ? 1 : 0.5 + r,
      };
      const got = [...keptTokens(Float32Array.from(logits), ids, filters)];
      const wanted = slowly(logits, ids, filters);
      const about = JSON.stringify({ seed, filters, logits, ids });
      expect(
        got.map(([id]) => id),
        about,
      ).toEqual(wanted.map(([id]) => id));
      for (const [at, [, probability]] of got.entries()) {
        expect(Math.abs(probability - (wanted[at]?.[1] ?? 0)), about).toBeLessThan(1e-6);
      }
    }
  });
});
