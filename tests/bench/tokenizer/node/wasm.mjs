// Encoding in Node beside kitoken: `node wasm.mjs CLASS.mjs MODULE.wasm KITOKEN.cjs FOLDER ROUNDS`.
//
// In: FOLDER/t.tok and t.json, one vocabulary; FOLDER/documents.json, texts. Out: JSON, the best seconds of each on the second half of the
// texts, by an encoder that has just seen the first half, and how many texts have the same ids.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [classPath, modulePath, kitokenPath, folder, rounds] = process.argv.slice(2);
const { Tokenizer } = await import(classPath);
const { Kitoken } = createRequire(import.meta.url)(kitokenPath);
const documents = JSON.parse(readFileSync(`${folder}/documents.json`, "utf8"));
const [seen, unseen] = [documents.filter((_, i) => i % 2 === 0), documents.filter((_, i) => i % 2 === 1)];

const module = readFileSync(modulePath);
const flat = readFileSync(`${folder}/t.tok`);
const json = readFileSync(`${folder}/t.json`);
const encoders = {
  PocketLM: async () => {
    const tokenizer = await Tokenizer.open(module);
    tokenizer.load(flat);
    return (text) => tokenizer.encode(text);
  },
  kitoken: async () => {
    const tokenizer = Kitoken.from_tokenizers(json);
    return (text) => tokenizer.encode(text, false);
  },
};

const best = {};
const ids = {};
for (let round = 0; round < Number(rounds); round++) {
  for (const [name, make] of Object.entries(encoders)) {
    const encode = await make();
    for (const text of seen) {
      encode(text);
    }
    const started = process.cpuUsage();
    const found = unseen.map(encode);
    const { user, system } = process.cpuUsage(started);
    best[name] = Math.min(best[name] ?? Number.POSITIVE_INFINITY, (user + system) / 1e6);
    ids[name] = found;
  }
}
const same = unseen.filter((_, i) => ids.PocketLM[i].join() === ids.kitoken[i].join()).length;
console.log(JSON.stringify({ seconds: best, same, texts: unseen.length }));
