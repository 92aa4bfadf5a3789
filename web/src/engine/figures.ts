/** What a benchmark and a self-check tell. The names are those of `pocketlm bench --json`, so that both can be read by one program. */
import type { Backend, GoldenCheck } from "pocketlm-wasm";

/** A self-check and where it ran. `is_sound`: the logits differ by no more than rounding, and the likeliest token is the one that is taken. */
export type Check = GoldenCheck & { backend: Backend; is_sound: boolean };

/** What a token takes at a position of the context, and what it reads of weights and cache. */
export type At = { position: number; ms: number; bytes: number; share_of_stream: number | null };

/** One kernel over all layers: of a token, or of a chunk of a prompt. */
export type Operation = { name: string; ms: number; bytes: number };

/** `ms` is the sum of the operations, which is more than a token takes otherwise: each waits for the one before. */
export type Phase = {
  tokens: number;
  ms: number;
  weight_bytes: number;
  share_of_stream: number | null;
  operations: Operation[];
};

/** `position`: how many tokens stand in the context before the prompt's chunk. */
export type Profile = { position: number; prefill: Phase; decode: Phase };

/**
 * Rates are the median of `runs` runs of a prompt of `prompt_tokens` and `decode_tokens` after it. `stream_bytes_per_s`: what the device's memory gives, as
 * far as a page can see: on the CPU to one thread that sums 128 MiB, on a graphics device to copies, what is read and written together;
 * null where it could not be measured. `start_ms` is null where the engine ran already.
 */
export type Benchmark = {
  device: "cpu" | "gpu";
  adapter: string | null;
  model_sha256: string;
  file_bytes: number;
  cache: "f32" | "f16";
  cache_bytes: number;
  runs: number;
  start_ms: number | null;
  prompt_tokens: number;
  prefill_tokens_per_s: number;
  first_token_ms: number;
  decode_tokens: number;
  decode_tokens_per_s: number;
  /** Of a token: all weights but the rows of the embedding that it does not use. */
  weight_bytes: number;
  stream_bytes_per_s: number | null;
  /** Of the decoding: weights and cache, by what the memory gives. */
  share_of_stream: number | null;
  at: At[];
  /** null where the device has no clock that a page may read: `profile_missing` says so. */
  profile: Profile | null;
  profile_missing: string | null;
};

/** What a benchmark is at; the fraction is of all of it, 0 … 1. */
export type BenchmarkProgress = { phase: "start" | "runs" | "positions" | "kernels" | "memory"; fraction: number };
