/** A self-check or a benchmark of a loaded model: on the engine that it runs on, or on another one that is there for this alone. */
import type { Backend } from "pocketlm-wasm";
import type { SessionEngine } from "./backend";
import { benchmark } from "./benchmark";
import { toEngineError } from "./errors";
import type { BenchmarkProgress, Check } from "./figures";
import type { EngineEvent, EngineRequest, LoadedModel } from "./protocol";
import { streamBytesPerSecond } from "./stream";

export type MeasureRequest = Extract<EngineRequest, { type: "check" | "benchmark" }>;

/** `build`: another engine of the same model. */
export type Measured = {
  engine: SessionEngine;
  model: LoadedModel;
  build: (backend: Backend) => Promise<SessionEngine>;
};

/**
 * The answer to a request. What befalls an engine that is there for this alone is an answer, too, but for a crash, which takes the
 * worker; what befalls the model's own is thrown.
 */
export async function measure(
  request: MeasureRequest,
  { engine, model, build }: Measured,
  isStopped: () => boolean,
  onProgress: (progress: BenchmarkProgress) => void,
): Promise<EngineEvent> {
  const backend = request.backend ?? model.card.backend;
  if (backend === model.card.backend) return await answer(request, engine, null, model, isStopped, onProgress);
  let other: SessionEngine | null = null;
  try {
    const start_ms = performance.now();
    onProgress({ phase: "start", fraction: 0 });
    other = await build(backend);
    return await answer(request, other, performance.now() - start_ms, model, isStopped, onProgress);
  } catch (thrown) {
    const error = toEngineError(thrown);
    if (error.kind === "crashed") throw error;
    return { type: "unanswered", call: request.call, error };
  } finally {
    other?.free();
  }
}

async function answer(
  { type, call }: MeasureRequest,
  engine: SessionEngine,
  start_ms: number | null,
  model: LoadedModel,
  isStopped: () => boolean,
  onProgress: (progress: BenchmarkProgress) => void,
): Promise<EngineEvent> {
  const { backend } = engine.card();
  if (type === "check") return { type: "checked", call, check: await check(engine) };
  const stream = () => streamBytesPerSecond(backend);
  const found = isStopped() ? null : await benchmark(engine, { isStopped, onProgress, stream, model, start_ms });
  return { type: "measured", call, benchmark: found };
}

async function check(engine: SessionEngine): Promise<Check> {
  const found = await engine.check();
  const { largest_difference, tolerance, sampled, likeliest } = found;
  const is_sound = largest_difference <= tolerance && (sampled === null || sampled === likeliest);
  return { ...found, backend: engine.card().backend, is_sound };
}
