/** Two models side by side, as a compare.json beside the page names them: one prompt, one seed, the same settings. */
import type { Locator, Page } from "@playwright/test";
import { violations } from "./axe";
import { chatModel } from "./environment";
import { stepWaits } from "./faults";
import { expect, type Reader, test } from "./fixtures";
import type { Site } from "./site";

const HEADER = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; object-src 'none'; base-uri 'none'";

function put(site: Site, second = site.model_file): void {
  const side = (name: string, letter: string, lr: string) => ({
    name,
    key: `${letter}50969e10a77`,
    url: `models/${letter}.bin`,
    parameters: [["train.lr", lr]],
    metrics: [["val_bpb", "3.175"]],
  });
  const models = [side("lr-1", "a", "0.005"), side("lr-2", "b", "0.01")];
  site.beside.set("compare.json", { text: JSON.stringify({ format: 1, models, also: "" }) });
  site.beside.set("models/a.bin", { path: site.model_file });
  site.beside.set("models/b.bin", { path: second });
}

function sides(page: Page): Locator[] {
  return ["lr-1", "lr-2"].map(name => page.getByRole("region", { name: new RegExp(`^${name}`) }));
}

async function texts(page: Page): Promise<(string | null)[]> {
  return await Promise.all(sides(page).map(side => side.locator(".output-text").textContent()));
}

async function settings(reader: Reader, max_tokens: string): Promise<void> {
  await reader.prompt.fill("PROSPERO:\n");
  await reader.field("Seed").fill("7");
  await reader.field("Max tokens").fill(max_tokens);
}

for (const device of ["cpu", "gpu"]) {
  test(`both write what each writes alone, on the ${device}`, async ({ site, reader, page, complaints }) => {
    site.headers = { "content-security-policy": HEADER };
    await reader.open(site.address(`?device=${device}`));
    await settings(reader, "20");
    const alone = await reader.write();
    expect(site.requests.filter(path => /compare|Compare|live/i.test(path))).toEqual([]);

    put(site);
    await reader.open(site.address(`?compare&device=${device}`));
    for (const [at, side] of sides(page).entries()) {
      await expect(side).toContainText(at === 0 ? "0.005" : "0.01");
      await expect(side).toContainText("val_bpb 3.175");
    }
    await settings(reader, "20");
    await reader.generate.click();
    await expect(reader.stop).toBeDisabled();
    await expect.poll(() => texts(page)).toEqual([alone, alone]);
    for (const side of sides(page)) await expect(side.locator(".figures")).toContainText("reached the limit");
    await expect(page.getByRole("status", { name: "Announcement" })).toContainText(/lr-1: .*lr-2: /s);
    expect(complaints).toEqual([]);
  });
}

test("Stop stops both, and a new seed is the same for both", async ({ site, reader, page }) => {
  site.inject(stepWaits(5));
  put(site);
  await reader.open(site.address("?compare&device=cpu"));
  await settings(reader, "100000");
  await reader.prompt.press("Control+Enter");
  await site.gateReached();
  await expect(reader.stop).toBeEnabled();
  await page.keyboard.press("Escape");
  await expect(reader.stop).toBeDisabled();
  for (const side of sides(page)) await expect(side.locator(".figures")).toContainText("stopped");
  site.openGate();
  await reader.field("Max tokens").fill("9");
  await page.getByRole("button", { name: "Regenerate" }).click();
  await expect(reader.stop).toBeDisabled();
  await expect(reader.field("Seed")).not.toHaveValue("7");
  await expect.poll(async () => new Set(await texts(page)).size).toBe(1);
  expect((await texts(page))[0]).not.toBe("");
});

test("one that cannot be loaded says so, and the other writes", async ({ site, reader, page }) => {
  put(site);
  site.beside.delete("models/b.bin");
  await reader.open(site.address("?compare&device=cpu"));
  const [first, second] = sides(page);
  await expect(second?.getByRole("alert") as Locator).toContainText("could not be downloaded");
  await settings(reader, "5");
  await reader.generate.click();
  await expect(reader.stop).toBeDisabled();
  await expect(first?.locator(".output-text") as Locator).not.toHaveText("");
  put(site);
  await page.getByRole("button", { name: "Try again" }).click();
  await expect(page.getByRole("alert")).toHaveCount(0);
});

test("a model with a chat template answers", async ({ site, reader, page }) => {
  put(site, chatModel());
  await reader.open(site.address("?compare&device=cpu"));
  await settings(reader, "6");
  await expect(sides(page)[1] as Locator).toContainText("answers as in a chat");
  await reader.generate.click();
  await expect(reader.stop).toBeDisabled();
  await expect.poll(async () => (await texts(page)).includes("")).toBe(false);
});

test("without a compare.json the page says what puts one there", async ({ site, page }) => {
  await page.goto(site.address("?compare"));
  await expect(page.getByRole("alert")).toContainText("./doitw preview --compare A B");
});

for (const viewport of [
  { width: 1280, height: 900 },
  { width: 360, height: 740 },
]) {
  test(`axe finds nothing and nothing is cut off, ${viewport.width} pixels wide`, async ({ site, reader, page }) => {
    await page.setViewportSize(viewport);
    await page.emulateMedia({ reducedMotion: "reduce" });
    put(site);
    site.beside.set("compare.json", {
      text: JSON.stringify({
        models: ["a", "b"].map(letter => ({
          name: `${letter}-${"long".repeat(20)}`,
          key: letter,
          url: `models/${letter}.bin`,
          parameters: Array.from({ length: 9 }, (_, at) => [`section.parameter_${at}`, "file:".repeat(at * 3)]),
        })),
        also: "They were also made from other versions of training/model/llama.py and 3 more.",
      }),
    });
    await reader.open(site.address("?compare&device=cpu"));
    await page.getByText("Advanced").click();
    await reader.field("Max tokens").fill("9");
    await reader.generate.click();
    await expect(reader.stop).toBeDisabled();
    expect(await violations(page)).toEqual([]);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(overflow, "pixels wider than the screen").toBeLessThanOrEqual(0);
    const [first, second] = await Promise.all((await page.locator(".side").all()).map(side => side.boundingBox()));
    if (!first || !second) throw new Error("a side is not to be seen");
    if (viewport.width > 1000) expect(second.x).toBeGreaterThanOrEqual(first.x + first.width);
    else expect(second.y).toBeGreaterThanOrEqual(first.y + first.height);
  });
}
