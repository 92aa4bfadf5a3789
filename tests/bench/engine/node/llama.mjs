/**
 * llama.cpp on the CPU, through node-llama-cpp's prebuilt binary.
 *
 *     node llama.mjs PACKAGES '{"file": "model.gguf", "prompt": [1, 2], "tokens": 8, "seconds": 5, "threads": 1}'
 *
 * PACKAGES: the folder with node_modules. One line of JSON on stdout, as peers.py wants it.
 */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [packages, text] = process.argv.slice(2);
const { file, prompt, tokens, seconds, threads } = JSON.parse(text);
const entry = resolve(packages, "node_modules", "node-llama-cpp", "dist", "index.js");
const { getLlama } = await import(pathToFileURL(entry).href);

const llama = await getLlama({ gpu: false, build: "never", maxThreads: threads, logLevel: "error" });
const started = performance.now();
const model = await llama.loadModel({ modelPath: file, gpuLayers: 0 });
const context = await model.createContext({
  contextSize: prompt.length + tokens,
  batchSize: prompt.length,
  sequences: 1,
  threads,
});
const sequence = context.getSequence();
const load_ms = performance.now() - started;

/** Both clocks, in milliseconds: the wall's, and the processor's, of all threads. */
function now() {
  const { user, system } = process.cpuUsage();
  return { clock_ms: performance.now(), cpu_ms: (user + system) / 1e3 };
}

const between = (from, to) => ({ clock_ms: to.clock_ms - from.clock_ms, cpu_ms: to.cpu_ms - from.cpu_ms });

/** The prompt, then `count` greedy tokens. */
async function generate(count) {
  await sequence.clearHistory();
  const ids = [];
  const begun = now();
  let first = begun;
  for await (const id of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    if (ids.length === 0) first = now();
    ids.push(id);
    if (ids.length === count || (ids.length > 1 && performance.now() - first.clock_ms > seconds * 1e3)) break;
  }
  return { prefill: between(begun, first), decode: between(first, now()), tokens: ids.length - 1, ids };
}

const cold = await generate(2);
const first_ms = load_ms + cold.prefill.clock_ms;
console.log(JSON.stringify({ load_ms, first_ms, ...(await generate(tokens + 1)) }));
process.exit(0); // else its pool of threads is waited for
