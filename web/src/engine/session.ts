/**
 * The worker's side of the protocol: load a model, run prompts one after another, stop at once, go on after a lost device.
 *
 * Knows the engine only by its interface, so that the unit tests run it with a double. Requests that use the engine
 * are queued; a stop or a newer run is seen between two steps, since each step is followed by a turn of the event loop.
 */
import type { ReadFile } from "pocketlm-wasm";
import { backendAfter, chooseEngine, type SessionEngine } from "./backend";
import { engineError, toEngineError } from "./errors";
import { isGguf } from "./formats";
import { lookAt } from "./look";
import { type MeasureRequest, measure } from "./measure";
import { nextTask } from "./nextTask";
import { obtain, obtainGguf, openOwnFile } from "./obtain";
import type { Backend, Device, EngineError, EngineEvent, EngineRequest, LoadedModel, ModelSource } from "./protocol";
import type { Obtained } from "./receiver";
import { scoreText } from "./score";
import type { Package, Shelf } from "./shelf";
import { mergesOf, tokensOf } from "./tokens";
import { firstThatFits } from "./turns";

/** What the worker brings. `shelf` is null where the browser keeps nothing; `parts` throws an `EngineError` where there is no wasm. */
export type Surroundings = {
  parts: () => Promise<Package>;
  shelf: (model_url: string) => Promise<Shelf | null>;
  /** How a file that the reader has is read. */
  reader: (file: Blob) => ReadFile;
};

export type Emit = (event: EngineEvent, transfer?: ArrayBuffer[]) => void;

type Generate = Extract<EngineRequest, { type: "generate" }>;

/** A model with the engine that it runs on now. */
type Loaded = {
  from: ModelSource;
  /** null where it is no longer on this device. */
  source: Obtained | null;
  shelf: Shelf | null;
  device: Device;
  engine: SessionEngine;
  model: LoadedModel;
  /** How often WebGPU was built anew since a run last came to its end. */
  losses: number;
};

/** Progress of the download is told this often: more would only cost time. */
const PROGRESS_INTERVAL_MS = 40;

/** A step should take about this long: the page stays in step with the model, and a stop is honoured at once. */
const STEP_MS = 25;
const MAX_SIZE = 64;

/** A browser whose GPU process died needs a moment before it has an adapter again. */
const REBUILD_AFTER_MS = 250;

/**
 * How many tokens the next step may bring, or layers of a prompt's chunk it may compute, after one of `size` took `step_ms`; never more
 * than twice as many.
 */
export function nextSize(size: number, step_ms: number): number {
  const fitting = Math.floor((size * STEP_MS) / Math.max(step_ms, 0.1));
  return Math.min(MAX_SIZE, 2 * size, Math.max(1, fitting));
}

const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms));

export class EngineSession {
  readonly #surroundings: Surroundings;
  readonly #emit: Emit;
  #loaded: Loaded | null = null;
  /** The run that may go on; null after a stop. */
  #current: number | null = null;
  /** Engines beside the first, by number. A loss takes them all; who asks for one again gets another. */
  readonly #forks = new Map<number, SessionEngine>();
  #queue: Promise<void> = Promise.resolve();
  /** Benchmarks that are not wanted any more. */
  readonly #cancelled = new Set<number>();

  constructor(surroundings: Surroundings, emit: Emit) {
    this.#surroundings = surroundings;
    this.#emit = emit;
  }

