/**
 * The npm package: the sources' entries as plain ES modules, the worker and the wasm beside them, and their types.
 * `node scripts/package.mjs FOLDER`; in: the wasm package, as for wasm-types.mjs.
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { argv, execPath, stderr } from "node:process";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { checkTypes, package_folder, types_file } from "./wasm-types.mjs";

const web = dirname(dirname(fileURLToPath(import.meta.url)));
const source = join(web, "src");

/** What is bundled into the package, with its licence. */
const BUNDLED = ["@huggingface/jinja"];

/** @param {string} out */
async function bundle(out) {
  const build = await rolldown({
    input: {
      index: join(source, "package/index.ts"),
      openai: join(source, "package/openai.ts"),
      "ai-sdk": join(source, "package/aiSdk.ts"),
      worker: join(source, "engine/worker.ts"),
    },
    platform: "browser",
    // No comments that say where a module lay: the same sources give the same bytes in every checkout.
    experimental: { attachDebugInfo: "none" },
    resolve: { alias: { "pocketlm-wasm": join(package_folder, "pocketlm.js") } },
    onLog: (level, log) => {
      if (level === "warn") throw new Error(log.message);
    },
  });
  // Bundlers and debuggers read it again: names and lines stay as they are.
  await build.write({ dir: out, format: "es", entryFileNames: "[name].js", chunkFileNames: "[name].js" });
  await build.close();
}

/** What a declaration imports, by the name of the file: that is how Node resolves it. @param {string} types */
function nameImports(types) {
  for (const entry of readdirSync(types, { recursive: true, encoding: "utf8" })) {
    if (!entry.endsWith(".d.ts")) continue;
    const file = join(types, entry);
    const wasm = relative(dirname(file), join(types, "engine/pocketlm.js"));
    const named = readFileSync(file, "utf8")
      .replaceAll(/(from\s+|import\()"(\.[^"]+)"/g, '$1"$2.js"')
      .replaceAll('"pocketlm-wasm"', JSON.stringify(wasm.startsWith(".") ? wasm : `./${wasm}`));
    writeFileSync(file, named);
  }
}

/** @param {string} out */
function declare(out) {
  const types = join(out, "types");
  execFileSync(
    execPath,
    [join(web, "node_modules/typescript/bin/tsc"), "-p", "tsconfig.package.json", "--outDir", types],
    {
      cwd: web,
      stdio: ["ignore", "inherit", "inherit"],
    },
  );
  copyFileSync(types_file, join(types, "engine/pocketlm.d.ts"));
  writeFileSync(join(types, "engine/worker.d.ts"), "/** A script for a worker to start with. */\nexport {};\n");
  nameImports(types);
}

/** @param {string} out */
function putBeside(out) {
  for (const name of readdirSync(package_folder)) {
    if (name.endsWith(".wasm")) copyFileSync(join(package_folder, name), join(out, name));
  }
  for (const name of ["package.json", "README.md"]) copyFileSync(join(web, "npm", name), join(out, name));
  const licences = BUNDLED.map(name => {
    const text = readFileSync(join(web, "node_modules", name, "LICENSE"), "utf8");
    return `\n---\n\nThis package contains ${name}:\n\n${text}`;
  });
  writeFileSync(join(out, "LICENSE"), [readFileSync(join(web, "../LICENSE"), "utf8"), ...licences].join(""));
}

const [given] = argv.slice(2);
if (given === undefined) {
  stderr.write("usage: package.mjs FOLDER\n");
  process.exit(2);
}
const out = resolve(given);
checkTypes();
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
await bundle(out);
declare(out);
putBeside(out);
