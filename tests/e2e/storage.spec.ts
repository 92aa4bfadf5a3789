/** The model's file on this device: kept, read again, checked, replaced and deleted. */
import { statSync } from "node:fs";
import type { Page } from "@playwright/test";
import { chatModel } from "./environment";
import { MODEL_OUT_OF_REACH, NO_STORAGE, storageEndsAfter, storageHas } from "./faults";
import { expect, test } from "./fixtures";

/** Asked where a file lies on this device, to see whether it is still the one that the server has. */
const PROBE = "bytes=0-63";

/** The page's files on this device, by name, with their sizes. */
async function stored(page: Page): Promise<Record<string, number>> {
  return await page.evaluate(async () => {
    const found: Record<string, number> = {};
    const look = async (folder: FileSystemDirectoryHandle): Promise<void> => {
      for await (const handle of folder.values()) {
        if (handle.kind === "directory") await look(handle);
        else found[handle.name] = (await handle.getFile()).size;
      }
    };
    await look(await navigator.storage.getDirectory());
    return found;
  });
}

/** Change the model's file on this device: one byte, or its length. */
async function damage(page: Page, how: { flip: number } | { truncate: number }): Promise<void> {
  await page.evaluate(async change => {
    const look = async (folder: FileSystemDirectoryHandle): Promise<void> => {
      for await (const handle of folder.values()) {
        if (handle.kind === "directory") await look(handle);
        else if (!handle.name.endsWith(".sha256")) {
          const file = await handle.getFile();
          const writable = await handle.createWritable({ keepExistingData: true });
          if ("truncate" in change) {
            await writable.truncate(change.truncate);
          } else {
            const byte = new Uint8Array(await file.slice(change.flip, change.flip + 1).arrayBuffer());
            await writable.write({ type: "write", position: change.flip, data: byte.map(each => each ^ 1) });
          }
          await writable.close();
        }
      }
    };
    await look(await navigator.storage.getDirectory());
  }, how);
}

for (const device of ["cpu", "gpu"] as const) {
  test(`the second visit downloads nothing, ${device}`, async ({ site, reader, page }) => {
    await reader.open(site.address(`?device=${device}`));
    await expect(reader.storage).toContainText("stored on this device");
    const { size } = statSync(site.model_file);
    expect(Object.values(await stored(page)).sort()).toEqual([size, 64].sort());
    expect(site.ranges).toEqual([]);
    await reader.field("Seed").fill("3");
    const first = await reader.write();

    await reader.open(site.address(`?device=${device}`));
    await expect(reader.storage).toContainText("stored on this device");
    expect(site.ranges).toEqual([PROBE]);
    expect(site.requests.filter(path => path.endsWith("model.bin"))).toHaveLength(2);
    await expect(page.getByText("SHA-256 is the same")).toHaveCount(0);
    await page.getByText("How this model was made").click();
    await expect(page.getByText(/SHA-256 is the same/)).toBeVisible();
    await reader.field("Seed").fill("3");
    expect(await reader.write()).toBe(first);
  });
}

test("without the server the model runs from this device", async ({ site, reader }) => {
  await reader.open(site.address("?device=cpu"));
  site.inject(MODEL_OUT_OF_REACH);
  await reader.open(site.address("?device=cpu"));
  expect(await reader.write()).not.toBe("");
});

for (const [about, how] of [
  ["a weight has changed", { flip: 200_000 }],
  ["its beginning has changed", { flip: 100 }],
  ["it was cut short", { truncate: 100_000 }],
] as const) {
  test(`a file on this device is fetched again where ${about}`, async ({ site, reader, page }) => {
    await reader.open(site.address("?device=cpu"));
    await damage(page, how);
    await reader.open(site.address("?device=cpu"));
    await expect(reader.storage).toContainText("stored on this device");
    await expect(page.getByRole("alert")).toHaveCount(0);
    expect(site.requests.filter(path => path.endsWith("model.bin")).length).toBeGreaterThanOrEqual(3);
    expect(Object.values(await stored(page))).toContain(statSync(site.model_file).size);
  });
}

for (const [about, fault, words] of [
  ["the room ends in the middle", storageEndsAfter(100_000), "too little room"],
  ["too little room is left", storageHas(100_000), "too little room"],
  ["the browser grants none", NO_STORAGE, "lets the page store no files"],
] as const) {
  test(`without storage the model runs all the same: ${about}`, async ({ site, reader, page }) => {
    site.inject(fault);
    await reader.open(site.address("?device=cpu"));
    await expect(reader.storage).toContainText(words);
    await expect(reader.storage).toContainText("the next visit downloads it again");
    await expect(reader.storage.getByRole("button")).toHaveCount(0);
    expect(Object.keys(await stored(page))).toEqual([]);
    expect(await reader.write()).not.toBe("");
  });
}

test("the reader deletes it: what runs goes on, and the next visit downloads it", async ({ site, reader, page }) => {
  await reader.open(site.address("?device=cpu"));
  await reader.storage.getByRole("button", { name: "Delete" }).click();
  await expect(reader.storage).toContainText("You deleted it");
  expect(await stored(page)).toEqual({});
  expect(await reader.write()).not.toBe("");
  await reader.open(site.address("?device=cpu"));
  await expect(reader.storage).toContainText("stored on this device");
  expect(site.ranges).toEqual([]);
});

test("a new model takes the place of the old one", async ({ site, reader, page }) => {
  await reader.open(site.address("?device=cpu"));
  const old = Object.keys(await stored(page));
  site.model = { kind: "file", path: chatModel() };
  await page.goto(site.address("?device=cpu"));
  await expect(reader.storage).toContainText("stored on this device");
  const now = await stored(page);
  expect(Object.keys(now).filter(name => old.includes(name))).toEqual([]);
  expect(Object.values(now).sort()).toEqual([64, statSync(chatModel()).size].sort());
});
