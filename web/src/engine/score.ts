/**
 * How surprised the model is by each token of a text, and what it needs to write the text down: the figures of
 * `doit evaluate` for a text that is a document of its own.
 *
 * The windows are those of training/scoring.py: each shares `overlap` positions with the one before and scores only the
 * tokens that are new, so every token is scored once.
 */
import type { SessionEngine } from "./backend";
import type { TextScore, Token } from "./protocol";

/** Logits that are in memory at a time: 32 MiB. */
const MOST_LOGITS = 1 << 23;
const CANDIDATES = 5;

/** The windows of a stream of tokens: (start, length, scored) of each, as in training/scoring.py. */
export function windows(n_tokens: number, window: number, overlap: number): [number, number, number][] {
  const found: [number, number, number][] = [];
  for (let start = 0, done = 1; done < n_tokens; start += window - overlap) {
    const length = Math.min(window, n_tokens - 1 - start);
    const scored = start + length + 1 - done;
    found.push([start, length, scored]);
    done += scored;
  }
  return found;
}

/** log of the sum of exponentials of a row of logits, in nats. */
export function logSumExp(row: Float32Array): number {
  const largest = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  return largest + Math.log(row.reduce((sum, logit) => sum + Math.exp(logit - largest), 0));
}

/** The ids of the largest logits, the largest first. */
export function largest(row: Float32Array, count: number): number[] {
  const best: number[] = [];
  for (let id = 0; id < row.length; id += 1) {
    const value = row[id] ?? Number.NEGATIVE_INFINITY;
    if (best.length === count && value <= (row[best[count - 1] ?? 0] ?? 0)) continue;
    const place = best.findIndex(other => value > (row[other] ?? 0));
    best.splice(place === -1 ? best.length : place, 0, id);
    best.length = Math.min(best.length, count);
  }
  return best;
}

/** Ends the run that is under way. `most_logits`: of a window, which is read in parts; at least a token's are. */
export async function scoreText(
  engine: SessionEngine,
  text: string,
  most_logits: number = MOST_LOGITS,
): Promise<TextScore> {
  const { header } = engine.card();
  const { ctx_len, vocab_size, bos_token_id } = header.config;
  const run = header.provenance["run"];
  const trained = typeof run === "object" && run !== null && "val_overlap" in run ? run.val_overlap : null;
  const overlap = Math.min(typeof trained === "number" ? trained : ctx_len >> 1, ctx_len - 1);
  const part = Math.max(1, Math.floor(most_logits / vocab_size));

  const own = Array.from(engine.encode(text));
  // What a document begins with is read, and is no part of the text.
  const before = bos_token_id === undefined ? [] : [bos_token_id];
  const stream = Uint32Array.from([...before, ...own]);
  const nameOf = (id: number) => engine.decode(Uint32Array.of(id));
  const tokens: Token[] = own.map(id => ({ id, text: nameOf(id), logprob: null, likeliest: [] }));
  for (const [start, length, scored] of windows(stream.length, ctx_len, overlap)) {
    for (let first = 0; first < length; first += part) {
      const after_part = Math.min(first + part, length);
      const logits = await engine.logits(stream.slice(start + first, start + after_part), first);
      for (let at = Math.max(first, length - scored); at < after_part; at += 1) {
        const row = logits.subarray((at - first) * vocab_size, (at - first + 1) * vocab_size);
        const total = logSumExp(row);
        const token = tokens[start + at + 1 - before.length];
        if (token === undefined) throw new Error(`no token ${start + at + 1} in a text of ${own.length}`);
        token.logprob = (row[token.id] ?? 0) - total;
        token.likeliest = largest(row, CANDIDATES).map(id => ({
          id,
          text: nameOf(id),
          logprob: (row[id] ?? 0) - total,
        }));
      }
    }
  }
  const scored = before.length === 0 ? own.slice(1) : own;
  const n_bytes = new TextEncoder().encode(engine.decode(Uint32Array.from(scored))).length;
  const nats = tokens.reduce((sum, { logprob }) => sum - (logprob ?? 0), 0);
  return { tokens, bits: nats / Math.LN2, n_bytes };
}
