/** The tokens that a step of the engine brought, each with its part of the text. */
import type { Step } from "pocketlm-wasm";
import type { Token } from "./protocol";

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
