/** What the sampling would do with stored logits: the engine's rules (rust/inference/src/cpu/sample.rs), of all tokens at once, without a run. */
import type { SamplingOptions } from "../state/sampling";

export type Filters = Pick<SamplingOptions, "temperature" | "topK" | "topP" | "minP" | "repetitionPenalty">;

/**
 * The tokens that may be taken, by id, with their probabilities, which add up to 1; the likeliest first, of equal ones the lowest id.
 *
 * `logits`: raw, one a token; `ids`: of the text before, to which the repetition penalty goes.
 */
export function keptTokens(logits: Float32Array, ids: Iterable<number>, filters: Filters): Map<number, number> {
  const { temperature, topK, topP, minP, repetitionPenalty } = filters;
  const adjusted = Float32Array.from(logits);
  for (const id of new Set(ids)) {
    const logit = adjusted[id] ?? 0;
    adjusted[id] = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
  }
  const logitOf = (id: number) => adjusted[id] ?? Number.NEGATIVE_INFINITY;
  const order = Array.from(adjusted.keys()).sort((a, b) => logitOf(b) - logitOf(a) || a - b);
  const largest = logitOf(order[0] ?? 0);
  if (temperature === 0 || topK === 1) return new Map(order.slice(0, 1).map(id => [id, 1]));

  const ranked = topK > 0 ? order.slice(0, topK) : order;
  const weights = ranked.map(id => Math.exp((logitOf(id) - largest) / temperature));
  const sum = (parts: readonly number[]) => parts.reduce((total, part) => total + part, 0);
  const wanted = topP < 1 ? topP * sum(weights) : Number.POSITIVE_INFINITY;
  const floor = minP > 0 ? largest + temperature * Math.log(minP) : Number.NEGATIVE_INFINITY;
  let mass = 0;
  let count = 0;
  for (const [at, id] of ranked.entries()) {
    if (mass >= wanted || logitOf(id) < floor) break;
    mass += weights[at] ?? 0;
    count += 1;
  }
  return new Map(ranked.slice(0, count).map((id, at) => [id, (weights[at] ?? 0) / mass]));
}
