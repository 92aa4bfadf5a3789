/** What one can ask of a model, and what it tells. */
import type { Backend, BenchmarkProgress, Device, EngineError, EngineEvent, LoadProgress } from "../engine/protocol";
import type { Message } from "./chat";

/** A text, in which special tokens are ordinary text; or parts by turns: one in which they count, and one in which they do not. */
export type Prompt = string | readonly string[];

/** What happens to a model, for a page that shows it. Times are in milliseconds since the engine began the run. */
export type ModelEvent =
  | Extract<EngineEvent, { type: "progress" | "ready" | "tokens" | "done" | "interrupted" | "recovered" | "stored" }>
  /** The run waits for `ahead` others. */
  | { type: "queued"; run: number; ahead: number }
  | { type: "begun"; run: number; prompt_tokens: number; left_out: number }
  /** The run cannot be done; the model is as it was. */
  | { type: "refused"; run: number; error: EngineError }
  /** The model is lost, and everything that was asked of it. */
  | { type: "failed"; error: EngineError };

export type LoadOptions = {
  /** Where to run; "auto" where nothing is said. */
  device?: Device | undefined;
  onProgress?: ((progress: LoadProgress) => void) | undefined;
  onEvent?: ((event: ModelEvent) => void) | undefined;
  /** Ends the loading; what has been downloaded stays for the next time. */
  signal?: AbortSignal | undefined;
  /** Another way to start the package's worker.js, where a bundler or a policy asks for it. */
  worker?: (() => Worker) | undefined;
};

export type AskOptions = { signal?: AbortSignal | undefined };

/** A text, or a conversation by the model's own template. */
export type Read = Prompt | readonly Message[];

/** `after`: ids that stand after the text, as they are. */
export type LookOptions = AskOptions & { after?: Iterable<number> | undefined };

/** `device`: another backend than the model runs on; an engine of it is built, and gone afterwards. */
export type MeasureOptions = AskOptions & { device?: "cpu" | "gpu" | undefined };

export type BenchmarkOptions = MeasureOptions & { onProgress?: ((progress: BenchmarkProgress) => void) | undefined };

/** The backend that is asked for; null where the model runs. */
export function backendOf({ device }: MeasureOptions): Backend | null {
  return device === undefined ? null : device === "gpu" ? "webgpu" : "cpu";
}

/** As a page's own links are taken; in a worker, as its script's address is. */
export function absolute(url: string | URL): string {
  return new URL(url, typeof document === "undefined" ? globalThis.location?.href : document.baseURI).href;
}
