// What chromium.mjs runs in the page: encoding beside kitoken, on the clock, since a page is told no CPU time.

import { Kitoken, default as start } from "/kitoken/web.js";
import { Tokenizer } from "/class.mjs";
import { compare } from "/compare.mjs";

const bytes = async path => new Uint8Array(await (await fetch(path)).arrayBuffer());

/** What compare.mjs found. */
export async function measure(rounds) {
  const [module, flat, json] = await Promise.all(["/module.wasm", "/t.tok", "/t.json"].map(bytes));
  const documents = await (await fetch("/documents.json")).json();
  await start({ module_or_path: "/kitoken/web_bg.wasm" });
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
  return compare(encoders, documents, rounds, () => performance.now() / 1000);
}
