/** What the first load costs, and what happens to the page while a text grows: counted, not timed. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Page } from "@playwright/test";
import { bundle, chatModel } from "./environment";
import { stepWaits } from "./faults";
import { expect, type Reader, test } from "./fixtures";
import type { Site } from "./site";

/** Of the page's own scripts, the worker's among them, at the first load. */
const MOST_SCRIPT_BYTES = 140_000;

test("the scripts of a first load stay below their bound, and what is opened later comes later", async ({
  site,
  reader,
  page,
}) => {
  await reader.open(site.address("?device=cpu"));
  const below = new URL(site.address()).pathname;
  const scripts = new Set(site.requests.filter(path => path.endsWith(".js")));
  const sizes = [...scripts].map(path =>
    gzipSync(readFileSync(join(bundle(), path.slice(below.length))), { level: 9 }),
  );
  const total = sizes.reduce((sum, { length }) => sum + length, 0);
  process.stdout.write(`scripts of a first load: ${total} bytes compressed, in ${scripts.size} files\n`);
  expect(total).toBeGreaterThan(50_000);
  expect(total).toBeLessThanOrEqual(MOST_SCRIPT_BYTES);
  await page.getByText("Check and measure").click();
  await expect(page.getByRole("button", { name: "Check the numbers" })).toBeVisible();
  expect(new Set(site.requests.filter(path => path.endsWith(".js"))).size).toBeGreaterThan(scripts.size);
});

test("the page is painted, and takes a prompt, before anything of the model has come", async ({
  site,
  reader,
  page,
}) => {
  await page.route(/\.bin$|\.wasm$/, () => undefined); // never answered
  await page.goto(site.address("?device=cpu"));
  const paints = () => page.evaluate(() => performance.getEntriesByName("first-contentful-paint").length);
  await expect.poll(paints).toBe(1);
  await reader.prompt.fill("To be");
  await expect(reader.prompt).toHaveValue("To be");
  await expect(page.getByRole("progressbar", { name: "Loading" })).toBeVisible();
});

/** What happens to the document's nodes from now on: spans of tokens that came, and everything else. */
async function watchNodes(page: Page, within: string): Promise<void> {
  await page.evaluate(selector => {
    const seen = { tokens: 0, removed: 0, changed: 0 };
    Reflect.set(globalThis, "seen", seen);
    const output = document.querySelector(selector);
    if (output === null) throw new Error(`no ${selector}`);
    new MutationObserver(records => {
      for (const { type, addedNodes, removedNodes, target } of records) {
        if (type !== "childList") {
          seen.changed += target === output ? 0 : 1;
          continue;
        }
        seen.removed += removedNodes.length;
        for (const node of addedNodes) {
          if (!(node instanceof Element)) continue;
          seen.tokens += node.matches(".token") ? 1 : node.querySelectorAll(".token").length;
        }
      }
    }).observe(output, { subtree: true, childList: true, characterData: true, attributes: true });
  }, within);
}

const seen = (page: Page) => page.evaluate(() => Reflect.get(globalThis, "seen"));

for (const shades of [false, true]) {
  test(`4,000 tokens are each put into the page once, and none is touched again${shades ? ", shaded" : ""}`, async ({
    site,
    reader,
    page,
  }) => {
    await reader.open(site.address("?device=cpu"));
    if (shades) await page.getByLabel("Show surprise").check();
    // Greedy text runs in circles, so it does not end by itself.
    await reader.field("Temperature").fill("0");
    await reader.field("Max tokens").fill("4000");
    await watchNodes(page, ".output-text");
    await reader.write();
    await expect(reader.output.locator(".token")).toHaveCount(4000);
    expect(await seen(page)).toEqual({ tokens: 4000, removed: 0, changed: 0 });
    // A change is seen where there is one: a token that is looked at is marked.
    await reader.lookAt(0);
    await expect.poll(async () => (await seen(page)).changed).toBeGreaterThan(0);
  });
}

