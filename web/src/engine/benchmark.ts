/**
 * How fast a model runs on a backend: as `pocketlm bench` measures it (rust/cli/src/bench.rs, profile.rs), but sized so that it takes some
 * seconds on any machine, and in steps between which a stop is seen.
 */
import type { Card, KernelTimes } from "pocketlm-wasm";
import type { SessionEngine } from "./backend";
import { toEngineError } from "./errors";
import type { At, Benchmark, BenchmarkProgress, Phase, Profile } from "./figures";
import { nextTask } from "./nextTask";
import type { LoadedModel } from "./protocol";

/** What the engine's run is cut to: the engine reads prompts in chunks of this size, and decodes so many tokens at most at once. */
const CHUNK = 64;
const BATCH = 16;
/** Runs of each measurement. The median counts, or at positions the least. */
const RUNS = 3;
/** Prompt and decoding of a run take about this long each, and all positions together. */
const RUN_MS = 1200;
const POSITIONS_MS = 6000;
/** A step takes about this long: a stop waits for no more. */
const STEP_MS = 100;
const POSITIONS = 8;
/** Clocks of browsers tick in tenths of a millisecond: what is measured takes longer than this. */
const MEASURED_MS = 20;

export type Surroundings = {
  isStopped: () => boolean;
  onProgress: (progress: BenchmarkProgress) => void;
  /** Bytes a second that memory gives. */
  stream: () => Promise<number | null>;
  model: Pick<LoadedModel, "sha256" | "size_bytes">;
  start_ms: number | null;
};

/** Thrown between two steps. */
class Stopped extends Error {}

const clamp = (value: number, least: number, most: number) => Math.max(least, Math.min(most, Math.floor(value)));

/** Ids all over the vocabulary. */
export function promptIds(tokens: number, vocab_size: number): Uint32Array {
  return Uint32Array.from({ length: tokens }, (_, index) => (Math.imul(index, 2_654_435_761) >>> 0) % vocab_size);
}

/** The value in the middle. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

/** Where a token is measured: evenly over the context, `tokens` before its end at the latest. */
export function positionsOf(ctx_len: number, tokens: number, count = POSITIONS): number[] {
  const last = ctx_len - tokens;
  const places = Array.from({ length: count }, (_, nth) => Math.round((last * (nth + 1)) / count));
  return [...new Set(places)].filter(position => position >= 1);
}

/** Bytes of weights that a token reads, as the file has them. */
export function weightBytes({ header }: Card): number {
  const { config, tensors } = header;
  const all = tensors.reduce((sum, { nbytes }) => sum + nbytes, 0);
  const embedding = tensors.find(({ name }) => name === "model.embed_tokens.weight")?.nbytes ?? 0;
  // Of the embedding it reads a row; where that is the output's matrix too, all of it besides.
  const row = embedding / config.vocab_size;
  return Math.round(all + row - (config.tie_embeddings ? 0 : embedding));
}

/** The rounds have the same kernels in the same order; each consists of `steps` of what is told. */
export function phaseOf(
  tokens: number,
  steps: number,
  rounds: readonly KernelTimes[],
  stream_bytes_per_s: number | null,
): Phase {
  const first = rounds[0];
  const operations = (first?.names ?? []).map((name, index) => ({
    name,
    ms: median(rounds.map(({ milliseconds }) => milliseconds[index] ?? 0)) / steps,
    bytes: (first?.bytes[index] ?? 0) / steps,
  }));
  const ms = operations.reduce((sum, operation) => sum + operation.ms, 0);
  const weight_bytes = operations
    .filter((_, index) => first?.read_weights[index] === 1)
    .reduce((sum, operation) => sum + operation.bytes, 0);
  const share_of_stream = shareOf(weight_bytes, ms, stream_bytes_per_s);
  return { tokens, ms, weight_bytes, share_of_stream, operations };
}

/** The rate at which bytes are read, by that at which memory gives them; null where there is no telling. */
export function shareOf(bytes: number, ms: number, stream_bytes_per_s: number | null): number | null {
  return stream_bytes_per_s === null || ms <= 0 ? null : bytes / (ms / 1000) / stream_bytes_per_s;
}

