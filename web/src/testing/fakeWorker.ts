/** A worker without a thread: the real session on a double of the engine, asked and answered in tasks of their own. */
import type { WorkerPort } from "../engine/client";
import type { EngineEvent, EngineRequest } from "../engine/protocol";
import { EngineSession } from "../engine/session";
import type { FakeEngine } from "./fakeEngine";
import { FakePackage } from "./fakeShelf";

/** What `fetch` is to answer with for a model's file; stub it before a model is loaded. */
export const MODEL_FILE = new Uint8Array(80).fill(3);

export class FakeWorker implements WorkerPort {
  readonly requests: EngineRequest[] = [];
  is_terminated = false;
  onmessage: WorkerPort["onmessage"] = null;
  onerror: WorkerPort["onerror"] = null;
  /** What engines are built from: a test may have it build others. */
  readonly parts: FakePackage;
  readonly #session: EngineSession;

  constructor(engine: FakeEngine) {
    this.parts = new FakePackage(MODEL_FILE.length, () => Promise.resolve(engine));
    const surroundings = {
      parts: () => Promise.resolve(this.parts),
      shelf: () => Promise.resolve(null),
      reader: () => () => MODEL_FILE,
    };
    this.#session = new EngineSession(surroundings, event => this.say(event));
  }

  postMessage(request: EngineRequest): void {
    this.requests.push(request);
    setTimeout(() => {
      if (!this.is_terminated) this.#session.handle(request);
    });
  }

  terminate(): void {
    this.is_terminated = true;
  }

  say(event: EngineEvent): void {
    setTimeout(() => this.onmessage?.(new MessageEvent("message", { data: event })));
  }
}
