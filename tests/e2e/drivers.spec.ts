/** Which backend "auto" takes: the faster one that works. Drivers that have no device, no memory, or wrong numbers. */
import { FAST_GPU, LIES_ABOUT_NORMS, LIES_ABOUT_TOKENS, NO_DEVICE, NO_GPU_MEMORY } from "./faults";
import { expect, test } from "./fixtures";

test("a software adapter is slower than the CPU: measured, and the CPU is taken without a complaint", async ({
  site,
  reader,
  page,
}) => {
  await reader.open(site.address());
  await expect(reader.engine).toHaveText("CPU");
  await expect(page.getByText(/ms on the CPU, .* ms on WebGPU/)).toBeVisible();
  await expect(page.locator(".note")).toHaveCount(0);
});

test("a fast adapter is taken", async ({ site, reader, page }) => {
  site.inject(FAST_GPU);
  await reader.open(site.address());
  await expect(reader.engine).toHaveText("WebGPU");
  await expect(page.locator(".note")).toHaveCount(0);
});

const NUMBERS = "The graphics device computes wrong numbers, so the model runs on the CPU";

for (const [about, fault, note, title] of [
  [
    "an adapter without a device",
    NO_DEVICE,
    "no WebGPU that the model can use, so it runs on the CPU",
    "The engine cannot run here",
  ],
  ["no memory on the device", NO_GPU_MEMORY, "has no room for the model, so it runs on the CPU", "Not enough memory"],
  ["kernels with wrong numbers", LIES_ABOUT_NORMS, NUMBERS, "The engine computes wrong numbers here"],
  ["a sampler with wrong tokens", LIES_ABOUT_TOKENS, NUMBERS, "The engine computes wrong numbers here"],
] as const) {
  test(`${about}: the CPU takes over, and the page says why`, async ({ site, reader, page, complaints }) => {
    await reader.open(site.address("?device=cpu"));
    await reader.field("Temperature").fill("0");
    await reader.field("Max tokens").fill("12");
    const right = await reader.write();

    site.inject(fault);
    await reader.open(site.address());
    await expect(reader.engine).toHaveText("CPU");
    await expect(page.getByText(note)).toBeVisible();
    await reader.field("Temperature").fill("0");
    await reader.field("Max tokens").fill("12");
    expect(await reader.write()).toBe(right);
    expect(complaints).toEqual([]);

    await page.goto(site.address("?device=gpu"));
    await expect(page.getByRole("alert")).toContainText(title);
    await page.getByRole("link", { name: "Run on the processor" }).click();
    await expect(reader.engine).toHaveText("CPU");
  });
}
