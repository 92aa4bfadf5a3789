/** wllama: llama.cpp's server compiled to wasm, on one thread. It takes no ids: a text of about as many tokens stands for them. */
import { Stopwatch } from "./stopwatch.js";
import { Wllama } from "/packages/@wllama/wllama/esm/index.js";

export async function measure({ text, prompt, tokens, seconds, threads }) {
  const started = performance.now();
  const file = await (await fetch("/model/model.gguf")).blob();
  const quiet = { debug() {}, log() {}, warn() {}, error: console.error };
  const wllama = new Wllama({ default: "/packages/@wllama/wllama/esm/wasm/wllama.wasm" }, { logger: quiet });
  await wllama.loadModel([file], {
    n_ctx: 2 * (prompt.length + tokens), // one more token than it is trained for would be refused
    n_parallel: 1,
    n_threads: threads,
    n_gpu_layers: 0,
  });
  const load_ms = performance.now() - started;

  /** The prompt, then `count` greedy tokens. */
  async function generate(count) {
    const watch = new Stopwatch();
    const stream = await wllama.createCompletion({
      prompt: text,
      max_tokens: count,
      temperature: 0,
      ignore_eos: true,
      cache_prompt: false,
      stream: true,
    });
    let [prefill, begun, written, prompt_tokens] = [null, 0, 0, 0];
    for await (const chunk of stream) {
      prompt_tokens = chunk.timings?.prompt_n ?? prompt_tokens;
      if (chunk.choices[0].finish_reason !== null) continue; // the last one has no token, but the figures
      prefill ??= watch.lap();
      if (written === 0) begun = performance.now();
      written += 1;
      if (written > 1 && performance.now() - begun > seconds * 1e3) break;
    }
    return { prefill, decode: watch.lap(), tokens: written - 1, prompt_tokens };
  }

  const cold = await generate(2);
  const warm = await generate(tokens + 1);
  return { load_ms, first_ms: load_ms + cold.prefill.clock_ms, ...warm, prompt_tokens: cold.prompt_tokens };
}
