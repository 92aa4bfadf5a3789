/**
 * What the page and the engine's worker say to each other: one discriminated union each way.
 *
 * Types that cross wasm are the generated ones and are only passed on here. Errors cross as data.
 */
import type { Card, Device, FinishReason, GenerateOptions, LoadPhase } from "pocketlm-wasm";

export type { Card, Device, GenerateOptions, ModelConfig, ModelHeader } from "pocketlm-wasm";

/** What went wrong, in words for a reader; `hint` says what to do. Stopping is not an error. */
export type EngineError = {
  kind: "no-engine" | "download" | "bad-model" | "out-of-memory" | "device-lost" | "bad-input";
  message: string;
  hint: string;
};

export type ErrorKind = EngineError["kind"];

/** How far loading is. `total_bytes` is null where the server does not say; fractions are 0 … 1. */
export type LoadProgress =
  | { phase: "download"; received_bytes: number; total_bytes: number | null }
  | { phase: LoadPhase; fraction: number };

/** What the page knows of a loaded model: the engine's card and the file that it came from. */
export type LoadedModel = {
  card: Card;
  size_bytes: number;
  /** SHA-256 of model.bin, in hexadecimal; null where the browser cannot compute it (not a secure context). */
  sha256: string | null;
};

/** Why a run ended. */
export type Ending = FinishReason | "stopped";

/** Page to worker. A run is numbered by the page; a new run or a stop ends the one before. */
export type EngineRequest =
  | { type: "load"; model_url: string; device: Device }
  | { type: "generate"; run: number; prompt: string; options: GenerateOptions }
  | { type: "stop"; run: number }
  /** The logits of forced ids, one row of vocab_size a position: how the tests compare backends. */
  | { type: "logits"; call: number; ids: Uint32Array };

/** Worker to page. Times are in milliseconds since the worker began the run. */
export type EngineEvent =
  | { type: "progress"; progress: LoadProgress }
  | { type: "ready"; model: LoadedModel }
  | { type: "tokens"; run: number; text: string; ids: Uint32Array; prefilled: number; elapsed_ms: number }
  | { type: "done"; run: number; ending: Ending; elapsed_ms: number }
  | { type: "logits"; call: number; logits: Float32Array }
  /** `run` is null where loading failed, or the engine as a whole. */
  | { type: "failed"; run: number | null; error: EngineError };
