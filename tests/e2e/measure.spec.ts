/** The self-check and the benchmark on the page: loaded when they are opened; a fault is found; a stop is heard. No test asserts a time. */
import { readFileSync } from "node:fs";
import { LIES_ABOUT_NORMS, readingWaits, weightsRot } from "./faults";
import { expect, type Reader, test } from "./fixtures";

const check = { name: "Check the numbers" };
const measure = { name: "Measure the speed" };

async function open(reader: Reader): Promise<void> {
  await reader.page.getByText("Check and measure").click();
  await expect(reader.page.getByRole("button", check)).toBeVisible();
}

test("the check compares with the golden logits, and is loaded when it is opened", async ({
  site,
  reader,
  page,
  complaints,
}) => {
  await reader.open(site.address("?device=cpu"));
  const chunk = site.asset(/^Measure-.*\.js$/);
  expect(site.requests.filter(path => path.endsWith(chunk))).toEqual([]);
  await open(reader);
  expect(site.requests.filter(path => path.endsWith(chunk))).not.toEqual([]);
  await page.getByRole("button", check).click();
  const found = page.getByRole("region", { name: "Check", exact: true });
  await expect(found).toContainText("Right: on the CPU");
  await expect(found).toContainText(", as expected");
  await expect(found).toContainText(", the likeliest");
  // The text goes on as it did.
  await reader.field("Max tokens").fill("5");
  expect(await reader.write()).not.toBe("");
  expect(complaints).toEqual([]);
});

test("the check finds weights that have rotted in memory since the model was loaded", async ({
  site,
  reader,
  page,
}) => {
  site.inject(weightsRot(readFileSync(site.model_file)));
  await reader.open(site.address("?device=cpu"));
  await open(reader);
  await page.getByRole("button", check).click();
  const found = page.getByRole("region", { name: "Check", exact: true });
  await expect(found).toContainText("Wrong: on the CPU");
});

test("the check finds another device that computes wrong numbers, and the model goes on", async ({
  site,
  reader,
  page,
}) => {
  site.inject(LIES_ABOUT_NORMS);
  await reader.open(site.address("?device=cpu"));
  await open(reader);
  await page.getByLabel("WebGPU").check();
  await page.getByRole("button", check).click();
  await expect(page.getByRole("alert")).toContainText("Wrong: on WebGPU");
  await expect(page.getByRole("alert")).toContainText("does not reproduce the golden logits");
  await reader.field("Max tokens").fill("5");
  expect(await reader.write()).not.toBe("");
});

for (const device of ["cpu", "gpu"] as const) {
  test(`a benchmark on ${device}: figures, a chart, kernels, JSON`, async ({
    site,
    reader,
    page,
    context,
    complaints,
  }) => {
    test.slow();
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    await reader.open(site.address("?device=cpu"));
    await open(reader);
    await page.getByLabel(device === "cpu" ? "CPU" : "WebGPU", { exact: true }).check();
    await page.getByRole("button", measure).click();
    const found = page.getByRole("region", { name: "Speed" });
    await expect(found).toBeVisible({ timeout: 120_000 });
    await expect(found).toContainText("tokens/s");
    await expect(found.getByRole("img", { name: /^Milliseconds a token against position/ })).toBeVisible();
    await found.getByText("These times as a table").click();
    await expect(found.getByRole("columnheader", { name: "Tokens before" })).toBeVisible();

    await page.getByRole("button", { name: "Copy the figures" }).click();
    await expect(page.getByRole("status", { name: "Copying" })).toHaveText("Copied: the figures, as JSON.");
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    const saved = page.waitForEvent("download");
    await page.getByRole("button", { name: "Save the figures" }).click();
    const path = await (await saved).path();
    expect(JSON.parse(readFileSync(path, "utf8"))).toEqual(JSON.parse(copied));

    const json = JSON.parse(copied);
    expect(json.device).toBe(device);
    for (const name of [
      "prefill_tokens_per_s",
      "decode_tokens_per_s",
      "first_token_ms",
      "weight_bytes",
      "file_bytes",
    ]) {
      expect(json[name], name).toBeGreaterThan(0);
    }
    expect(json.at.length).toBeGreaterThan(1);
    const places = json.at.map(({ position }: { position: number }) => position);
    expect(places).toEqual([...places].sort((a, b) => a - b));
    if (device === "cpu") expect(json.profile).not.toBeNull(); // it has a clock of its own
    if (json.profile === null) {
      expect(json.profile_missing).toContain("timestamp");
      await expect(found).toContainText("The times of the kernels are missing");
    } else {
      const names = json.profile.decode.operations.map(({ name }: { name: string }) => name);
      expect(names).toEqual(expect.arrayContaining(["norm_qkv_rope", "attention", "norm_logits", "sample"]));
      await expect(found.getByRole("rowheader", { name: "norm_logits" })).toHaveCount(2);
    }
    expect(complaints).toEqual([]);
  });
}

test("a stop ends a benchmark, and what was asked meanwhile is written", async ({ site, reader, page }) => {
  site.inject(readingWaits(4));
  await reader.open(site.address("?device=cpu"));
  await open(reader);
  await page.getByLabel("WebGPU").check();
  await page.getByRole("button", measure).click();
  await site.gateReached();
  await expect(page.getByRole("button", { name: "Cancel" })).toBeEnabled();
  await page.getByRole("button", { name: "Cancel" }).click();
  await expect(page.getByRole("status", { name: "Measuring" })).toHaveText("Stopped: nothing was measured.");
  site.openGate();
  await reader.field("Max tokens").fill("5");
  expect(await reader.write()).not.toBe("");
  await expect(page.getByRole("region", { name: "Speed" })).toHaveCount(0);
});

test("a part that cannot be loaded says so, and the page goes on", async ({ site, reader, page }) => {
  await page.route(/Measure-.*\.js$/, route => route.abort());
  await reader.open(site.address("?device=cpu"));
  await page.getByText("Check and measure").click();
  await expect(page.getByText("This part of the page could not be loaded.")).toBeVisible();
  await reader.field("Max tokens").fill("5");
  expect(await reader.write()).not.toBe("");
});
