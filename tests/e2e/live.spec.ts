/** A page over a model or an engine that is renewed, as the live.json beside it says: between two texts, and nothing is lost. */
import type { Page } from "@playwright/test";
import { violations } from "./axe";
import { hostileModel } from "./environment";
import { stepWaits } from "./faults";
import { expect, type Reader, test } from "./fixtures";
import type { Site } from "./site";

function tell(site: Site, told: { model?: string; worker?: string; says: string; error?: string }): void {
  site.beside.set("live.json", { text: JSON.stringify({ figures: [["loss at step 5", "3.2 nats"]], ...told }) });
}

function digest(page: Page) {
  return page.getByRole("region", { name: "About this model" }).getByText(/^[0-9a-f]{64}$/);
}

async function open(site: Site, reader: Reader): Promise<void> {
  site.beside.set("models/live.bin", { path: site.model_file });
  tell(site, { model: "models/live.bin?1", says: "A training runs: its newest checkpoint is of step 5 of 9." });
  await reader.open(site.address("?live&device=cpu"));
}

test("it waits for a model, and says why", async ({ site, reader, page, complaints }) => {
  tell(site, { says: "A training runs; it has no checkpoint yet." });
  await page.goto(site.address("?live&device=cpu"));
  await expect(page.getByRole("status", { name: "News" })).toHaveText("A training runs; it has no checkpoint yet.");
  await expect(reader.generate).toHaveCount(0);
  site.beside.set("models/live.bin", { path: site.model_file });
  tell(site, { model: "models/live.bin?1", says: "The first checkpoint." });
  await expect(reader.generate).toBeEnabled();
  await expect(page.getByRole("region", { name: "Live" })).toContainText("loss at step 5: 3.2 nats");
  expect(complaints).toEqual([]);
});

test("a new model waits for the text that is written; prompt, text and settings stay", async ({
  site,
  reader,
  page,
  complaints,
}) => {
  site.inject(stepWaits(5));
  await open(site, reader);
  await reader.prompt.fill("What I have written");
  await reader.field("Seed").fill("11");
  await reader.field("Max tokens").fill("30");
  const before = await digest(page).textContent();
  await reader.generate.click();
  await site.gateReached();
  site.changes = [];
  site.beside.set("models/live.bin", { path: hostileModel() });
  const asked = () => site.requests.filter(path => path.endsWith("models/live.bin")).length;
  const until = asked();
  tell(site, { model: "models/live.bin?2", says: "Step 9 of 9." });
  await expect(page.getByRole("status", { name: "News" })).toHaveText("Step 9 of 9.");
  await expect.poll(asked).toBeGreaterThan(until);
  await expect(digest(page)).toHaveText(before ?? "");
  await expect(reader.stop).toBeEnabled();
  site.openGate();
  await expect(digest(page)).not.toHaveText(before ?? "");
  // It came to its end: what is seen of it is all that was asked for.
  await expect(page.locator(".figures")).toContainText("reached the limit");
  await expect(reader.prompt).toHaveValue("What I have written");
  await expect(reader.field("Seed")).toHaveValue("11");
  expect(await reader.text()).not.toBe("");
  expect(complaints).toEqual([]);
});

test("the text, its figures and what is set outlive the model that wrote it", async ({ site, reader, page }) => {
  await open(site, reader);
  await reader.prompt.fill("What I have written");
  await reader.field("Seed").fill("11");
  await reader.field("Max tokens").fill("6");
  const text = await reader.write();
  const before = await digest(page).textContent();
  site.beside.set("models/live.bin", { path: hostileModel() });
  tell(site, { model: "models/live.bin?2", says: "Step 9 of 9." });
  await expect(digest(page)).not.toHaveText(before ?? "");
  await expect(reader.generate).toBeEnabled();
  await expect(reader.prompt).toHaveValue("What I have written");
  expect(await reader.text()).toBe(text);
  await expect(page.locator(".figures")).toContainText("reached the limit");
  await expect(reader.field("Seed")).toHaveValue("11");
});

test("another engine takes the place of the one that runs", async ({ site, reader, complaints }) => {
  await open(site, reader);
  await reader.prompt.fill("What I have written");
  const worker = site.asset(/^worker-.*\.js$/);
  const asked = () => site.requests.filter(path => path.endsWith(`/${worker}`)).length;
  const until = asked();
  tell(site, { model: "models/live.bin?1", worker, says: "Up to date." });
  await expect.poll(asked).toBeGreaterThan(until);
  await expect(reader.prompt).toHaveValue("What I have written");
  await reader.field("Max tokens").fill("6");
  expect(await reader.write()).not.toBe("");
  expect(complaints).toEqual([]);
});

test("one that does not run leaves the one before, and the next is tried", async ({ site, reader, page }) => {
  await open(site, reader);
  site.beside.set("models/live.bin", { bytes: new Uint8Array(100) });
  tell(site, { model: "models/live.bin?2", says: "So.", error: "stage wasm ended with status 101" });
  await expect(page.getByRole("status", { name: "Not renewed" })).toContainText("keeps the one before");
  await expect(page.getByRole("alert")).toContainText("stage wasm ended with status 101");
  await reader.field("Max tokens").fill("6");
  expect(await reader.write()).not.toBe("");
  expect(await violations(page)).toEqual([]);
  site.beside.set("models/live.bin", { path: site.model_file });
  tell(site, { model: "models/live.bin?3", says: "So." });
  await expect(page.getByRole("status", { name: "Not renewed" })).toHaveCount(0);
  await expect(page.getByRole("alert")).toHaveCount(0);
});

test("a server that is away is noticed, and so is its return", async ({ site, reader, page }) => {
  await open(site, reader);
  site.beside.delete("live.json");
  await expect(page.getByText("does not answer")).toBeVisible();
  await reader.field("Max tokens").fill("6");
  expect(await reader.write()).not.toBe("");
  tell(site, { model: "models/live.bin?1", says: "There again." });
  await expect(page.getByText("does not answer")).toHaveCount(0);
});

test("it fits a phone, and axe finds nothing", async ({ site, reader, page }) => {
  await page.setViewportSize({ width: 360, height: 740 });
  await page.emulateMedia({ reducedMotion: "reduce" });
  await open(site, reader);
  expect(await violations(page)).toEqual([]);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(overflow, "pixels wider than the screen").toBeLessThanOrEqual(0);
});
