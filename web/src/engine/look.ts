/** What the worker is asked of the last token of a text: where it attends to, and what the layers would say next. */
import type { SessionEngine } from "./backend";
import type { Layer, Look, Looked } from "./protocol";
import { largest, logSumExp } from "./score";

/** `after`: ids that stand after the prompt. What of the text was read is not read again. */
export async function lookAt(engine: SessionEngine, prompt: string[], after: Uint32Array, look: Look): Promise<Looked> {
  const ids = Uint32Array.from([...engine.prompt_ids(prompt), ...after]);
  const { n_layer, vocab_size } = engine.card().header.config;
  const nameOf = (id: number) => engine.decode(Uint32Array.of(id));
  switch (look.at) {
    case "attention": {
      const weights = await engine.attention(ids, look.layer);
      const tokens = Array.from(ids, id => ({ id, text: nameOf(id) }));
      const heads = Array.from({ length: weights.length / ids.length }, (_, head) =>
        weights.slice(head * ids.length, (head + 1) * ids.length),
      );
      return { at: "attention", tokens, heads };
    }
    case "layers": {
      const rows = await engine.lens(ids, 0);
      const layers: Layer[] = Array.from({ length: n_layer }, (_, layer) => {
        const row = rows.subarray(layer * vocab_size, (layer + 1) * vocab_size);
        const total = logSumExp(row);
        const logprobOf = (id: number) => (row[id] ?? Number.NEGATIVE_INFINITY) - total;
        const told = (id: number) => ({ id, text: nameOf(id), logprob: logprobOf(id) });
        return {
          likeliest: largest(row, look.count).map(told),
          ...(look.of !== undefined && { logprob: logprobOf(look.of) }),
        };
      });
      return { at: "layers", layers };
    }
    case "logits":
      return { at: "logits", ids, logits: await engine.lens(ids, n_layer - 1) };
    default:
      return look satisfies never;
  }
}
