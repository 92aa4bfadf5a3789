/**
 * What others than us say of the built package: publint, and Are The Types Wrong, on what `npm pack` makes of it. POCKETLM_NPM
 * is its folder, else where the build leaves it.
 */
import { execFile } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { execPath } from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

const web = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = resolve(web, process.env["POCKETLM_NPM"] ?? "../build/npm/pocketlm");
const run = promisify(execFile);
/** Two processes of Node, on a machine that may be busy. */
const TIMEOUT_MS = 300_000;

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "pocketlm-npm-"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** What both complain about, of the package after a change to a copy of it; nothing where nothing is wrong. */
async function complaints(change: (copy: string) => void = () => undefined): Promise<string> {
  const copy = mkdtempSync(join(scratch, "copy-"));
  cpSync(folder, join(copy, "package"), { recursive: true, dereference: true });
  for (const name of readdirSync(join(copy, "package"))) chmodSync(join(copy, "package", name), 0o755);
  change(join(copy, "package"));
  mkdirSync(join(copy, "packed"));
  await run("npm", ["pack", "--silent", "--pack-destination", join(copy, "packed"), join(copy, "package")]);
  const [name = ""] = readdirSync(join(copy, "packed"));
  const tarball = join(copy, "packed", name);
  const said = async (...argv: string[]) =>
    await run(execPath, argv, { cwd: web }).then(
      () => "",
      (failed: { stdout: string; stderr: string }) => failed.stdout + failed.stderr,
    );
  return (
    (await said("node_modules/publint/src/cli.js", "run", tarball, "--strict")) +
    (await said("node_modules/@arethetypeswrong/cli/dist/index.js", tarball, "--profile", "esm-only"))
  );
}

test("no file says where it was built", () => {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter(name => /\.(js|ts|json)$/.test(name));
  expect(files.length).toBeGreaterThan(15);
  expect(
    files.filter(name => /\.\.\/\.\.|node_modules|\/store\//.test(readFileSync(join(folder, name), "utf8"))),
  ).toEqual([]);
});

test("publint and attw find nothing wrong", { timeout: TIMEOUT_MS }, async () => {
  expect(await complaints()).toBe("");
});

test.each([
  ["a missing script", (copy: string) => rmSync(join(copy, "openai.js")), /openai\.js/],
  ["missing types", (copy: string) => rmSync(join(copy, "types/package/openai.d.ts")), /openai\.d\.ts|No types/],
  [
    "types that Node does not find",
    (copy: string) => {
      const file = join(copy, "types/package/index.d.ts");
      writeFileSync(file, readFileSync(file, "utf8").replaceAll('.js"', '"'));
    },
    /Internal resolution error/i,
  ],
])("they find %s", { timeout: TIMEOUT_MS }, async (_, change, words) => {
  expect(await complaints(change)).toMatch(words);
});
