/** The bundle: a static folder that works from any sub-path of any host, without special headers. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { env } from "node:process";
import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

const web = fileURLToPath(new URL(".", import.meta.url));

/** `doit watch` serves live.json, the model and the engine here; the page is then made from sources that change. */
const watched = env["POCKETLM_WATCH"];
const from_watch =
  watched === undefined ? undefined : { "/live.json": watched, "/models": watched, "/engine": watched };

/** The package, built: POCKETLM_NPM, else where the build leaves it. */
const npm = resolve(web, env["POCKETLM_NPM"] ?? "../build/npm/pocketlm");

/** Nothing but the page's own files; no inline script, no inline style, no other host. */
const CSP = [
  "default-src 'self'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

/** Only in the build: the development server injects inline scripts. */
const contentSecurityPolicy: Plugin = {
  name: "content-security-policy",
  apply: "build",
  transformIndexHtml: () => [
    { tag: "meta", attrs: { "http-equiv": "Content-Security-Policy", content: CSP }, injectTo: "head-prepend" },
  ],
};

const takesSources = (mode: string) => mode === "test" || watched !== undefined;

const builtPackage: Plugin = {
  name: "built-package",
  apply: (_, { mode }) => !takesSources(mode),
  buildStart() {
    if (!existsSync(join(npm, "index.js"))) {
      throw new Error(`no package in ${npm}: ./doitw npm builds it; or set POCKETLM_NPM to its folder`);
    }
  },
};

/** The service worker with the list of what was bundled, "./" for the page itself; the map of a script is no part of the page. */
const serviceWorker: Plugin = {
  name: "service-worker",
  apply: "build",
  generateBundle(_, bundle) {
    const own = readdirSync(join(web, "public"));
    const files = ["./", ...Object.keys(bundle).filter(name => name !== "index.html"), ...own].sort();
    const digest = createHash("sha256");
    for (const file of Object.values(bundle)) digest.update("code" in file ? file.code : file.source);
    for (const name of own) digest.update(readFileSync(join(web, "public", name)));
    const source = readFileSync(join(web, "service-worker.js"), "utf8")
      .replace('"the build puts the list here"', JSON.stringify(files))
      .replace("the build puts a digest of the files here", digest.digest("hex").slice(0, 16));
    this.emitFile({ type: "asset", fileName: "service-worker.js", source });
  },
};

// The page takes the package as everybody gets it; the unit tests and a page under `doit watch` take its sources.
export default defineConfig(({ mode }) => ({
  base: "./",
  plugins: [react(), contentSecurityPolicy, builtPackage, serviceWorker],
  resolve: { alias: { pocketlm: takesSources(mode) ? join(web, "src/package/index.ts") : join(npm, "index.js") } },
  worker: { format: "es" },
  server: { fs: { allow: [".", npm] }, ...(from_watch && { proxy: from_watch }) },
  ...(from_watch && { cacheDir: ".vite" }),
  // The wasm stays a file of its own: inlined it would be a third larger, and it could not be compiled while it arrives.
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
}));
