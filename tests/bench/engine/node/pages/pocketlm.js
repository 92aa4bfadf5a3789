/** Our engine, on the page's own thread, as the worker of the page calls it. */
import { Stopwatch } from "./stopwatch.js";
import init, { Engine, ModelFile } from "/wasm/pocketlm.js";

const GREEDY = { temperature: 0, top_k: 0, top_p: 1, seed: 0 };
const BATCH = 16; // tokens of one submit, as the engine's own loop takes them

export async function measure({ prompt, tokens, seconds, gpu }) {
  await init();
  const started = performance.now();
  const bytes = new Uint8Array(await (await fetch("/model/model.bin")).arrayBuffer());
  const engine = await Engine.build(ModelFile.parse(bytes), gpu ? "webgpu" : "cpu", () => undefined);
  const load_ms = performance.now() - started;

  /** The prompt, then `count` greedy tokens. An empty text begins with the first id; the others are read as written before. */
  async function generate(count) {
    await engine.logits(Uint32Array.of(prompt[0]), 0); // forgets what was read
    engine.start([""], { ...GREEDY, max_tokens: prompt.length - 1 + count }, Uint32Array.from(prompt.slice(1)));
    const watch = new Stopwatch();
    const ids = [];
    while (ids.length === 0) ids.push(...(await engine.step(1)).ids);
    const prefill = watch.lap();
    const begun = performance.now();
    while (ids.length < 2 || (ids.length < count && performance.now() - begun < seconds * 1e3)) {
      ids.push(...(await engine.step(Math.min(BATCH, count - ids.length))).ids);
    }
    return { prefill, decode: watch.lap(), tokens: ids.length - 1, ids };
  }

  const cold = await generate(2);
  return { load_ms, first_ms: load_ms + cold.prefill.clock_ms, ...(await generate(tokens + 1)) };
}
