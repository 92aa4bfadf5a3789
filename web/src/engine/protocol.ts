/**
 * What the package and its worker say to each other: one discriminated union each way.
 *
 * Types that cross wasm are the generated ones and are only passed on here. Errors cross as data.
 */
import type { Backend, BuildPhase, Card, FinishReason, GenerateOptions } from "pocketlm-wasm";
import type { Benchmark, BenchmarkProgress, Check } from "./figures";

export type { Backend, Card, GenerateOptions, ModelConfig, ModelHeader } from "pocketlm-wasm";
export type { At, Benchmark, BenchmarkProgress, Check, Operation, Phase, Profile } from "./figures";

/**
 * Where to run. "auto": on WebGPU where it can be had, reproduces the golden logits and is measured to be faster than the
 * CPU; else on the CPU. The other two are kept to, and fail where they cannot be had.
 */
export type Device = "auto" | "cpu" | "gpu";

/** What went wrong, in words for a reader; `hint` says what to do. Stopping is not an error. */
export type EngineError = {
  kind:
    | "no-engine"
    | "download"
    | "bad-model"
    | "unsupported-model"
    | "wrong-numbers"
    | "out-of-memory"
    | "device-lost"
    | "crashed"
    | "bad-input";
  message: string;
  hint: string;
};

export type ErrorKind = EngineError["kind"];

/** How far loading is. `total_bytes` is null where the server does not say; fractions are 0 … 1. */
export type LoadProgress =
  | { phase: "download"; received_bytes: number; total_bytes: number | null }
  | { phase: "parse" | BuildPhase | "measure"; fraction: number };

/** How long a token took on each backend, in milliseconds, where "auto" had to measure. */
export type Timing = { webgpu_ms: number; cpu_ms: number };

/** Where a model comes from: an absolute URL, or a file that the reader has. */
export type ModelSource = string | Blob;

/**
 * Why a model's file does not stay on this device: too little room, no storage, another tab is at it, the reader deleted it, it
 * is the reader's own file, which is read where it lies, or a GGUF whose server does not tell its versions apart.
 */
export type NotKept = "no-room" | "no-storage" | "other-tab" | "deleted" | "own-file" | "no-version";

/** Whether a model's file stays on this device, so that the next visit need not download it. */
export type Storage = { is_kept: true } | { is_kept: false; reason: NotKept };

/** What is known of a loaded model: the engine's card, how it was chosen, and the file that it came from. */
export type LoadedModel = {
  card: Card;
  /** Why "auto" gave WebGPU up; null where it runs on WebGPU, was not asked to, or is merely slower there. */
  fallback: EngineError | null;
  timing: Timing | null;
  size_bytes: number;
  /** SHA-256 of the file, in hexadecimal. */
  sha256: string;
  storage: Storage;
};

/** Why a run ended. */
export type Ending = FinishReason | "stopped";

/** What stands after the prompt already, as an engine brought it that was lost, or an earlier run: the run goes on after that. */
export type Written = { ids: Uint32Array; elapsed_ms: number };

/** `logprob`: the natural logarithm of its probability among all tokens, before anything of the sampling takes effect. */
export type Candidate = { id: number; text: string; logprob: number };

/**
 * A token of a text. One that ends within a letter brings it with the next. `logprob` is that of a candidate, null where nothing stands before
 * the token or nobody asked; `likeliest`: what was likeliest in its place, the likeliest first, as many as were asked for.
 */
export type Token = { id: number; text: string; logprob: number | null; likeliest: Candidate[] };

/** Two tokens that become one. */
export type Merge = Record<"left" | "right" | "result", { id: number; text: string }>;

/** `bits`: −log₂ of the text's probability. `n_bytes`: of the tokens that were scored, in UTF-8. */
export type TextScore = { tokens: Token[]; bits: number; n_bytes: number };

/** What of a text's last token is looked at. `layer` is counted from 0. */
export type Look =
  | { at: "attention"; layer: number }
  /** So many likeliest tokens after each layer, and how likely token `of` is there. */
  | { at: "layers"; count: number; of?: number | undefined }
  | { at: "logits" };

/** How much the last of `tokens` attends to each of them, head by head: the weights of a head add up to 1. */
export type Attention = { tokens: { id: number; text: string }[]; heads: Float32Array[] };

/** What the output layer makes of a token after a layer, and how likely the token is that was asked for. */
export type Layer = { likeliest: Candidate[]; logprob?: number };

