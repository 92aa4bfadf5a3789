/** GGUF files: what they write is what the model.bin writes that they were made from; and what is not supported is said to be so. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import type * as pocketlm from "pocketlm";
import { ggufModels, npmPackage, realGguf } from "./environment";
import { chooseOwn, expect, type Reader, test } from "./fixtures";
import { Host } from "./host";
import type { Site } from "./site";

const KINDS = ["f32", "f16", "q8_0", "q4_0", "q4_k_m"] as const;
const made = (name: string) => join(ggufModels(), name);
const models = (page: Page) => page.getByRole("region", { name: "Models" });

/** Run a file of one's own, and wait until it can write. */
async function choose(page: Page, reader: Reader, name: string): Promise<void> {
  await models(page).locator("input[type=file]").setInputFiles(made(name));
  await expect(models(page).getByRole("radio", { name: new RegExp(`^${name}`) })).toBeChecked();
  await expect(reader.generate).toBeEnabled();
}

// To the engine a GGUF is the model.bin of the same weights, whatever it runs on: one of them on the slow software adapter.
for (const [device, dtypes] of [
  ["cpu", ["f32", "q8_0", "q4_k_m"]],
  ["gpu", ["q4_k_m"]],
] as const) {
  for (const dtype of dtypes) {
    test(`a GGUF in ${dtype} writes what its model.bin writes, ${device}`, async ({
      site,
      reader,
      page,
      complaints,
    }) => {
      await reader.open(site.address(`?device=${device}`));
      const texts: string[] = [];
      for (const name of [`${dtype}.bin`, `${dtype}.gguf`]) {
        await choose(page, reader, name);
        await reader.prompt.fill("PROSPERO:\n"); // a GGUF brings no example, and the address has the last one after a while
        await reader.field("Temperature").fill("0");
        await reader.field("Max tokens").fill("60");
        texts.push(await reader.write());
      }
      expect(texts[0]?.length).toBeGreaterThan(20);
      expect(texts[1]).toBe(texts[0]);
      const digest = createHash("sha256")
        .update(readFileSync(made(`${dtype}.gguf`)))
        .digest("hex");
      await expect(page.getByRole("region", { name: "About this model" })).toContainText(digest);
      await expect(reader.storage).toContainText("read from your own file");
      expect(complaints).toEqual([]);
    });
  }
}

test("one with a template is a chat", async ({ site, reader, page }) => {
  await reader.open(site.address("?device=cpu"));
  await models(page).locator("input[type=file]").setInputFiles(made("f16.gguf"));
  await expect(page.getByRole("textbox", { name: "Message" })).toBeEnabled();
});

/** Offer `blocks`, a GGUF, beside the bundle's model. */
function offer(site: Site, blocks: { path: string } | { file: string }): void {
  site.beside.set("models/blocks.gguf", blocks);
  const entry = { name: "blocks", path: "blocks.gguf", size_bytes: 1, parameters: 1, chat: false };
  const index = Buffer.from(JSON.stringify({ models: [{ name: "plays", path: "../model.bin" }, entry] }));
  site.changes.push({ file: /models\/index\.json$/, to: () => ({ content: index, type: "application/json" }) });
}

test("one that the index offers is stored, and read from there, until it is deleted", async ({
  site,
  reader,
  page,
  complaints,
}) => {
  offer(site, { file: made("q8_0.gguf") });
  const requests = () => site.requests.filter(path => path.endsWith("blocks.gguf")).length;
  await reader.open(site.address("?device=cpu&model=blocks"));
  await expect(reader.storage).toContainText("stored on this device");
  expect(site.ranges).toEqual(["bytes=0-63"]);
  expect(requests()).toBe(2);
  await reader.field("Seed").fill("3");
  const first = await reader.write();

  await reader.open(site.address("?device=cpu&model=blocks"));
  await expect(reader.storage).toContainText("stored on this device");
  expect(site.ranges).toEqual(["bytes=0-63", "bytes=0-63"]);
  expect(requests()).toBe(3);
  await reader.field("Seed").fill("3");
  expect(await reader.write()).toBe(first);

  await reader.storage.getByRole("button", { name: "Delete" }).click();
  await expect(reader.storage).toContainText("You deleted it");
  await page.reload();
  await expect(reader.storage).toContainText("stored on this device");
  expect(requests()).toBe(5);
  expect(complaints).toEqual([]);
});

