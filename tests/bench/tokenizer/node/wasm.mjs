// Encoding in Node beside kitoken: `node wasm.mjs CLASS.mjs MODULE.wasm KITOKEN FOLDER ROUNDS`.
//
// In: KITOKEN, the package's folder of programs; FOLDER/t.tok and t.json, one vocabulary; FOLDER/documents.json, texts. Out: JSON, what
// compare.mjs found, in CPU time.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { compare } from "./compare.mjs";

const [classPath, modulePath, kitokenFolder, folder, rounds] = process.argv.slice(2);
const { Tokenizer } = await import(classPath);
const { Kitoken } = createRequire(import.meta.url)(`${kitokenFolder}/node.cjs`);

const module = readFileSync(modulePath);
const flat = readFileSync(`${folder}/t.tok`);
const json = readFileSync(`${folder}/t.json`);
const encoders = {
  PocketLM: async () => {
    const tokenizer = await Tokenizer.open(module);
    tokenizer.load(flat);
    return text => tokenizer.encode(text);
  },
  kitoken: async () => {
    const tokenizer = Kitoken.from_tokenizers(json);
    return text => tokenizer.encode(text, false);
  },
};
const cpuSeconds = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};
const documents = JSON.parse(readFileSync(`${folder}/documents.json`, "utf8"));
console.log(JSON.stringify(await compare(encoders, documents, Number(rounds), cpuSeconds)));
