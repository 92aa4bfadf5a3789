// node open_gguf.mjs CHUNK GGUF…: the model.bin that the page's worker sees in each GGUF, written down as GGUF.opened; and as JSON
// what it says against each, null where it says nothing.
import { createHash } from "node:crypto";
import { closeSync, openSync, readSync, statSync, writeSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [chunk, ...paths] = process.argv.slice(2);
const { modelBinOf } = await import(pathToFileURL(resolve(chunk)).href);
const PART_NBYTES = 100_003; // no multiple of anything, so that parts end within rows and blocks

function digester() {
  const hash = createHash("sha256");
  return { update: part => void hash.update(part), hex: () => hash.digest("hex") };
}

/** The words against a file, or null where it was opened. */
function against(path) {
  const file = openSync(path);
  const nbytes = statSync(path).size;
  const read = (offset, length) => {
    const bytes = new Uint8Array(length);
    return bytes.subarray(0, readSync(file, bytes, 0, length, offset));
  };
  const digestOfAll = () => {
    const digest = digester();
    digest.update(read(0, nbytes));
    return digest.hex();
  };
  try {
    const model = modelBinOf({ nbytes, read, digester, digestOfAll, onProgress: () => {} });
    const out = openSync(`${path}.opened`, "w");
    for (let offset = 0; offset < model.nbytes; offset += PART_NBYTES) {
      writeSync(out, model.read(offset, Math.min(PART_NBYTES, model.nbytes - offset)));
    }
    closeSync(out);
    return null;
  } catch (error) {
    if (error.kind !== "bad-model" && error.kind !== "unsupported-model") throw error;
    return `${error.kind}\n${error.message}\n${error.hint}`;
  } finally {
    closeSync(file);
  }
}

process.stdout.write(JSON.stringify(paths.map(against)));