test("one whose server does not tell versions apart runs all the same", async ({ site, reader, page, complaints }) => {
  offer(site, { path: made("q8_0.gguf") });
  await reader.open(site.address("?device=cpu"));
  await models(page)
    .getByRole("radio", { name: /^blocks/ })
    .check();
  await expect(reader.storage).toContainText("does not say which version");
  expect(await reader.write()).not.toBe("");
  expect(complaints).toEqual([]);
});

/** With other bytes in the place of `from`, which stands there once. */
function changed(bytes: Buffer, from: string, to: string): Buffer {
  const at = bytes.indexOf(from);
  if (at < 0 || from.length !== to.length) throw new Error(`${from} is not there`);
  return Buffer.concat([bytes.subarray(0, at), Buffer.from(to), bytes.subarray(at + from.length)]);
}

const UNSUPPORTED = "This kind of model does not run here";
const DAMAGED = "The model file is damaged, or is no model";
for (const [what, change, title, message] of [
  [
    "of another family",
    (bytes: Buffer) => changed(bytes, "llama", "gemma"),
    UNSUPPORTED,
    'is "gemma", expected llama, qwen2, qwen3',
  ],
  ["that is cut short", (bytes: Buffer) => bytes.subarray(0, bytes.length >> 1), DAMAGED, "ends at"],
  ["that is cut in its metadata", (bytes: Buffer) => bytes.subarray(0, 1000), DAMAGED, "This GGUF file cannot be read"],
] as const) {
  test(`one ${what} is refused in words`, async ({ site, reader, page }) => {
    await reader.open(site.address("?device=cpu"));
    const buffer = change(readFileSync(made("f32.gguf")));
    const file = { name: "own.gguf", mimeType: "application/octet-stream", buffer };
    await models(page).locator("input[type=file]").setInputFiles(file);
    await expect(page.getByRole("alert")).toContainText(message);
    // What else may do is said of one that is sound.
    await expect(page.getByRole("alert").getByRole("heading")).toHaveText(title);
    const advice = page.getByRole("alert").getByText("./doitw export");
    await expect(advice).toHaveCount(title === UNSUPPORTED ? 1 : 0);
    await chooseOwn(page);
    await expect(reader.generate).toBeEnabled();
  });
}

test("in the package the logits are those of the model.bin, bit for bit", async ({ page, complaints }) => {
  const files = KINDS.flatMap(dtype => [`${dtype}.bin`, `${dtype}.gguf`]);
  const host = new Host({
    "/index.html": { text: "<!doctype html><title>Another page</title>" },
    "/pocketlm": { path: npmPackage() },
    ...Object.fromEntries(files.map(name => [`/${name}`, { path: made(name) }])),
  });
  await host.start();
  try {
    await page.goto(host.address);
    const told = await page.evaluate(async dtypes => {
      const { loadModel }: typeof pocketlm = await import(new URL("pocketlm/index.js", document.baseURI).href);
      const ids = [0, 5, 9, 7, 100, 33, 2, 250];
      const from = async (source: string | Blob) => {
        const model = await loadModel(source, { device: "cpu" });
        const logits = await model.logits(ids);
        const { is_sound, largest_difference } = await model.check();
        model.dispose();
        return { logits: Array.from(logits), is_sound, largest_difference };
      };
      const file = async (name: string) => new File([await (await fetch(name)).blob()], name);
      return await Promise.all(
        dtypes.map(async dtype => ({
          dtype,
          bin: await from(`${dtype}.bin`),
          url: await from(`${dtype}.gguf`),
          file: await from(await file(`${dtype}.gguf`)),
        })),
      );
    }, KINDS);
    for (const { dtype, bin, url, file } of told) {
      expect(new Set(bin.logits).size, dtype).toBeGreaterThan(100);
      expect(url, dtype).toEqual(file);
      expect(file.logits, dtype).toEqual(bin.logits);
      expect(file.is_sound, dtype).toBe(true);
    }
  } finally {
    await host.stop();
  }
  expect(complaints).toEqual([]);
});

test("a real one answers a question", async ({ site, reader, page }) => {
  const real = realGguf();
  test.skip(real === null, "E2E_SMOLLM2_GGUF: model.gguf of the preset smollm2, for `doit test --slow`");
  await reader.open(site.address("?device=cpu"));
  await models(page)
    .locator("input[type=file]")
    .setInputFiles(real ?? []);
  await expect(page.getByRole("textbox", { name: "Message" })).toBeEnabled();
  await reader.field("Temperature").fill("0");
  await reader.ask("What is the capital of France?");
  await expect(page.getByRole("region", { name: "Conversation" })).toContainText("The capital of France is Paris.");
});
