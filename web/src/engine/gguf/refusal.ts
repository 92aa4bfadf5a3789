/** What is said of a GGUF file that cannot be run. This folder is a chunk of its own and imports nothing at run time from outside. */
import type { EngineError } from "../protocol";

const DAMAGED = "The file is cut short or damaged: get it again.";

/** The file is sound, and not one that is run here. */
export function unsupported(message: string): EngineError {
  const hint =
    "Llama, Qwen 2 and Qwen 3 with byte-level BPE run, their tensors in F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K, IQ4_NL or IQ4_XS: take such a file, as one named Q4_K_M is.";
  return { kind: "unsupported-model", message: `This GGUF file is not supported: ${message}.`, hint };
}

/** The file is not what its own words promise. */
export function damaged(message: string): EngineError {
  return { kind: "bad-model", message: `This GGUF file cannot be read: ${message}.`, hint: DAMAGED };
}
