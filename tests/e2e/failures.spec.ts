/** Model files that are missing, broken or cut off: each is named, with advice, and the page can try again. */
import { readFileSync } from "node:fs";
import { expect, test } from "./fixtures";

test("a missing model file", async ({ site, reader, page }) => {
  site.model = { kind: "missing" };
  await page.goto(site.address());
  await expect(page.getByRole("alert")).toContainText("The model could not be fetched");
  await expect(page.getByRole("alert")).toContainText("404");
  await expect(page.getByRole("alert")).toContainText("Put model.bin beside index.html");
  await expect(reader.engine).toHaveText("Not running");
  await expect(reader.generate).toBeDisabled();

  site.model = { kind: "as it is" };
  await page.getByRole("button", { name: "Load again" }).click();
  await expect(reader.generate).toBeEnabled();
  await expect(page.getByRole("alert")).toHaveCount(0);
});

test("a weight that was changed", async ({ site, page }) => {
  const bytes = new Uint8Array(readFileSync(site.model_file));
  const middle = Math.floor(bytes.length / 2);
  bytes[middle] = (bytes[middle] ?? 0) ^ 1;
  site.model = { kind: "bytes", bytes };
  await page.goto(site.address());
  await expect(page.getByRole("alert")).toContainText("The model file is not sound");
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

test("a connection that breaks", async ({ site, page }) => {
  site.model = { kind: "cut off", after_bytes: 65_536 };
  await page.goto(site.address());
  await expect(page.getByRole("alert")).toContainText("The model could not be fetched");
  await expect(page.getByRole("alert")).toContainText("Check the connection");
});
