import type { Model, Token } from "pocketlm";

/** Stands in place of bytes that are no letter, or no whole one. */
const BROKEN = "\uFFFD";

/** The tokens of a text, each with its part of it: one that ends within a letter brings it with the next, as in what a model writes. */
export async function tokensOfText(model: Pick<Model, "tokenize" | "detokenize">, text: string): Promise<Token[]> {
  const ids = Array.from(await model.tokenize(text));
  const alone = await Promise.all(ids.map(id => model.detokenize([id])));
  const tokens: Token[] = [];
  let waiting: number[] = [];
  for (const [at, id] of ids.entries()) {
    waiting.push(id);
    const part = waiting.length === 1 ? (alone[at] ?? "") : await model.detokenize(waiting);
    const is_cut = part.endsWith(BROKEN) && at < ids.length - 1;
    tokens.push({ id, text: is_cut ? "" : part, logprob: null, likeliest: [] });
    if (!is_cut) waiting = [];
  }
  return tokens;
}
