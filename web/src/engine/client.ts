/** This side of the protocol: owns the worker, numbers the questions, passes events on, starts a crashed worker again. */
import { crashed, engineError } from "./errors";
import type {
  Backend,
  Device,
  EngineError,
  EngineEvent,
  EngineRequest,
  GenerateOptions,
  Look,
  ModelSource,
} from "./protocol";

/** What the client needs of a Worker; the unit tests pass a double. */
export type WorkerPort = {
  postMessage(request: EngineRequest): void;
  terminate(): void;
  onmessage: ((message: MessageEvent<EngineEvent>) => void) | null;
  onerror: ((event: ErrorEvent) => void) | null;
};

/** The run under way: what was asked, and what has come. */
type Run = {
  number: number;
  prompt: string[];
  shorter: string[][];
  options: GenerateOptions;
  engine: number;
  /** What stands after the prompt. */
  ids: number[];
  elapsed_ms: number;
  /** A run is started again once: what crashes twice would crash for ever. */
  is_second_try: boolean;
};

const CANNOT_START = "Reload the page; if it happens again, check that worker.js and what it loads are on the server.";

export class EngineClient {
  readonly #start: () => WorkerPort;
  readonly #onEvent: (event: EngineEvent) => void;
  #worker: WorkerPort | null = null;
  #loading: Extract<EngineRequest, { type: "load" }> | null = null;
  #calls = 0;
  #run: Run | null = null;

  constructor(start: () => WorkerPort, onEvent: (event: EngineEvent) => void) {
    this.#start = start;
    this.#onEvent = onEvent;
  }

  /** Load a model into a fresh worker; the old one goes with all its memory. */
  load(from: ModelSource, device: Device): void {
    this.#run = null;
    this.#loading = { type: "load", from, device };
    this.#startWorker(this.#loading);
  }

  /**
   * Begin a run, under a number that no other has had; a run that is under way ends. `after`: tokens that stand after the prompt already;
   * `max_tokens` counts them too. `engine`: a fork's number, as in the protocol.
   */
  generate(
    run: number,
    prompt: string[],
    options: GenerateOptions,
    shorter: string[][] = [],
    after: readonly number[] = [],
    engine = 0,
  ): void {
    this.#run = { number: run, prompt, shorter, options, engine, ids: [...after], elapsed_ms: 0, is_second_try: false };
    const written = after.length === 0 ? null : { ids: Uint32Array.from(after), elapsed_ms: 0 };
    this.#post({ type: "generate", run, prompt, shorter, options, written, engine });
  }

  stop(run: number): void {
    if (this.#run?.number === run) this.#run = null;
    this.#post({ type: "stop", run });
  }

  /** Ask how surprised the model is by a text, and return the call's number. */
  score(text: string, engine = 0): number {
    return this.#ask(call => ({ type: "score", call, text, engine }));
  }

  look(prompt: string[], after: Uint32Array, look: Look, engine = 0): number {
    return this.#ask(call => ({ type: "look", call, prompt, after, look, engine }));
  }

  /** The same for the ids of a text, the text of ids, the merges that make a token, and the logits of ids. */
  encode(text: string): number {
    return this.#ask(call => ({ type: "encode", call, text }));
  }

  decode(ids: Uint32Array): number {
    return this.#ask(call => ({ type: "decode", call, ids }));
  }

  merges(id: number): number {
    return this.#ask(call => ({ type: "merges", call, id }));
  }

  logits(ids: Uint32Array, engine = 0): number {
    return this.#ask(call => ({ type: "logits", call, ids, engine }));
  }

  /** Have an engine made, under a number that no other has had, as a copy of another one; and give it back. */
  fork(engine: number, of: number): number {
    return this.#ask(call => ({ type: "fork", call, engine, of }));
  }

  release(engine: number): void {
    this.#post({ type: "release", engine });
  }

  /** Ask for a self-check or a benchmark, on the model's own engine where no backend is named. */
  measure(type: "check" | "benchmark", backend: Backend | null): number {
    return this.#ask(call => ({ type, call, backend }));
  }

  /** End a benchmark; it is answered with nothing. */
  cancel(call: number): void {
    this.#post({ type: "cancel", call });
  }

  /** Delete the model's file from this device. */
  forget(): void {
    this.#post({ type: "forget" });
  }

  dispose(): void {
    if (this.#worker === null) return;
    this.#worker.onmessage = null;
    this.#worker.onerror = null;
    this.#worker.terminate();
    this.#worker = null;
  }

  #startWorker(load: EngineRequest): void {
    this.dispose();
    const worker = this.#start();
    let has_spoken = false;
    worker.onmessage = message => {
      has_spoken = true;
      this.#hear(message.data);
    };
    worker.onerror = event => {
      const error = has_spoken
        ? crashed(event.message)
        : engineError(
            "no-engine",
            `The engine's worker failed: ${event.message || "it could not be loaded"}`,
            CANNOT_START,
          );
      this.#fail(this.#run?.number ?? null, error);
    };
    this.#worker = worker;
    this.#post(load);
  }

  #hear(event: EngineEvent): void {
    const run = this.#run;
    if (event.type === "failed") {
      this.#fail(event.run, event.error);
    } else if (event.type === "ready" && run?.is_second_try === true) {
      // The worker is a run's second one.
      const written = { ids: Uint32Array.from(run.ids), elapsed_ms: run.elapsed_ms };
      this.#onEvent({ type: "recovered", run: run.number, model: event.model });
      const { number, prompt, shorter, options, engine } = run;
      this.#post({ type: "generate", run: number, prompt, shorter, options, written, engine });
    } else {
      if (run !== null && "run" in event && event.run === run.number) this.#note(run, event);
      this.#onEvent(event);
    }
  }

  #note(run: Run, event: EngineEvent): void {
    if (event.type === "tokens") {
      run.ids.push(...event.ids);
      run.elapsed_ms = event.elapsed_ms;
    }
    if (event.type === "done") this.#run = null;
  }

  /** A crash in the middle of a run takes the worker: the run goes on in another. Every other failure ends what it befell. */
  #fail(run: number | null, error: EngineError): void {
    const current = this.#run;
    if (error.kind === "crashed" && current !== null && !current.is_second_try && this.#loading !== null) {
      current.is_second_try = true;
      this.#onEvent({ type: "interrupted", run: current.number, error });
      this.#startWorker(this.#loading);
      return;
    }
    if (run === null || run === current?.number) this.#run = null;
    this.#onEvent({ type: "failed", run, error });
  }

  #ask(request: (call: number) => EngineRequest): number {
    this.#calls += 1;
    this.#post(request(this.#calls));
    return this.#calls;
  }

  #post(request: EngineRequest): void {
    this.#worker?.postMessage(request);
  }
}
