/** The page's side of the protocol: owns the worker, numbers the runs, passes events on. */
import { engineError } from "./errors";
import type { Device, EngineEvent, EngineRequest, GenerateOptions } from "./protocol";

/** What the client needs of a Worker; the unit tests pass a double. */
export type WorkerPort = {
  postMessage(request: EngineRequest): void;
  terminate(): void;
  onmessage: ((message: MessageEvent<EngineEvent>) => void) | null;
  onerror: ((event: ErrorEvent) => void) | null;
};

export function startWorker(): WorkerPort {
  return new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "pocketlm engine" });
}

export class EngineClient {
  readonly #start: () => WorkerPort;
  readonly #onEvent: (event: EngineEvent) => void;
  #worker: WorkerPort | null = null;
  #run = 0;

  constructor(start: () => WorkerPort, onEvent: (event: EngineEvent) => void) {
    this.#start = start;
    this.#onEvent = onEvent;
  }

  /** Load a model into a fresh worker; the old one goes with all its memory. */
  load(model_url: string, device: Device): void {
    this.dispose();
    const worker = this.#start();
    worker.onmessage = message => this.#onEvent(message.data);
    worker.onerror = event => {
      const message = `The engine's worker failed: ${event.message || "it could not be loaded"}`;
      const hint = "Reload the page; if it happens again, check that all its assets are on the server.";
      this.#onEvent({ type: "failed", run: null, error: engineError("no-engine", message, hint) });
    };
    this.#worker = worker;
    this.#post({ type: "load", model_url, device });
  }

  /** Begin a run and return its number; a run that is under way ends. */
  generate(prompt: string, options: GenerateOptions): number {
    this.#run += 1;
    this.#post({ type: "generate", run: this.#run, prompt, options });
    return this.#run;
  }

  stop(run: number): void {
    this.#post({ type: "stop", run });
  }

  dispose(): void {
    if (this.#worker === null) return;
    this.#worker.onmessage = null;
    this.#worker.onerror = null;
    this.#worker.terminate();
    this.#worker = null;
  }

  #post(request: EngineRequest): void {
    this.#worker?.postMessage(request);
  }
}