/** null where it was stopped. Leaves the engine's cache empty. */
export async function benchmark(engine: SessionEngine, surroundings: Surroundings): Promise<Benchmark | null> {
  try {
    return await new Bench(engine, surroundings).run();
  } catch (thrown) {
    if (thrown instanceof Stopped) return null;
    throw thrown;
  }
}

class Bench {
  readonly #engine: SessionEngine;
  readonly #around: Surroundings;
  readonly #card: Card;
  /** What was seen of the engine's pace, at first roughly. */
  #chunk_ms = 0;
  #token_ms = 0;

  constructor(engine: SessionEngine, surroundings: Surroundings) {
    this.#engine = engine;
    this.#around = surroundings;
    this.#card = engine.card();
  }

  async run(): Promise<Benchmark> {
    const { header, backend, adapter } = this.#card;
    const { ctx_len } = header.config;
    await this.#warmUp();
    const chunks = clamp(RUN_MS / this.#chunk_ms, 1, ctx_len);
    const prompt_tokens = clamp(chunks * CHUNK, 1, ctx_len >> 1);
    const decode_tokens = clamp(RUN_MS / this.#token_ms, 1, ctx_len - prompt_tokens);
    const runs: Run[] = [];
    for (let run = 0; run < RUNS; run += 1) {
      this.#tell("runs", 0.05 + (0.4 * run) / RUNS);
      runs.push(await this.#runOnce(prompt_tokens, decode_tokens));
    }
    const at = await this.#positions();
    this.#tell("memory", 0.8);
    const stream = await this.#around.stream();
    await this.#turn();
    this.#tell("kernels", 0.85);
    const { profile, profile_missing } = await this.#profile(prompt_tokens, stream);
    this.#engine.rewind(0);

    const weight_bytes = weightBytes(this.#card);
    const cache = this.#engine.cache();
    const decode_ms = median(runs.map(run => run.decode_ms)) / decode_tokens;
    const cached = cache.token_bytes * (prompt_tokens + decode_tokens / 2);
    return {
      device: backend === "webgpu" ? "gpu" : "cpu",
      adapter,
      model_sha256: this.#around.model.sha256,
      file_bytes: this.#around.model.size_bytes,
      cache: cache.name,
      cache_bytes: cache.token_bytes * ctx_len,
      runs: RUNS,
      start_ms: this.#around.start_ms,
      prompt_tokens,
      prefill_tokens_per_s: (1000 * prompt_tokens) / median(runs.map(run => run.prefill_ms)),
      first_token_ms: median(runs.map(run => run.first_token_ms)),
      decode_tokens,
      decode_tokens_per_s: 1000 / decode_ms,
      weight_bytes,
      stream_bytes_per_s: stream,
      share_of_stream: shareOf(weight_bytes + cached, decode_ms, stream),
      at: at.map(({ position, ms }) => {
        const bytes = weight_bytes + cache.token_bytes * position;
        return { position, ms, bytes, share_of_stream: shareOf(bytes, ms, stream) };
      }),
      profile,
      profile_missing,
    };
  }

  #tell(phase: BenchmarkProgress["phase"], fraction: number): void {
    this.#around.onProgress({ phase, fraction });
  }

  async #turn(): Promise<void> {
    await nextTask();
    if (this.#around.isStopped()) throw new Stopped();
  }

  /** How long this takes, without what waits behind it. */
  async #timed(work: () => Promise<unknown>): Promise<number> {
    const start_ms = performance.now();
    await work();
    const took_ms = performance.now() - start_ms;
    await this.#turn();
    return Math.max(took_ms, 0.001);
  }

  /** What is made once is made here, and paces are found. */
  async #warmUp(): Promise<void> {
    this.#tell("start", 0);
    const { ctx_len, vocab_size } = this.#card.header.config;
    const ids = promptIds(clamp(ctx_len / 4, 1, CHUNK), vocab_size);
    for (const tokens of [1, clamp(ctx_len / 8, 1, 4)]) {
      this.#engine.rewind(0);
      this.#chunk_ms = (await this.#timed(() => this.#engine.read(ids))) * (CHUNK / ids.length);
      this.#token_ms = (await this.#timed(() => this.#engine.sample(tokens))) / tokens;
    }
  }

  /** Read ids, so many at once that a stop is soon seen. */
  async #read(ids: Uint32Array): Promise<number> {
    const at_once = CHUNK * clamp(STEP_MS / this.#chunk_ms, 1, ids.length);
    let took_ms = 0;
    for (let from = 0; from < ids.length; from += at_once) {
      took_ms += await this.#timed(() => this.#engine.read(ids.slice(from, from + at_once)));
    }
    return took_ms;
  }

  async #sample(tokens: number): Promise<number> {
    const at_once = clamp(STEP_MS / this.#token_ms, 1, BATCH);
    let took_ms = 0;
    for (let left = tokens; left > 0; left -= at_once) {
      took_ms += await this.#timed(() => this.#engine.sample(Math.min(left, at_once)));
    }
    return took_ms;
  }

  async #runOnce(prompt_tokens: number, decode_tokens: number): Promise<Run> {
    this.#engine.rewind(0);
    const prefill_ms = await this.#read(promptIds(prompt_tokens, this.#card.header.config.vocab_size));
    const first_ms = await this.#sample(1);
    const decode_ms = first_ms + (await this.#sample(decode_tokens - 1));
    return { prefill_ms, first_token_ms: prefill_ms + first_ms, decode_ms };
  }

  /** What a token takes at positions, in their order, the least of a few tries at each; the last ones are left out where time is up. */
  async #positions(): Promise<Pick<At, "position" | "ms">[]> {
    const { ctx_len, vocab_size } = this.#card.header.config;
    const tokens = clamp(MEASURED_MS / this.#token_ms, 1, Math.min(BATCH, ctx_len >> 2));
    const ids = promptIds(ctx_len, vocab_size);
    const found: Pick<At, "position" | "ms">[] = [];
    const start_ms = performance.now();
    let read = 0;
    this.#engine.rewind(0);
    for (const position of positionsOf(ctx_len, tokens)) {
      if (found.length > 0 && performance.now() - start_ms > POSITIONS_MS) break;
      this.#tell("positions", 0.45 + (0.35 * position) / ctx_len);
      await this.#read(ids.slice(read, position));
      let least_ms = Number.POSITIVE_INFINITY;
      for (let run = 0; run < RUNS; run += 1) {
        // The token before is read again: after a rewind there are no logits to go on from.
        this.#engine.rewind(position - 1);
        await this.#timed(() => this.#engine.read(ids.slice(position - 1, position)));
        least_ms = Math.min(least_ms, await this.#timed(() => this.#engine.sample(tokens)));
      }
      found.push({ position, ms: least_ms / tokens });
      this.#engine.rewind(position);
      read = position;
    }
    return found;
  }

  async #profile(
    position: number,
    stream: number | null,
  ): Promise<{ profile: Profile | null; profile_missing: string | null }> {
    const { ctx_len, vocab_size } = this.#card.header.config;
    const tokens = clamp((ctx_len - position) / 2, 1, CHUNK);
    const before = clamp(position, 0, ctx_len - 2 * tokens);
    const ids = promptIds(before + tokens, vocab_size);
    const steps = clamp(RUN_MS / RUNS / this.#token_ms, 1, tokens);
    this.#engine.rewind(0);
    await this.#read(ids.slice(0, before));
    const [prefill, decode]: [KernelTimes[], KernelTimes[]] = [[], []];
    try {
      for (let run = 0; run < RUNS; run += 1) {
        this.#engine.rewind(before);
        prefill.push(await this.#engine.profile(ids.slice(before), 0));
        await this.#turn();
        decode.push(await this.#engine.profile(new Uint32Array(0), steps));
        await this.#turn();
      }
    } catch (thrown) {
      // A device without timestamps refuses, and goes on.
      const error = toEngineError(thrown);
      if (thrown instanceof Stopped || error.kind !== "bad-input") throw thrown;
      return { profile: null, profile_missing: error.message };
    }
    return {
      profile: {
        position: before,
        prefill: phaseOf(tokens, 1, prefill, stream),
        decode: phaseOf(1, steps, decode, stream),
      },
      profile_missing: null,
    };
  }
}

type Run = { prefill_ms: number; first_token_ms: number; decode_ms: number };
