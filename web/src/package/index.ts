/**
 * The entry of the package `pocketlm`: a language model in a Web Worker, with an engine for WebGPU and one for the CPU.
 * docs/EMBEDDING.md says how to use it.
 */
export type {
  Attention,
  Backend,
  Candidate,
  Card,
  Device,
  Ending,
  EngineError,
  ErrorKind,
  Layer,
  LoadedModel,
  LoadProgress,
  ModelConfig,
  ModelHeader,
  ModelSource,
  NotKept,
  Storage,
  TextScore,
  Timing,
  Token,
} from "../engine/protocol";
export type { Message } from "./chat";
export type { Generation, Piece, Result } from "./generation";
export {
  type AskOptions,
  type LoadOptions,
  type LookOptions,
  loadModel,
  type Model,
  type ModelEvent,
  type Prompt,
  type Read,
} from "./model";
export { ModelError } from "./modelError";
export { DEFAULTS, randomSeed, type TextOptions } from "./options";
