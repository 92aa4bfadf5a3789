/** Which model runs: those of the index, a file of one's own; and the page without a network. */
import { readFileSync } from "node:fs";
import type { Page } from "@playwright/test";
import { chatModel, preset } from "./environment";
import { chooseOwn, expect, test } from "./fixtures";
import type { Site } from "./site";

const models = (page: Page) => page.getByRole("region", { name: "Models" });

/** Offer the bundle's model twice, by two names and two addresses. */
function offerTwo(site: Site): void {
  const entries = [
    { name: "plays", path: "../model.bin", size_bytes: 390_656, parameters: 94_740, chat: false },
    { name: "other plays", path: "../model.bin?other", size_bytes: 390_656, parameters: 94_740, chat: true },
  ];
  const index = Buffer.from(JSON.stringify({ models: entries }));
  site.changes.push({ file: /models\/index\.json$/, to: () => ({ content: index, type: "application/json" }) });
}

/** Drop a file onto the page, as the browser reports one that is dragged in. */
async function drop(page: Page, name: string, bytes: Buffer): Promise<void> {
  const report = (type: "dragover" | "drop") =>
    page.evaluate(
      ([what, file, base64]) => {
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([Uint8Array.from(atob(base64), each => each.charCodeAt(0))], file));
        document.body.dispatchEvent(new DragEvent(what, { dataTransfer, bubbles: true, cancelable: true }));
      },
      [type, name, bytes.toString("base64")] as const,
    );
  await report("dragover");
  await expect(page.getByText("Drop a model.bin or a GGUF file here to run it")).toBeVisible();
  await report("drop");
  await expect(page.getByText("Drop a model.bin or a GGUF file here to run it")).toBeHidden();
}

test("it can be installed: the browser finds nothing amiss with the manifest", async ({ site, reader, page }) => {
  await reader.open(site.address("?device=cpu"));
  const session = await page.context().newCDPSession(page);
  const { errors, data } = await session.send("Page.getAppManifest");
  expect(errors).toEqual([]);
  expect(JSON.parse(data ?? "")).toMatchObject({ name: "PocketLM", display: "standalone" });
  const { installabilityErrors } = await session.send("Page.getInstallabilityErrors");
  // A browser without a window of its own says so; nothing else may stand in the way.
  expect(installabilityErrors.map(({ errorId }) => errorId).filter(id => id !== "in-incognito")).toEqual([]);
});

test("the bundle names its own model, and offers no choice of one", async ({ site, reader, page, complaints }) => {
  await reader.open(site.address("?device=cpu"));
  const index = await page.evaluate(async () => await (await fetch("models/index.json")).json());
  expect(index).toEqual({
    models: [
      {
        name: preset(),
        path: "../model.bin",
        size_bytes: expect.any(Number),
        parameters: expect.any(Number),
        chat: false,
      },
    ],
  });
  await expect(models(page).getByRole("radio")).toHaveCount(0);
  await expect(models(page).getByRole("button", { name: "Open a model file…" })).toBeVisible();
  expect(complaints).toEqual([]);
});

test("another model of the index is loaded, and the address names it", async ({ site, reader, page }) => {
  offerTwo(site);
  await reader.open(site.address("?device=cpu"));
  await expect(
    models(page).getByRole("radio", { name: /^plays 391 kB · 94.7 k parameters · continues/ }),
  ).toBeChecked();
  await models(page)
    .getByRole("radio", { name: /^other plays .* answers questions$/ })
    .check();
  await expect(page).toHaveURL(/model=other\+plays/);
  await expect(reader.generate).toBeEnabled();

  await reader.open(page.url());
  await expect(models(page).getByRole("radio", { name: /^other plays/ })).toBeChecked();
  await models(page)
    .getByRole("radio", { name: /^plays/ })
    .check();
  await expect(page).not.toHaveURL(/model=/);
});

test("what was set the moment before goes along to another model", async ({ site, reader, page }) => {
  offerTwo(site);
  await reader.open(site.address("?device=cpu"));
  await reader.prompt.fill("Enter a ghost");
  await reader.field("Seed").fill("77");
  // At once, as nobody could by hand: the address follows what is typed a moment later.
  await models(page)
    .getByRole("radio", { name: /^other plays/ })
    .dispatchEvent("click");
  await expect(reader.generate).toBeEnabled();
  await expect(models(page).getByRole("radio", { name: /^other plays/ })).toBeChecked();
  await expect(reader.prompt).toHaveValue("Enter a ghost");
  await expect(reader.field("Seed")).toHaveValue("77");
});