/** `ids`: those of the text; `logits`: (vocab_size), of what comes after it. */
export type Looked =
  | ({ at: "attention" } & Attention)
  | { at: "layers"; layers: Layer[] }
  | { at: "logits"; ids: Uint32Array; logits: Float32Array };

/**
 * To the worker. A run is numbered by whoever asks for it; a new run or a stop ends the one before. A prompt comes in parts, by turns: a
 * template's text, in which special tokens count, and a person's, in which they are ordinary text. `shorter`: what is read
 * in its place where it takes more than three quarters of the context, the first that fits or else the last. `engine`: a fork's number;
 * 0, and nothing, is the engine that was loaded.
 */
export type EngineRequest =
  | { type: "load"; from: ModelSource; device: Device }
  | {
      type: "generate";
      run: number;
      prompt: string[];
      shorter: string[][];
      options: GenerateOptions;
      written: Written | null;
      engine?: number;
    }
  | { type: "stop"; run: number }
  /** Make the engine of this number: it shares the weights of `of` and begins with a copy of its cache. Or give it back. */
  | { type: "fork"; call: number; engine: number; of: number }
  | { type: "release"; engine: number }
  /** Delete the model's file from this device; what runs goes on. */
  | { type: "forget" }
  /** Compare with the golden logits, or measure: on the model's own engine, or on another that is there for this alone. */
  | { type: "check"; call: number; backend: Backend | null }
  | { type: "benchmark"; call: number; backend: Backend | null }
  /** End a benchmark, which is answered with nothing. */
  | { type: "cancel"; call: number }
  /** The logits of forced ids, one row of vocab_size a position: how the tests compare backends. */
  | { type: "logits"; call: number; ids: Uint32Array; engine?: number }
  /** How surprised the model is by each token of a text. */
  | { type: "score"; call: number; text: string; engine?: number }
  /** What can be seen of the last token of a prompt with these ids after it. */
  | { type: "look"; call: number; prompt: string[]; after: Uint32Array; look: Look; engine?: number }
  /** The ids of a text, in which special tokens are ordinary text; and the text of ids. */
  | { type: "encode"; call: number; text: string }
  | { type: "decode"; call: number; ids: Uint32Array }
  /** The merges that make a token. */
  | { type: "merges"; call: number; id: number };

/** From the worker. Times are in milliseconds since the worker began the run. */
export type EngineEvent =
  | { type: "progress"; progress: LoadProgress }
  | { type: "ready"; model: LoadedModel }
  /** The run begins, with the prompt, 0, or with the n-th of those that are shorter: it takes `prompt_tokens`. */
  | { type: "begun"; run: number; prompt: number; prompt_tokens: number }
  /** `text`: that of `tokens`; only the end of a letter that stays broken may come without one. */
  | {
      type: "tokens";
      run: number;
      text: string;
      ids: Uint32Array;
      tokens: Token[];
      prefilled: number;
      elapsed_ms: number;
    }
  | { type: "done"; run: number; ending: Ending; elapsed_ms: number }
  /** The engine was lost in the middle of a run, and is being built anew: progress follows, then `recovered` or `failed`. */
  | { type: "interrupted"; run: number; error: EngineError }
  /** The run goes on, on what `model` says. */
  | { type: "recovered"; run: number; model: LoadedModel }
  | { type: "logits"; call: number; logits: Float32Array }
  | { type: "scored"; call: number; score: TextScore }
  | { type: "looked"; call: number; looked: Looked }
  | { type: "encoded"; call: number; ids: Uint32Array }
  | { type: "decoded"; call: number; text: string }
  | { type: "merged"; call: number; merges: Merge[] }
  /** `error`: why there is no such engine; those that are there stay as they were. */
  | { type: "forked"; call: number; error: EngineError | null }
  | { type: "checked"; call: number; check: Check }
  | { type: "measuring"; call: number; progress: BenchmarkProgress }
  /** null where it was cancelled. */
  | { type: "measured"; call: number; benchmark: Benchmark | null }
  /** It cannot be done; the model is as it was. */
  | { type: "unanswered"; call: number; error: EngineError }
  /** The model's file is no longer what `ready` said. */
  | { type: "stored"; storage: Storage }
  /** `run` is null where loading failed, or the engine as a whole. */
  | { type: "failed"; run: number | null; error: EngineError };
