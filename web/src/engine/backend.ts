/**
 * Which backend a model runs on: what was asked for, what works, what is faster; and where to go when one is lost.
 */
import type { Backend, BuildPhase, Engine } from "pocketlm-wasm";
import { toEngineError } from "./errors";
import type { Device, EngineError, LoadProgress, Timing } from "./protocol";

/** What the session needs of the wasm class. */
export type SessionEngine = Pick<
  Engine,
  | "card"
  | "count"
  | "prompt_ids"
  | "start"
  | "step"
  | "logits"
  | "attention"
  | "lens"
  | "encode"
  | "decode"
  | "merges"
  | "free"
  | MeasuredBy
> & { fork(): Promise<SessionEngine> };

/** What an engine is checked and measured by. */
type MeasuredBy = "check" | "cache" | "rewind" | "read" | "sample" | "profile";

/** Prepare a backend for the model that was opened, and let it reproduce the golden logits. */
export type Build = (
  backend: Backend,
  onProgress: (phase: BuildPhase, fraction: number) => void,
) => Promise<SessionEngine>;

/** An engine, and why it is this one: see `LoadedModel`. */
export type Chosen = { engine: SessionEngine; fallback: EngineError | null; timing: Timing | null };

/** Each backend decodes about this long when they are compared, and no more batches than this. */
const MEASURE_MS = 60;
const MEASURE_STEPS = 12;
const MEASURE_BATCH_MAX = 16;

/**
 * What one thread of a fast processor can do at most, in multiply-adds a millisecond: 4 lanes, 1 a cycle, 4 GHz, rounded up.
 * A token takes one for each weight, so a GPU that beats this bound need not be compared.
 */
const CPU_BOUND_PER_MS = 2e7;

const LIKELIEST = { temperature: 0, top_k: 0, top_p: 1, seed: 0, max_tokens: 1_000_000 };
const NOTHING = new Uint32Array(0);

/** Milliseconds a token when decoding, at best: the first batches pay for what is made once. */
export async function tokenMs(engine: SessionEngine): Promise<number> {
  const start = () => engine.start(["", engine.card().golden_prompt || " "], LIKELIEST, NOTHING);
  start();
  let best_ms = Number.POSITIVE_INFINITY;
  let spent_ms = 0;
  let batch = 1;
  for (let steps = 0; steps < MEASURE_STEPS && spent_ms < MEASURE_MS; ) {
    const start_ms = performance.now();
    const { ids, prefilled, done } = await engine.step(batch);
    const step_ms = performance.now() - start_ms;
    if (prefilled > 0) continue;
    steps += 1;
    spent_ms += step_ms;
    // After an end of text the rest of the batch was computed all the same.
    best_ms = Math.min(best_ms, step_ms / (done === null ? ids.length : batch));
    if (done !== null) start();
    batch = Math.min(2 * batch, MEASURE_BATCH_MAX);
  }
  return best_ms;
}

/** The first engine of a model. Throws the `EngineError` of the backend that was asked for, or of the last one that was tried. */
export async function chooseEngine(
  build: Build,
  device: Device,
  onProgress: (progress: LoadProgress) => void,
): Promise<Chosen> {
  const on = (backend: Backend) => build(backend, (phase, fraction) => onProgress({ phase, fraction }));
  if (device !== "auto") {
    return { engine: await on(device === "cpu" ? "cpu" : "webgpu"), fallback: null, timing: null };
  }
  let webgpu: SessionEngine | null = null;
  let webgpu_ms: number;
  try {
    webgpu = await on("webgpu");
    onProgress({ phase: "measure", fraction: 0 });
    webgpu_ms = await tokenMs(webgpu);
  } catch (thrown) {
    const fallback = toEngineError(thrown);
    if (fallback.kind === "crashed") throw fallback;
    webgpu?.free();
    return { engine: await on("cpu"), fallback, timing: null };
  }
  if (webgpu_ms * CPU_BOUND_PER_MS < webgpu.card().parameters) return { engine: webgpu, fallback: null, timing: null };
  return await faster(webgpu, webgpu_ms, on, onProgress);
}

/** The faster of a WebGPU engine that takes `webgpu_ms` a token and of the CPU; the other one is freed. */
async function faster(
  webgpu: SessionEngine,
  webgpu_ms: number,
  on: (backend: Backend) => Promise<SessionEngine>,
  onProgress: (progress: LoadProgress) => void,
): Promise<Chosen> {
  let cpu: SessionEngine;
  try {
    cpu = await on("cpu");
  } catch (thrown) {
    // WebGPU works, so what keeps the CPU from working is no failure; a crash has taken both.
    const error = toEngineError(thrown);
    if (error.kind === "crashed") throw error;
    return { engine: webgpu, fallback: null, timing: null };
  }
  onProgress({ phase: "measure", fraction: 0.5 });
  const cpu_ms = await tokenMs(cpu);
  onProgress({ phase: "measure", fraction: 1 });
  const [engine, slower] = cpu_ms < webgpu_ms ? [cpu, webgpu] : [webgpu, cpu];
  slower.free();
  return { engine, fallback: null, timing: { webgpu_ms, cpu_ms } };
}

/** So often WebGPU is built anew before "auto" takes the CPU. */
const MAX_LOSSES = 2;

/**
 * Where a run goes on after its engine failed with `error`; null where it cannot. `losses`: how often WebGPU was built
 * anew since a run last came to its end.
 */
export function backendAfter(error: EngineError, failed: Backend, device: Device, losses: number): Backend | null {
  if (failed === "cpu" || error.kind === "bad-input" || error.kind === "crashed") return null;
  if (error.kind === "device-lost" && losses < MAX_LOSSES) return "webgpu";
  return device === "auto" ? "cpu" : null;
}
