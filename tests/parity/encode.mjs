// node encode.mjs PKG MODEL TEXTS: load the wasm package outside a browser and print the ids of each text as JSON.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [pkg, modelPath, textsPath] = process.argv.slice(2);
const { default: init, Engine, ModelFile } = await import(pathToFileURL(resolve(pkg, "pocketlm.js")).href);
await init({ module_or_path: readFileSync(resolve(pkg, "pocketlm_bg.wasm")) });
const model = ModelFile.parse(new Uint8Array(readFileSync(modelPath)));
const engine = await Engine.build(model, "cpu", () => {});
const texts = JSON.parse(readFileSync(textsPath, "utf8"));
console.log(JSON.stringify(texts.map((text) => Array.from(engine.encode(text)))));
