/**
 * What llama.cpp makes of a text: its logits, through node-llama-cpp's prebuilt binary.
 *
 *     node llama.mjs PACKAGES FILE.gguf OUT.json '[1, 2, 3]'
 *
 * PACKAGES: the folder with node_modules. OUT.json: for each token the logits of the next one, T lists of V numbers; a
 * double of JSON holds each f32 exactly. The cache of keys and values is f32 too: with llama.cpp's own f16 two programs
 * would differ by that.
 */
import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [packages, file, out, text] = process.argv.slice(2);
const ids = JSON.parse(text);
const entry = resolve(packages, "node_modules", "node-llama-cpp", "dist", "index.js");
const { getLlama } = await import(pathToFileURL(entry).href);

const llama = await getLlama({ gpu: false, build: "never", maxThreads: 1, logLevel: "error" });
const model = await llama.loadModel({ modelPath: file, gpuLayers: 0 });
const context = await model.createContext({
  contextSize: ids.length + 8, // a context that gets full is shifted
  batchSize: ids.length,
  sequences: 1,
  threads: 1,
  flashAttention: false,
  experimentalKvCacheKeyType: "F32",
  experimentalKvCacheValueType: "F32",
});
const wanted = ids.map((id) => [id, { generateNext: { logits: true } }]);
const answers = await context.getSequence().controlledEvaluate(wanted);
const logits = answers.map(({ next }) => {
  const row = new Array(next.logits.size);
  for (const [id, value] of next.logits) row[id] = value;
  return row;
});
writeFileSync(out, JSON.stringify(logits));
process.exit(0); // else its pool of threads is waited for