/** Where on the page stands what a reader looks at, and types into. */
async function places(page: Page, names: readonly string[]): Promise<Record<string, unknown>> {
  return await page.evaluate(all => {
    const placeOf = (name: string) => {
      const { x, y, width } = document.querySelector(name)?.getBoundingClientRect() ?? new DOMRect();
      return { x: x + scrollX, y: y + scrollY, width };
    };
    return Object.fromEntries(all.map(name => [name, placeOf(name)]));
  }, names);
}

const ABOVE = ["h1", "#prompt", ".actions", ".switches", ".output-text > :first-child"];

/** Count how far what is in sight moves from now on by itself: not within half a second of what the reader does, as browsers count. */
async function watchShifts(page: Page): Promise<() => Promise<number>> {
  await page.evaluate(() => {
    const shifted = { score: 0 };
    Reflect.set(globalThis, "shifted", shifted);
    new PerformanceObserver(list => {
      for (const entry of list.getEntries()) {
        if (!Reflect.get(entry, "hadRecentInput")) shifted.score += Reflect.get(entry, "value");
      }
    }).observe({ type: "layout-shift" });
  });
  return () => page.evaluate(() => Reflect.get(globalThis, "shifted").score);
}

/** How far things move while an answer is written that is longer than the window. */
async function shiftOfAnswer(site: Site, reader: Reader, viewport: { width: number; height: number }): Promise<number> {
  const { page } = reader;
  await page.setViewportSize(viewport);
  site.model = { kind: "file", path: chatModel() };
  site.inject(stepWaits(5));
  await reader.openChat(site.address("?device=cpu"));
  await reader.field("Temperature").fill("0");
  await reader.field("Max tokens").fill("900");
  const { said } = reader;
  await page.evaluate(() => scrollTo(0, 0)); // back from the settings, which a phone has further down
  const shifts = await watchShifts(page);
  await reader.ask("Who are you?");
  await site.gateReached();
  // What moves because of the question is over, and would not be counted.
  await page.evaluate(() => new Promise(resolve => setTimeout(resolve, 600)));
  site.openGate();
  await expect(said).toHaveCount(2);
  await expect(page.getByRole("button", { name: "Edit: message 1" })).toBeEnabled();
  expect((await said.nth(1).boundingBox())?.height).toBeGreaterThan(viewport.height);
  return await shifts();
}

for (const viewport of [
  { width: 1280, height: 900 },
  { width: 390, height: 844 },
]) {
  test(`nothing shifts while an answer is written, ${viewport.width} pixels wide`, async ({ site, reader }) => {
    expect(await shiftOfAnswer(site, reader, viewport)).toBeLessThan(0.01);
    await expect(reader.message).toBeInViewport();
  });
}

test("a field that the answer pushes away is found out", async ({ site, reader }) => {
  const file = /^assets\/.*\.css$/;
  const to = (content: Buffer) => ({
    content: Buffer.from(content.toString().replaceAll(/position:\s*sticky|min-height:\s*calc\(100dvh - 18rem\)/g, "")),
  });
  site.changes.push({ file, to });
  expect(await shiftOfAnswer(site, reader, { width: 1280, height: 900 })).toBeGreaterThan(0.01);
});

/** All far below what counts as good, 0.1: what stands beneath the text gives way by a line at a time. */
for (const [viewport, names, most] of [
  [{ width: 1280, height: 900 }, [...ABOVE, ".sampling", "aside"], 0.001],
  // On a phone the figures below the text are in sight, and what is set stands further down.
  [{ width: 390, height: 844 }, ABOVE, 0.05],
] as const) {
  test(`nothing shifts while a text is written, ${viewport.width} pixels wide`, async ({ site, reader, page }) => {
    await page.setViewportSize(viewport);
    site.inject(stepWaits(5));
    await reader.open(site.address("?device=cpu"));
    await reader.field("Temperature").fill("0");
    await reader.field("Max tokens").fill("300");
    const shifts = await watchShifts(page);
    await reader.generate.click();
    await site.gateReached();
    await expect(reader.output).not.toHaveText("");
    const before = await places(page, names);
    expect(Object.values(before)).not.toContainEqual({ x: 0, y: 0, width: 0 });
    site.openGate();
    await expect(reader.stop).toBeDisabled();
    expect(await places(page, names)).toEqual(before);
    expect(await shifts()).toBeLessThan(most);
  });
}
