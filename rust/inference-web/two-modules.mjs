/**
 * One package of two: `node two-modules.mjs PACKAGE RELAXED`. Both are what wasm-pack makes of this crate, the second with relaxed
 * SIMD, which a browser that does not know it refuses as a whole. Its module goes to PACKAGE, whose script then starts the one that
 * runs here. The scripts have to be equal: cargo keeps compiler flags out of the symbols' hashes, which is all that could differ.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { argv } from "node:process";

const [folder, relaxed] = argv.slice(2);
const [script, twin] = [folder, relaxed].map(each => readFileSync(join(each, "pocketlm.js"), "utf8"));
if (script !== twin) {
  throw new Error(`${folder} and ${relaxed} have different pocketlm.js: cargo 1.85 or newer makes them equal`);
}

/** A module with one function, (x, y, z) → f32x4.relaxed_madd: magic and version, its type, the function, its code. */
const PROBE = [
  [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  [1, 8, 1, 0x60, 3, 0x7b, 0x7b, 0x7b, 1, 0x7b],
  [3, 2, 1, 0],
  [10, 13, 1, 11, 0, 0x20, 0, 0x20, 1, 0x20, 2, 0xfd, 0x85, 2, 0x0b],
].flat();
const BASE = "new URL('pocketlm_bg.wasm', import.meta.url)";
const parts = script.split(BASE);
if (parts.length !== 2) throw new Error(`pocketlm.js: expected one ${BASE}, got ${parts.length - 1}`);
const choice = `WebAssembly.validate(Uint8Array.of(${PROBE}))
            ? ${BASE.replace("pocketlm_bg", "pocketlm_relaxed_bg")}
            : ${BASE}`;

renameSync(join(relaxed, "pocketlm_bg.wasm"), join(folder, "pocketlm_relaxed_bg.wasm"));
writeFileSync(join(folder, "pocketlm.js"), parts.join(choice));