test("another model that is stored is told, and can be deleted", async ({ site, reader, page, complaints }) => {
  site.beside.set("models/chat.bin", { file: chatModel() });
  const entry = { name: "talker", path: "chat.bin" };
  const index = Buffer.from(JSON.stringify({ models: [{ name: "plays", path: "../model.bin" }, entry] }));
  site.changes.push({ file: /models\/index\.json$/, to: () => ({ content: index, type: "application/json" }) });
  await reader.openChat(site.address("?device=cpu&model=talker"));
  await expect(reader.storage).toContainText("stored on this device");
  await expect(reader.storage.getByRole("listitem")).toHaveCount(0); // its own is not another
  await models(page)
    .getByRole("radio", { name: /^plays/ })
    .check();
  await expect(reader.generate).toBeEnabled();
  const others = reader.storage.getByRole("listitem");
  await expect(others).toHaveText([/models\/chat\.bin .*B\s*Delete$/]);
  await others.getByRole("button", { name: /^Delete .*models\/chat\.bin$/ }).click();
  await expect(others).toHaveCount(0);
  await expect(reader.storage).toContainText("The model is stored on this device");
  expect(await reader.write()).not.toBe("");
  expect(complaints).toEqual([]);
});

test("a name that the index does not have is as good as none", async ({ site, reader, page }) => {
  offerTwo(site);
  await reader.open(site.address("?device=cpu&model=nothing"));
  await expect(models(page).getByRole("radio", { name: /^plays/ })).toBeChecked();
});

test("a dropped file runs where it lies, and is stored nowhere", async ({ site, reader, page, complaints }) => {
  await reader.open(site.address("?device=cpu"));
  await drop(page, "chat.bin", readFileSync(chatModel()));
  await expect(page.getByRole("textbox", { name: "Message" })).toBeEnabled();
  await expect(models(page).getByRole("radio", { name: /^chat\.bin .* your file/ })).toBeChecked();
  await expect(reader.storage).toContainText("read from your own file");
  await expect(page.getByRole("region", { name: "How this model was made" })).toHaveCount(0);
  // And back to what the page came with.
  await chooseOwn(page);
  await expect(reader.generate).toBeEnabled();
  expect(complaints).toEqual([]);
});

test("a chosen file gives the text that the served one gives", async ({ site, reader, page }) => {
  await reader.open(site.address("?device=cpu"));
  await reader.field("Seed").fill("3");
  const served = await reader.write();
  await models(page).locator("input[type=file]").setInputFiles(site.model_file);
  await expect(models(page).getByRole("radio", { name: /^model\.bin/ })).toBeChecked();
  await expect(reader.generate).toBeEnabled();
  await reader.field("Seed").fill("3");
  expect(await reader.write()).toBe(served);
});

for (const [what, bytes, message] of [
  [
    "of llama.cpp in no version",
    Buffer.from(`GGUF${" ".repeat(100)}`),
    "This GGUF file is not supported: it has version",
  ],
  ["that is no model", Buffer.from("hello".repeat(40)), "not a model.bin"],
  ["that is empty", Buffer.alloc(0), "bytes"],
] as const) {
  test(`a file ${what} is refused, and the page's own model can be had again`, async ({ site, reader, page }) => {
    await reader.open(site.address("?device=cpu"));
    await drop(page, "own.bin", bytes);
    await expect(page.getByRole("alert")).toContainText(message);
    await chooseOwn(page);
    await expect(reader.generate).toBeEnabled();
    await expect(page.getByRole("alert")).toHaveCount(0);
  });
}

test.describe("without a network", () => {
  test.use({ serviceWorkers: "allow" });

  test("the second visit opens and writes the same text", async ({ site, reader, page, context }) => {
    await reader.open(site.address("?device=cpu"));
    await expect(reader.storage).toContainText("stored on this device");
    await reader.field("Seed").fill("3");
    const first = await reader.write();
    await page.evaluate(async () => void (await navigator.serviceWorker.ready));
    const address = site.address("?device=cpu");
    await site.stop();
    await context.setOffline(true);

    await reader.open(address);
    await reader.field("Seed").fill("3");
    expect(await reader.write()).toBe(first);
    await context.setOffline(false);
  });

  test("the second visit opens the model that was chosen", async ({ site, reader, page, context }) => {
    offerTwo(site);
    const address = site.address("?device=cpu&model=other+plays");
    await reader.open(address);
    await expect(reader.storage).toContainText("stored on this device");
    await page.evaluate(async () => void (await navigator.serviceWorker.ready));
    await site.stop();
    await context.setOffline(true);
    await reader.open(address);
    await expect(models(page).getByRole("radio", { name: /^other plays/ })).toBeChecked();
    expect(await reader.write()).not.toBe("");
    await context.setOffline(false);
  });

  test("with one, what the server has now is shown", async ({ site, reader, page }) => {
    await reader.open(site.address("?device=cpu"));
    await page.evaluate(async () => void (await navigator.serviceWorker.ready));
    site.changes.push({
      file: /^\.$/,
      to: content => ({ content: Buffer.from(content.toString().replace("<title>PocketLM", "<title>Newer")) }),
    });
    await reader.open(site.address("?device=cpu"));
    await expect(page).toHaveTitle("Newer");
  });
});
