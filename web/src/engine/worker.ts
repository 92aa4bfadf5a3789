/** The Web Worker: the wasm engine behind an `EngineSession`. Nothing but wiring. */
import init, { Engine, ModelFile } from "pocketlm-wasm";
import { engineError } from "./errors";
import type { EngineRequest } from "./protocol";
import { EngineSession } from "./session";

declare const self: DedicatedWorkerGlobalScope;

/** The wasm module comes in while the model downloads. Its failure is kept for `load`, which reports it. */
const engine_ready = init().then(
  () => null,
  (cause: unknown) =>
    engineError(
      "no-engine",
      `The engine could not be started: ${String(cause)}`,
      "Use a current browser (WebAssembly with SIMD), and check that the page's assets are all on the server.",
    ),
);

const session = new EngineSession(
  async bytes => {
    const failure = await engine_ready;
    if (failure !== null) throw failure;
    const file = ModelFile.parse(bytes);
    return (backend, onProgress) => Engine.build(file, backend, onProgress);
  },
  (event, transfer) => self.postMessage(event, transfer ?? []),
);

self.addEventListener("message", (message: MessageEvent<EngineRequest>) => session.handle(message.data));
