/** Tokens as the worker tells them: those that a step of the engine brought, each with its part of the text, and how one came about. */
import type { Step } from "pocketlm-wasm";
import type { SessionEngine } from "./backend";
import type { Merge, Token } from "./protocol";

/** `nameOf`: the text of an id. What the step's text has beyond its tokens is the end of a letter that stays broken, and none's. */
export function tokensOf(step: Step, nameOf: (id: number) => string): Token[] {
  const { ids, lengths, logprobs, top_ids, top_logprobs } = step;
  const top = ids.length === 0 ? 0 : top_ids.length / ids.length;
  let from = 0;
  return Array.from(ids, (id, at) => {
    const text = step.text.slice(from, from + (lengths[at] ?? 0));
    from += text.length;
    const places = Array.from({ length: top }, (_, nth) => at * top + nth);
    const likeliest = places.map(place => {
      const candidate = top_ids[place] ?? 0;
      return { id: candidate, text: nameOf(candidate), logprob: top_logprobs[place] ?? Number.NEGATIVE_INFINITY };
    });
    return { id, text, logprob: logprobs[at] ?? null, likeliest };
  });
}

/** The merges that make a token of its bytes, in their order; none where merges do not make it. */
export function mergesOf(engine: Pick<SessionEngine, "merges" | "decode">, id: number): Merge[] {
  const ids = engine.merges(id);
  const named = (at: number) => {
    const part = ids[at] ?? 0;
    return { id: part, text: engine.decode(Uint32Array.of(part)) };
  };
  return Array.from({ length: ids.length / 3 }, (_, nth) => ({
    left: named(3 * nth),
    right: named(3 * nth + 1),
    result: named(3 * nth + 2),
  }));
}
