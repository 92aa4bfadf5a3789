import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

const RAW_EXPORTS =
  "\nexport type InitInput = string;\nexport interface InitOutput { readonly engine_free_h1234: () => void }\n";

let folder: string;

/** Make a package with these types, and a checker that looks there. */
async function checker(types: string): Promise<() => void> {
  writeFileSync(join(folder, "pocketlm.d.ts"), types + RAW_EXPORTS);
  vi.stubEnv("POCKETLM_WASM", folder);
  vi.resetModules();
  return (await import("./wasm-types.mjs")).checkTypes;
}

/** The committed copy, without what the script puts around the package's own types. */
function committed(): string {
  const copy = readFileSync(new URL("../src/engine/pocketlm.d.ts", import.meta.url), "utf8");
  return copy.slice(copy.indexOf("\n") + 1, copy.indexOf("\n/** Fetch and start the wasm module"));
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "pocketlm-"));
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

test("a package with the copied types passes, whatever its raw exports are called", async () => {
  const check = await checker(committed());
  expect(check).not.toThrow();
});

test("a package whose types have changed fails, with what to do", async () => {
  const check = await checker(committed().replace("prefilled: number", "prefilled: string"));
  expect(check).toThrow(/run `npm run types`/);
});
