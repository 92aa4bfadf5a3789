/** A double of the wasm engine for the unit tests: says one word a token, and notes what it was asked. */
import type { Backend, CacheKind, Card, GenerateOptions, GoldenCheck, KernelTimes, Step } from "pocketlm-wasm";
import type { SessionEngine } from "../engine/backend";

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
  chat_template: null,
  bos_token: null,
  eos_token: null,
  special_tokens: [],
  golden_prompt: "To be",
  parameters: 100_000,
  backend: "cpu",
  adapter: null,
};

export class FakeEngine implements SessionEngine {
  readonly started: { prompt: string[]; options: GenerateOptions }[] = [];
  /** The engines that were made as copies of this one. */
  readonly forks: FakeEngine[] = [];
  /** Thrown where a copy is asked for. */
  fork_failure: unknown = null;
  readonly batches: number[] = [];
  /** The layers that each step of a prompt was asked for. */
  readonly layers: number[] = [];
  /** A prompt is so many chunks of 3 tokens, each of so many layers. */
  chunks = 1;
  chunk_layers = 1;
  is_free = false;
  /** Thrown by the step that would bring this token of a run, and by every later one. */
  failure: unknown = null;
  fails_at = 0;
  /** What `check` finds. */
  found: GoldenCheck = {
    largest_difference: 0.001,
    tolerance: 0.01,
    index: 3,
    expected: 1,
    got: 1.001,
    golden_likeliest: 7,
    likeliest: 7,
    sampled: 7,
  };
  /** Tokens in the cache, and the most that ever stood there. */
  position = 0;
  furthest = 0;
  #next = 0;
  #end = 0;
  #top: number | undefined;
  #layers_left = 0;

  /** `token_ms`: how long the clock is held for each token, and for each layer of a chunk. */
  constructor(
    readonly backend: Backend = "cpu",
    readonly token_ms = 0,
  ) {}

  card(): Card {
    return { ...CARD, backend: this.backend };
  }

  free(): void {
    this.is_free = true;
  }

  fork(): Promise<FakeEngine> {
    if (this.fork_failure !== null) return Promise.reject(this.fork_failure);
    const engine = new FakeEngine(this.backend, this.token_ms);
    this.forks.push(engine);
    return Promise.resolve(engine);
  }

  /** As many tokens as parts. */
  count(prompt: string[]): number {
    return prompt.length;
  }

  start(prompt: string[], options: GenerateOptions, written: Uint32Array): void {
    this.started.push({ prompt, options });
    this.#next = written.length;
    this.#end = options.max_tokens;
    this.#top = options.top_logprobs;
    this.#layers_left = this.chunks * this.chunk_layers;
  }

  /** The token at place n of a run has the id n, wherever the run was taken up; where it is asked, a log-probability of −n. */
  step(batch: number, layers = this.chunk_layers): Promise<Step> {
    if (this.failure !== null && this.#next >= this.fails_at) return Promise.reject(this.failure);
    if (this.#layers_left > 0) {
      this.layers.push(layers);
      const of_chunk = ((this.#layers_left - 1) % this.chunk_layers) + 1;
      const computed = Math.min(layers, of_chunk);
      this.#layers_left -= computed;
      this.#hold(computed);
      const prefilled = computed === of_chunk ? 3 : 0;
      return Promise.resolve(this.#brought([], prefilled, null));
    }
    this.batches.push(batch);
    const first = this.#next;
    const count = Math.min(batch, this.#end - first);
    this.#next += count;
    this.#hold(count);
    const ids = Array.from({ length: count }, (_, index) => first + index);
    return Promise.resolve(this.#brought(ids, 0, this.#next === this.#end ? "max-tokens" : null));
  }

  #brought(ids: number[], prefilled: number, done: Step["done"]): Step {
    const told = this.#top === undefined ? [] : ids;
    const top = told.flatMap(id => Array.from({ length: this.#top ?? 0 }, (_, nth) => id + nth));
    return {
      text: "word ".repeat(ids.length),
      ids: Uint32Array.from(ids),
      lengths: Uint32Array.from(ids, () => 5),
      logprobs: Float32Array.from(told, id => -id),
      top_ids: Uint32Array.from(top),
      top_logprobs: Float32Array.from(top, id => -id),
      prefilled,
      done,
    };
  }

  #hold(times: number): void {
    for (const until_ms = performance.now() + times * this.token_ms; performance.now() < until_ms; );
  }

  check(): Promise<GoldenCheck> {
    return Promise.resolve(this.found);
  }

  cache(): CacheKind {
    return { name: "f32", token_bytes: 480 };
  }

  rewind(position: number): void {
    if (position > this.position) throw new Error(`rewound to ${position}, but only ${this.position} are there`);
    this.position = position;
  }

  read(ids: Uint32Array): Promise<void> {
    return this.#advance(ids.length);
  }

  async sample(tokens: number): Promise<Uint32Array> {
    await this.#advance(tokens);
    return new Uint32Array(tokens);
  }

  /** Two kernels, of which one reads weights: 4 and 1 ms a token, 40 and 10 bytes. */
  async profile(ids: Uint32Array, tokens: number): Promise<KernelTimes> {
    await this.#advance(ids.length + tokens);
    const times = Math.max(tokens, 1);
    return {
      names: ["norm_logits", "attention"],
      milliseconds: Float64Array.of(4 * times, times),
      bytes: Float64Array.of(40 * times, 10 * times),
      read_weights: Uint8Array.of(1, 0),
    };
  }

  #advance(tokens: number): Promise<void> {
    if (this.failure !== null) return Promise.reject(this.failure);
    this.position += tokens;
    this.furthest = Math.max(this.furthest, this.position);
    if (this.position > CARD.header.config.ctx_len) throw new Error(`${this.position} tokens in the context`);
    this.#hold(tokens);
    return Promise.resolve();
  }

  encode(text: string): Uint32Array {
    return Uint32Array.from(text, (_, index) => index);
  }

  decode(ids: Uint32Array): string {
    return "x".repeat(ids.length);
  }

  /** A token is made of the two before it. */
  merges(id: number): Uint32Array {
    return id < 2 ? new Uint32Array(0) : Uint32Array.of(id - 2, id - 1, id);
  }

  /** As many ids as parts, as `count` says. */
  prompt_ids(prompt: string[]): Uint32Array {
    return Uint32Array.from(prompt, (_, index) => index);
  }

  /** Two heads: the first sees the first token alone, the second the last. */
  attention(ids: Uint32Array): Promise<Float32Array> {
    const weights = new Float32Array(2 * ids.length);
    weights[0] = 1;
    weights[2 * ids.length - 1] = 1;
    return Promise.resolve(weights);
  }

  /** After layer l the token of id l is likeliest, the others are as likely as each other. */
  lens(_: Uint32Array, layer: number): Promise<Float32Array> {
    const { n_layer, vocab_size } = CARD.header.config;
    const rows = new Float32Array((n_layer - layer) * vocab_size);
    for (let at = layer; at < n_layer; at += 1) rows[(at - layer) * vocab_size + at] = 5;
    return Promise.resolve(rows);
  }

  logits(ids: Uint32Array, _after: number): Promise<Float32Array> {
    return Promise.resolve(Float32Array.from(ids));
  }
}
