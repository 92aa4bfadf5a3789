/** The Web Worker: the wasm engine behind an `EngineSession`. Nothing but wiring. */
import init, { Engine, FileBytes, identify, ModelFile, Sha256 } from "pocketlm-wasm";
import { engineError } from "./errors";
import { openShelf, readerOf } from "./opfs";
import type { EngineRequest } from "./protocol";
import { EngineSession } from "./session";
import type { OpenFile, Package } from "./shelf";
import { keepTunings, knownTunings } from "./tunings";

declare const self: DedicatedWorkerGlobalScope;

/** The wasm module comes in while the model downloads. Its failure is kept for `load`, which reports it. */
const engine_ready = init().then(
  () => null,
  (cause: unknown) =>
    engineError(
      "no-engine",
      `The engine could not be started: ${String(cause)}`,
      "Use a current browser (WebAssembly with SIMD), and check that the .wasm file beside worker.js is on the server.",
    ),
);

/** The wasm package as loading uses it. */
const PARTS: Package = {
  identify,
  digester: () => new Sha256(),
  inMemory: nbytes => {
    const bytes = new FileBytes(nbytes);
    return { push: part => bytes.push(part), parse: () => opened(bytes.parse()) };
  },
  open: (nbytes, read) => opened(ModelFile.open(nbytes, read)),
};

function opened(file: ModelFile): OpenFile {
  return {
    build: async (backend, onProgress) => {
      const known = backend === "webgpu" ? await knownTunings() : null;
      const engine = await Engine.build(file, backend, onProgress, known);
      const measured = engine.tunings();
      if (measured !== undefined) await keepTunings(measured);
      return engine;
    },
    free: () => file.free(),
  };
}

async function parts(): Promise<Package> {
  const failure = await engine_ready;
  if (failure !== null) throw failure;
  return PARTS;
}

const session = new EngineSession({ parts, shelf: openShelf, reader: readerOf }, (event, transfer) =>
  self.postMessage(event, transfer ?? []),
);

self.addEventListener("message", (message: MessageEvent<EngineRequest>) => session.handle(message.data));
