/**
 * The entry of the package `pocketlm`: a language model in a Web Worker, with an engine for WebGPU and one for the CPU.
 * docs/EMBEDDING.md says how to use it.
 */
export type {
  At,
  Attention,
  Backend,
  Benchmark,
  BenchmarkProgress,
  Candidate,
  Card,
  Check,
  Device,
  Ending,
  EngineError,
  ErrorKind,
  Layer,
  LoadedModel,
  LoadProgress,
  Merge,
  ModelConfig,
  ModelHeader,
  ModelSource,
  NotKept,
  Operation,
  Phase,
  Profile,
  Storage,
  TextScore,
  Timing,
  Token,
} from "../engine/protocol";
export type { Message } from "./chat";
export type { Generation, Piece, Result } from "./generation";
export { loadModel, type Model } from "./model";
export { ModelError } from "./modelError";
export { DEFAULTS, randomSeed, type TextOptions } from "./options";
export type {
  AskOptions,
  BenchmarkOptions,
  LoadOptions,
  LookOptions,
  MeasureOptions,
  ModelEvent,
  Prompt,
  Read,
} from "./requests";
export { type StoredModel, storedModels } from "./stored";
