/**
 * The worker's side of the protocol: load a model, run prompts one after another, stop at once.
 *
 * Knows the engine only by its interface, so that the unit tests run it with a double. Requests that use the engine
 * are queued; a stop or a newer run is seen between two steps, since each step is followed by a turn of the event loop.
 */
import type { Card, Device, Engine, GenerateOptions, LoadPhase } from "pocketlm-wasm";
import { assertNever } from "../lib/assertNever";
import { download, sha256 } from "./download";
import { engineError, toEngineError } from "./errors";
import type { EngineEvent, EngineRequest } from "./protocol";

/** What a session needs of the wasm class. */
export type SessionEngine = Pick<Engine, "card" | "start" | "step" | "logits">;

export type LoadEngine = (
  bytes: Uint8Array,
  device: Device,
  onProgress: (phase: LoadPhase, fraction: number) => void,
) => Promise<SessionEngine>;

export type Emit = (event: EngineEvent, transfer?: ArrayBuffer[]) => void;

/** Progress of the download is told this often: more would only cost time. */
const PROGRESS_INTERVAL_MS = 40;

/** A step should take about this long: the page stays in step with the model, and a stop is honoured at once. */
const STEP_MS = 25;
const MAX_BATCH = 64;

/** How many tokens the next step may bring, after one of `batch` tokens took `step_ms`; never more than twice as many. */
export function nextBatch(batch: number, step_ms: number): number {
  const fitting = Math.floor((batch * STEP_MS) / Math.max(step_ms, 0.1));
  return Math.min(MAX_BATCH, 2 * batch, Math.max(1, fitting));
}

/** Give waiting messages their turn. A promise alone would not: micro-tasks run before any message. */
function nextTask(): Promise<void> {
  return new Promise(resolve => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

export class EngineSession {
  readonly #loadEngine: LoadEngine;
  readonly #emit: Emit;
  #engine: SessionEngine | null = null;
  /** The run that may go on; null after a stop. */
  #current: number | null = null;
  #queue: Promise<void> = Promise.resolve();

  constructor(loadEngine: LoadEngine, emit: Emit) {
    this.#loadEngine = loadEngine;
    this.#emit = emit;
  }

  handle(request: EngineRequest): void {
    switch (request.type) {
      case "load":
        this.#enqueue(null, () => this.#load(request.model_url, request.device));
        return;
      case "generate":
        this.#current = request.run;
        this.#enqueue(request.run, () => this.#generate(request.run, request.prompt, request.options));
        return;
      case "stop":
        if (this.#current === request.run) this.#current = null;
        return;
      case "logits":
        this.#enqueue(null, () => this.#logits(request.call, request.ids));
        return;
      default:
        assertNever(request);
    }
  }

  #enqueue(run: number | null, job: () => Promise<void>): void {
    this.#queue = this.#queue.then(job).catch((thrown: unknown) => {
      this.#emit({ type: "failed", run, error: toEngineError(thrown) });
    });
  }

  async #load(model_url: string, device: Device): Promise<void> {
    let told_ms = Number.NEGATIVE_INFINITY;
    const bytes = await download(model_url, (received_bytes, total_bytes) => {
      const now_ms = performance.now();
      if (now_ms - told_ms < PROGRESS_INTERVAL_MS && received_bytes !== total_bytes) return;
      told_ms = now_ms;
      this.#emit({ type: "progress", progress: { phase: "download", received_bytes, total_bytes } });
    });
    const digest = await sha256(bytes);
    const engine = await this.#loadEngine(bytes, device, (phase, fraction) => {
      this.#emit({ type: "progress", progress: { phase, fraction } });
    });
    this.#engine = engine;
    const card: Card = engine.card();
    this.#emit({ type: "ready", model: { card, size_bytes: bytes.length, sha256: digest } });
  }

  async #generate(run: number, prompt: string, options: GenerateOptions): Promise<void> {
    const engine = this.#loaded();
    const start_ms = performance.now();
    const elapsed_ms = () => performance.now() - start_ms;
    if (this.#current === run) engine.start(prompt, options);
    let batch = 1;
    while (this.#current === run) {
      const step_start_ms = performance.now();
      const step = await engine.step(batch);
      if (step.ids.length > 0) batch = nextBatch(batch, performance.now() - step_start_ms);
      if (this.#current !== run) break;
      const { text, ids, prefilled } = step;
      this.#emit({ type: "tokens", run, text, ids, prefilled, elapsed_ms: elapsed_ms() });
      if (step.done !== null) {
        this.#emit({ type: "done", run, ending: step.done, elapsed_ms: elapsed_ms() });
        return;
      }
      await nextTask();
    }
    this.#emit({ type: "done", run, ending: "stopped", elapsed_ms: elapsed_ms() });
  }

  async #logits(call: number, ids: Uint32Array): Promise<void> {
    const logits = await this.#loaded().logits(ids);
    this.#emit({ type: "logits", call, logits }, logits.buffer instanceof ArrayBuffer ? [logits.buffer] : []);
  }

  #loaded(): SessionEngine {
    if (this.#engine === null) throw engineError("bad-input", "No model is loaded.", "Load one first.");
    return this.#engine;
  }
}
