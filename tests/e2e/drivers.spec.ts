/** Which backend "auto" takes: the faster one that works. Drivers that have no device, no memory, or wrong numbers. */
import { FAST_GPU, LIES_ABOUT_NORMS, LIES_ABOUT_TOKENS, NO_DEVICE, NO_GPU_MEMORY, SLOW_GPU } from "./faults";
import { expect, test } from "./fixtures";

test("an adapter that is slower than the CPU: measured, and the CPU is taken without a complaint", async ({
  site,
  reader,
  page,
}) => {
  site.inject(SLOW_GPU);
  await reader.open(site.address());
  await expect(reader.engine).toHaveText("CPU");
  await expect(page.getByText(/ms on the CPU, .* s on WebGPU/)).toBeVisible();
  await expect(page.locator(".note")).toHaveCount(0);
});

test("a fast adapter is taken", async ({ site, reader, page }) => {
  site.inject(FAST_GPU);
  await reader.open(site.address());
  await expect(reader.engine).toHaveText("WebGPU");
  await expect(page.locator(".note")).toHaveCount(0);
});

const NUMBERS = "The graphics device computes wrong numbers, so the model runs on the CPU";

for (const [about, fault, note] of [
  ["an adapter without a device", NO_DEVICE, "no WebGPU that the model can use, so it runs on the CPU"],
  ["no memory on the device", NO_GPU_MEMORY, "does not have enough memory for the model, so it runs on the CPU"],
  ["kernels with wrong numbers", LIES_ABOUT_NORMS, NUMBERS],
  ["a sampler with wrong tokens", LIES_ABOUT_TOKENS, NUMBERS],
] as const) {
  test(`${about}: the CPU takes over, and the page says why`, async ({ site, reader, page, complaints }) => {
    site.inject(fault);
    await reader.open(site.address());
    await expect(reader.engine).toHaveText("CPU");
    await expect(page.getByText(note)).toBeVisible();
    await reader.field("Max tokens").fill("12");
    expect(await reader.write()).not.toBe("");
    expect(complaints).toEqual([]);
  });
}

test("asked for WebGPU, wrong numbers are a failure with two ways on", async ({ site, reader, page }) => {
  site.inject(LIES_ABOUT_NORMS);
  await page.goto(site.address("?device=gpu"));
  await expect(page.getByRole("alert")).toContainText("The graphics device computes wrong numbers");
  await expect(page.getByRole("alert")).toContainText("does not reproduce the golden logits");
  await expect(page.getByRole("button", { name: "Load again" })).toBeVisible();
  await page.getByRole("link", { name: "Run on the CPU instead" }).click();
  await expect(reader.engine).toHaveText("CPU");
});