  handle(request: EngineRequest): void {
    switch (request.type) {
      case "load":
        this.#enqueue(null, () => this.#load(request.from, request.device));
        return;
      case "generate":
        this.#current = request.run;
        this.#enqueue(request.run, () => this.#generate(request));
        return;
      case "stop":
        if (this.#current === request.run) this.#current = null;
        return;
      case "forget":
        this.#enqueue(null, () => this.#forget());
        return;
      case "fork":
        this.#enqueue(null, () => this.#fork(request.call, request.engine, request.of));
        return;
      case "release":
        this.#enqueue(null, () => this.#release(request.engine));
        return;
      case "check":
      case "benchmark":
        this.#enqueue(null, () => this.#measure(request));
        return;
      case "cancel":
        this.#cancelled.add(request.call);
        return;
      case "logits":
        this.#enqueue(null, () => this.#logits(request));
        return;
      case "score":
        this.#enqueue(null, () => this.#score(request));
        return;
      case "look":
        this.#enqueue(null, () => this.#look(request));
        return;
      case "encode":
        this.#enqueue(null, () => this.#encode(request.call, request.text));
        return;
      case "decode":
        this.#enqueue(null, () => this.#decode(request.call, request.ids));
        return;
      case "merges":
        this.#enqueue(null, () => this.#merges(request.call, request.id));
        return;
      default:
        request satisfies never;
    }
  }

  #enqueue(run: number | null, job: () => Promise<void>): void {
    this.#queue = this.#queue.then(job).catch((thrown: unknown) => {
      this.#emit({ type: "failed", run, error: toEngineError(thrown) });
    });
  }

  async #load(from: ModelSource, device: Device): Promise<void> {
    this.#freeForks();
    this.#loaded?.engine.free();
    this.#loaded?.source?.free();
    this.#loaded = null;
    const shelf = typeof from === "string" ? await this.#surroundings.shelf(from) : null;
    for (;;) {
      const source = await this.#obtain(from, shelf);
      try {
        this.#emit({ type: "progress", progress: { phase: "parse", fraction: 0 } });
        const { engine, fallback, timing } = await chooseEngine(source.build, device, progress =>
          this.#emit({ type: "progress", progress }),
        );
        const { size_bytes, sha256, storage } = source;
        const model = { card: engine.card(), fallback, timing, size_bytes, sha256, storage };
        this.#loaded = { from, source, shelf, device, engine, model, losses: 0 };
        this.#emit({ type: "ready", model });
        return;
      } catch (thrown) {
        source.free();
        if (toEngineError(thrown).kind !== "bad-model" || source.digest === null) throw thrown;
        // What is wrong on the shelf may be right on the server; what has just come from there is not.
        await shelf?.remove(source.digest);
        if (!source.was_kept) throw thrown;
      }
    }
  }

  async #obtain(from: ModelSource, shelf: Shelf | null): Promise<Obtained> {
    const parts = await this.#surroundings.parts();
    const onParsed = (fraction: number) => this.#emit({ type: "progress", progress: { phase: "parse", fraction } });
    const { reader } = this.#surroundings;
    if (typeof from !== "string") return await openOwnFile(from, parts, reader(from), onParsed);
    let told_ms = Number.NEGATIVE_INFINITY;
    const onDownload = (received_bytes: number, total_bytes: number | null) => {
      const now_ms = performance.now();
      if (now_ms - told_ms < PROGRESS_INTERVAL_MS && received_bytes !== total_bytes) return;
      told_ms = now_ms;
      this.#emit({ type: "progress", progress: { phase: "download", received_bytes, total_bytes } });
    };
    if (isGguf(from)) return await obtainGguf(from, parts, shelf, reader, onDownload, onParsed);
    return await obtain(from, parts, shelf, onDownload);
  }

  async #forget(): Promise<void> {
    const { source, shelf, model } = this.#needLoaded();
    if (this.#loaded === null || source === null || source.digest === null) return;
    await shelf?.remove(source.digest);
    source.free();
    const storage = { is_kept: false, reason: "deleted" } as const;
    this.#loaded = { ...this.#loaded, source: null, model: { ...model, storage } };
    this.#emit({ type: "stored", storage });
  }

  async #fork(call: number, engine: number, of: number): Promise<void> {
    try {
      const parent = await this.#engineOf(this.#needLoaded(), of);
      this.#forks.set(engine, await parent.fork());
      this.#emit({ type: "forked", call, error: null });
    } catch (thrown) {
      const error = toEngineError(thrown);
      if (error.kind === "crashed") throw error;
      this.#emit({ type: "forked", call, error });
    }
  }

  async #release(engine: number): Promise<void> {
    this.#forks.get(engine)?.free();
    this.#forks.delete(engine);
  }

  #freeForks(): void {
    for (const engine of this.#forks.values()) engine.free();
    this.#forks.clear();
  }

  /** The engine of a number. One that a loss has taken is made anew, and reads again what it had read. */
  async #engineOf(loaded: Loaded, number = 0): Promise<SessionEngine> {
    if (number === 0) return loaded.engine;
    const engine = this.#forks.get(number) ?? (await loaded.engine.fork());
    this.#forks.set(number, engine);
    return engine;
  }

  async #generate({ run, prompt, shorter, options, written, engine: number }: Generate): Promise<void> {
    const loaded = this.#needLoaded();
    const prompts = [prompt, ...shorter];
    const chosen = firstThatFits(prompts, loaded.model.card.header.config.ctx_len, each => loaded.engine.count(each));
    const prompt_tokens = loaded.engine.count(prompts[chosen] ?? prompt);
    this.#emit({ type: "begun", run, prompt: chosen, prompt_tokens });
    const start_ms = performance.now() - (written?.elapsed_ms ?? 0);
    const elapsed_ms = () => performance.now() - start_ms;
    const ids = Array.from(written?.ids ?? []);
    let batch = 1;
    let layers = 1;
    let is_started = false;
    while (this.#current === run) {
      try {
        const engine = await this.#engineOf(loaded, number);
        if (!is_started) engine.start(prompts[chosen] ?? prompt, options, Uint32Array.from(ids));
        is_started = true;
        const step_start_ms = performance.now();
        const step = await engine.step(batch, layers);
        const step_ms = performance.now() - step_start_ms;
        if (step.ids.length > 0) batch = nextSize(batch, step_ms);
        else layers = nextSize(layers, step_ms);
        if (this.#current !== run) break;
        ids.push(...step.ids);
        const { text, prefilled } = step;
        if (step.ids.length + prefilled > 0 || step.done !== null) {
          const tokens = tokensOf(step, id => engine.decode(Uint32Array.of(id)));
          this.#emit({ type: "tokens", run, text, ids: step.ids, tokens, prefilled, elapsed_ms: elapsed_ms() });
        }
        if (step.done !== null) {
          loaded.losses = 0;
          this.#emit({ type: "done", run, ending: step.done, elapsed_ms: elapsed_ms() });
          return;
        }
      } catch (thrown) {
        await this.#recover(loaded, run, toEngineError(thrown));
        is_started = false;
        batch = 1;
        layers = 1;
      }
      await nextTask();
    }
    this.#emit({ type: "done", run, ending: "stopped", elapsed_ms: elapsed_ms() });
  }

  /** Build the engine anew after `error`, on WebGPU or on the CPU, or throw what stands in the way. */
  async #recover(loaded: Loaded, run: number, error: EngineError): Promise<void> {
    let cause = error;
    let backend = backendAfter(cause, loaded.model.card.backend, loaded.device, loaded.losses);
    if (backend !== null) {
      this.#emit({ type: "interrupted", run, error });
      this.#loaded = null;
      this.#freeForks();
      loaded.engine.free();
    }
    while (backend !== null) {
      if (backend === "webgpu") {
        loaded.losses += 1;
        await pause(REBUILD_AFTER_MS * loaded.losses);
      }
      try {
        loaded.source ??= await this.#obtain(loaded.from, null);
        loaded.engine = await loaded.source.build(backend, (phase, fraction) =>
          this.#emit({ type: "progress", progress: { phase, fraction } }),
        );
        const fallback = backend === "cpu" ? cause : null;
        loaded.model = { ...loaded.model, card: loaded.engine.card(), fallback, timing: null };
        this.#loaded = loaded;
        this.#emit({ type: "recovered", run, model: loaded.model });
        return;
      } catch (thrown) {
        const latest = toEngineError(thrown);
        // For a while after a loss there may be no adapter: that is still the same loss.
        if (latest.kind !== "no-engine") cause = latest;
        backend = backendAfter(cause, backend, loaded.device, loaded.losses);
      }
    }
    throw cause;
  }

  async #logits({ call, ids, engine }: Extract<EngineRequest, { type: "logits" }>): Promise<void> {
    const logits = await (await this.#engineOf(this.#needLoaded(), engine)).logits(ids, 0);
    this.#emit({ type: "logits", call, logits }, logits.buffer instanceof ArrayBuffer ? [logits.buffer] : []);
  }

  async #score({ call, text, engine }: Extract<EngineRequest, { type: "score" }>): Promise<void> {
    const score = await scoreText(await this.#engineOf(this.#needLoaded(), engine), text);
    this.#emit({ type: "scored", call, score });
  }

  async #look({ call, prompt, after, look, engine }: Extract<EngineRequest, { type: "look" }>): Promise<void> {
    const looked = await lookAt(await this.#engineOf(this.#needLoaded(), engine), prompt, after, look);
    this.#emit({ type: "looked", call, looked });
  }

  async #measure(request: MeasureRequest): Promise<void> {
    const { call } = request;
    const loaded = this.#needLoaded();
    const build = async (backend: Backend) => {
      loaded.source ??= await this.#obtain(loaded.from, null);
      return await loaded.source.build(backend, () => undefined);
    };
    const answer = await measure(
      request,
      { engine: loaded.engine, model: loaded.model, build },
      () => this.#cancelled.has(call),
      progress => this.#emit({ type: "measuring", call, progress }),
    );
    this.#cancelled.delete(call);
    this.#emit(answer);
  }

  async #encode(call: number, text: string): Promise<void> {
    this.#emit({ type: "encoded", call, ids: this.#needLoaded().engine.encode(text) });
  }

  async #decode(call: number, ids: Uint32Array): Promise<void> {
    this.#emit({ type: "decoded", call, text: this.#needLoaded().engine.decode(ids) });
  }

  async #merges(call: number, id: number): Promise<void> {
    this.#emit({ type: "merged", call, merges: mergesOf(this.#needLoaded().engine, id) });
  }

  #needLoaded(): Loaded {
    if (this.#loaded === null) throw engineError("bad-input", "No model is loaded.", "Load one first.");
    return this.#loaded;
  }
}
