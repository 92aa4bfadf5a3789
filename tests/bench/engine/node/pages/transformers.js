/** transformers.js on onnxruntime-web: wasm, or WebGPU. */
import { AutoModelForCausalLM, env, InterruptableStoppingCriteria, Tensor } from "/packages/@huggingface/transformers/dist/transformers.js";
import { Stopwatch } from "./stopwatch.js";

const RUNTIME = "/packages/onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify";

export async function measure({ prompt, tokens, seconds, gpu, threads }) {
  env.allowRemoteModels = false;
  env.allowLocalModels = true;
  env.localModelPath = "/model/";
  env.useBrowserCache = false;
  env.backends.onnx.wasm.wasmPaths = { mjs: `${RUNTIME}.mjs`, wasm: `${RUNTIME}.wasm` };
  env.backends.onnx.wasm.numThreads = threads;
  const started = performance.now();
  const device = gpu ? "webgpu" : "wasm";
  const model = await AutoModelForCausalLM.from_pretrained("transformers", { dtype: "fp32", device });
  const load_ms = performance.now() - started;
  const ids_of = ids => new Tensor("int64", BigInt64Array.from(ids, BigInt), [1, ids.length]);

  /** The prompt, then `count` greedy tokens, by generate's own loop. */
  async function generate(count) {
    const stopping_criteria = new InterruptableStoppingCriteria();
    const ids = [];
    const watch = new Stopwatch();
    let [prefill, begun] = [null, 0];
    const streamer = {
      put(values) {
        if (values[0].length > 1) return; // the prompt
        prefill ??= watch.lap();
        if (ids.length === 0) begun = performance.now();
        ids.push(Number(values[0][0]));
        if (ids.length > 1 && performance.now() - begun > seconds * 1e3) stopping_criteria.interrupt();
      },
      end() {},
    };
    await model.generate({
      inputs: ids_of(prompt),
      attention_mask: ids_of(prompt.map(() => 1)),
      max_new_tokens: count,
      do_sample: false,
      streamer,
      stopping_criteria,
    });
    return { prefill, decode: watch.lap(), tokens: ids.length - 1, ids };
  }

  const cold = await generate(2);
  return { load_ms, first_ms: load_ms + cold.prefill.clock_ms, ...(await generate(tokens + 1)) };
}
