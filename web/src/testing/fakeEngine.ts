/** A double of the wasm engine for the unit tests: says one word a token, and notes what it was asked. */
import type { Card, GenerateOptions, Step } from "pocketlm-wasm";
import type { SessionEngine } from "../engine/session";

export const CARD: Card = {
  header: {
    config: {
      n_layer: 2,
      n_head: 6,
      n_kv_head: 3,
      d_model: 60,
      d_head: 10,
      d_ff: 100,
      vocab_size: 307,
      ctx_len: 384,
      rope_theta: 10000,
      norm_eps: 1e-5,
      tie_embeddings: false,
      bos_token_id: 0,
      eos_token_id: 0,
    },
    provenance: { run: { val_bpb: 2.5 } },
    tensors: [{ name: "model.embed_tokens.weight", dtype: "f32", shape: [307, 60], nbytes: 73680 }],
  },
  golden_prompt: "To be",
  parameters: 100_000,
  backend: "cpu",
  adapter: null,
  fallback_reason: null,
};

export class FakeEngine implements SessionEngine {
  readonly started: { prompt: string; options: GenerateOptions }[] = [];
  readonly batches: number[] = [];
  /** Thrown by the next step. */
  failure: unknown = null;
  #left = 0;
  #is_prompt_read = false;

  card(): Card {
    return CARD;
  }

  start(prompt: string, options: GenerateOptions): void {
    this.started.push({ prompt, options });
    this.#left = options.max_tokens;
    this.#is_prompt_read = false;
  }

  step(batch: number): Promise<Step> {
    if (this.failure !== null) return Promise.reject(this.failure);
    if (!this.#is_prompt_read) {
      this.#is_prompt_read = true;
      return Promise.resolve({ text: "", ids: new Uint32Array(0), prefilled: 3, done: null });
    }
    this.batches.push(batch);
    const count = Math.min(batch, this.#left);
    this.#left -= count;
    const done = this.#left === 0 ? "max-tokens" : null;
    return Promise.resolve({ text: "word ".repeat(count), ids: new Uint32Array(count).fill(7), prefilled: 0, done });
  }

  logits(ids: Uint32Array): Promise<Float32Array> {
    return Promise.resolve(Float32Array.from(ids));
  }
}
