/** The bundle: a static folder that works from any sub-path of any host, without special headers. */
import { existsSync } from "node:fs";
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

// The page takes the package as everybody gets it; the unit tests and a page under `doit watch` take its sources.
export default defineConfig(({ mode }) => ({
  base: "./",
  plugins: [react(), contentSecurityPolicy, builtPackage],
  resolve: { alias: { pocketlm: takesSources(mode) ? join(web, "src/package/index.ts") : join(npm, "index.js") } },
  worker: { format: "es" },
  server: { fs: { allow: [".", npm] }, ...(from_watch && { proxy: from_watch }) },
  ...(from_watch && { cacheDir: ".vite" }),
  // The wasm stays a file of its own: inlined it would be a third larger, and it could not be compiled while it arrives.
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
}));
