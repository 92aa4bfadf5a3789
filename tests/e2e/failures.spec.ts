/** Files that are missing, broken or cut off, and an engine that stops: each is named, with advice, and the page can try again. */
import { readFileSync, statSync } from "node:fs";
import { NO_STORAGE, panics, TELLS_WHAT_IT_READ, withLittleMemory } from "./faults";
import { expect, test } from "./fixtures";

test("a missing model file", async ({ site, reader, page }) => {
  site.model = { kind: "missing" };
  await page.goto(site.address());
  await expect(page.getByRole("alert")).toContainText("The model could not be downloaded");
  await expect(page.getByRole("alert")).toContainText("404");
  await expect(page.getByRole("alert")).toContainText("Put model.bin beside index.html");
  await expect(reader.engine).toHaveText("Not running");
  await expect(reader.generate).toBeDisabled();

  site.model = { kind: "as it is" };
  await page.getByRole("button", { name: "Try again" }).click();
  await expect(reader.generate).toBeEnabled();
  await expect(page.getByRole("alert")).toHaveCount(0);
});

test("a weight that was changed", async ({ site, page }) => {
  const bytes = new Uint8Array(readFileSync(site.model_file));
  const middle = Math.floor(bytes.length / 2);
  bytes[middle] = (bytes[middle] ?? 0) ^ 1;
  site.model = { kind: "bytes", bytes };
  await page.goto(site.address());
  await expect(page.getByRole("alert")).toContainText("The model file is damaged, or is no model");
  await expect(page.getByRole("alert")).toContainText("SectionChecksum");
});

test("another kind of file", async ({ site, page }) => {
  site.model = { kind: "bytes", bytes: new TextEncoder().encode("GGUF".padEnd(4096, "\0")) };
  await page.goto(site.address());
  await expect(page.getByRole("alert")).toContainText("BadMagic");
});

test("a file that is too short", async ({ site, page }) => {
  site.model = { kind: "bytes", bytes: new Uint8Array(readFileSync(site.model_file)).slice(0, 1000) };
  await page.goto(site.address());
  await expect(page.getByRole("alert")).toContainText("Truncated");
});

test("an empty file", async ({ site, page }) => {
  site.model = { kind: "bytes", bytes: new Uint8Array(0) };
  await page.goto(site.address());
  await expect(page.getByRole("alert")).toContainText("Truncated");
});

test("a file of another format version", async ({ site, page }) => {
  const bytes = new Uint8Array(readFileSync(site.model_file));
  // FORMAT.md §1: the version follows the magic.
  new DataView(bytes.buffer).setUint32(8, 7, true);
  site.model = { kind: "bytes", bytes };
  await page.goto(site.address());
  await expect(page.getByRole("alert")).toContainText("This kind of model does not run here");
  await expect(page.getByRole("alert")).toContainText("version 7 of model.bin is not supported");
  await expect(page.getByRole("alert")).toContainText("Export the model again");
});

test("a connection that breaks twice: the rest is fetched, and the page needs no help", async ({
  site,
  reader,
  page,
}) => {
  site.inject(TELLS_WHAT_IT_READ);
  site.model = { kind: "cut off", at: [65_536, 131_072] };
  await reader.open(site.address("?device=cpu"));
  expect(new Set(site.ranges)).toEqual(new Set(["bytes=65536-", "bytes=131072-"]));
  await expect(page.getByRole("alert")).toHaveCount(0);
});

test("a connection that breaks for good, and comes back when the reader tries again", async ({
  site,
  reader,
  page,
}) => {
  // Nothing comes beyond the first bytes: the third try without any is the last.
  site.inject(TELLS_WHAT_IT_READ);
  site.model = { kind: "cut off", at: [65_536], forGood: true };
  await page.goto(site.address("?device=cpu"));
  await expect(page.getByRole("alert")).toContainText("The model could not be downloaded");
  await expect(page.getByRole("alert")).toContainText(`broke after 65536 of ${statSync(site.model_file).size} bytes`);
  await expect(page.getByRole("alert")).toContainText("Check the connection");
  site.model = { kind: "as it is" };
  await page.getByRole("button", { name: "Try again" }).click();
  await expect(reader.generate).toBeEnabled();
});

for (const [about, to] of [
  ["missing", () => null],
  ["a web page", () => ({ content: Buffer.from("<!doctype html>"), type: "text/html" })],
  ["cut short", (wasm: Buffer) => ({ content: wasm.subarray(0, wasm.length / 2) })],
] as const) {
  test(`the engine's wasm is ${about}`, async ({ site, reader, page }) => {
    site.changes.push({ file: /\.wasm$/, to });
    await page.goto(site.address());
    await expect(page.getByRole("alert")).toContainText("The engine could not be started");
    await expect(page.getByRole("alert")).toContainText("check that the .wasm file beside worker.js is on the server");
    site.changes = [];
    await page.getByRole("button", { name: "Load again" }).click();
    await expect(reader.generate).toBeEnabled();
  });
}

test("a host that does not know the type of wasm still serves it", async ({ site, reader }) => {
  const to = (content: Buffer) => ({ content, type: "application/octet-stream" });
  site.changes.push({ file: /\.wasm$/, to });
  await reader.open(site.address("?device=cpu"));
});

test("no memory for the model", async ({ site, page }) => {
  site.inject(NO_STORAGE); // else no more than a part of it is in memory
  const to = (wasm: Buffer) => ({ content: withLittleMemory(wasm) });
  site.changes.push({ file: /\.wasm$/, to });
  await page.goto(site.address());
  await expect(page.getByRole("alert")).toContainText("Not enough memory");
  await expect(page.getByRole("alert")).toContainText(`model.bin needs ${statSync(site.model_file).size} bytes`);
  await expect(page.getByRole("alert")).toContainText("Use a smaller model");
});

test("the worker's script is missing", async ({ site, reader, page }) => {
  site.changes.push({ file: /worker/, to: () => null });
  await page.goto(site.address());
  await expect(page.getByRole("alert")).toContainText("The engine cannot run in this browser");
  site.changes = [];
  await page.getByRole("button", { name: "Load again" }).click();
  await expect(reader.generate).toBeEnabled();
});

test("an engine that stops in the middle is started again, and the text goes on", async ({ site, reader, page }) => {
  await reader.open(site.address("?device=cpu"));
  await reader.field("Seed").fill("5");
  await reader.field("Max tokens").fill("300");
  const undisturbed = await reader.write();

  site.inject(panics(7));
  await reader.open(site.address("?device=cpu"));
  site.changes = []; // the worker that takes its place is sound
  await reader.field("Seed").fill("5");
  await reader.field("Max tokens").fill("300");
  expect(await reader.write()).toBe(undisturbed);
  await expect(page.getByRole("status", { name: "Interruption" })).toContainText(
    "stopped because of an internal error",
  );
  await expect(page.getByText("+ 300")).toBeVisible();
});

test("an engine that stops again and again is named, and does not try for ever", async ({ site, reader, page }) => {
  site.inject(panics(3));
  await reader.open(site.address("?device=cpu"));
  await reader.field("Max tokens").fill("300");
  await reader.generate.click();
  await expect(page.getByRole("alert")).toContainText("The engine stopped because of an internal error");
  await expect(page.getByRole("alert")).toContainText("Load it again");
  await expect(page.getByRole("button", { name: "Load again" })).toBeVisible();
});
