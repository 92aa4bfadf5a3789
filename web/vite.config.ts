/** The bundle: a static folder that works from any sub-path of any host, without special headers. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";
import { checkTypes, package_folder } from "./scripts/wasm-types.mjs";

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

const wasmPackage: Plugin = {
  name: "wasm-package",
  apply: (_, { command, mode }) => command === "build" && mode !== "test",
  buildStart() {
    if (!existsSync(join(package_folder, "pocketlm.js"))) {
      throw new Error(`no wasm package in ${package_folder}: build it first, or set POCKETLM_WASM to its folder`);
    }
    checkTypes();
  },
};

export default defineConfig({
  base: "./",
  plugins: [react(), contentSecurityPolicy, wasmPackage],
  resolve: { alias: { "pocketlm-wasm": join(package_folder, "pocketlm.js") } },
  worker: { format: "es" },
  server: { fs: { allow: [".", package_folder] } },
  // The wasm stays a file of its own: inlined it would be a third larger, and it could not be compiled while it arrives.
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
});
