/**
 * The wasm package's types as the page reads them: the package's pocketlm.d.ts without its last part, the raw exports,
 * whose names change with every compiler. `npm run types` copies them; the build compares them.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { argv, env } from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";

const web = dirname(dirname(fileURLToPath(import.meta.url)));

/** Where the wasm package is: POCKETLM_WASM, else where the build leaves it. */
export const package_folder = resolve(web, env["POCKETLM_WASM"] ?? "../build/shared/.current/wasm/pkg");

/** The copy of them. */
export const types_file = join(web, "src/engine/pocketlm.d.ts");
const NOTE =
  "/* Copied from the wasm package by `npm run types`; `npm run build` fails where the two differ. Do not edit. */\n";

/** @returns {string} what the copy should hold */
function generated() {
  const types = readFileSync(join(package_folder, "pocketlm.d.ts"), "utf8");
  const [, ...parts] = types.split(/(?=export type InitInput\b)/);
  if (parts.length !== 1) throw new Error("pocketlm.d.ts: expected one `export type InitInput`");
  const own = types.slice(0, types.indexOf("export type InitInput"));
  return `${NOTE}${own.trimEnd()}

/** Fetch and start the wasm module; it stands beside the script. */
export default function init(): Promise<unknown>;
`;
}

/** Throws where the copy is not what the package says. */
export function checkTypes() {
  if (readFileSync(types_file, "utf8") !== generated()) {
    throw new Error(
      `src/engine/pocketlm.d.ts differs from ${package_folder}: run \`npm run types\` and look at the difference`,
    );
  }
}

if (argv[1] !== undefined && import.meta.url === pathToFileURL(argv[1]).href) writeFileSync(types_file, generated());
